"""What a failing node prints: the sentence, the program, the timeline."""

from collections.abc import Iterator

from conformance.engines.tally import RuleResult, Violation
from conformance.program import as_python
from conformance.rules.rule import Rule


def violated(implementation: str, rule: Rule, violation: Violation) -> str:
    """Return the text of a violation."""
    return "\n".join(_violated(implementation, rule, violation))


def _violated(implementation: str, rule: Rule, violation: Violation) -> Iterator[str]:
    yield f"{rule.id}: {violation.sentence}"
    yield ""
    yield f"  rule      {rule.norm}"
    yield f"  clause    {rule.clause.source}, {rule.clause.place}: {rule.clause.norm}"
    if violation.scenario:
        yield f"  scenario  {violation.scenario}"
    yield f"  program   {violation.id}, {len(violation.program.operations)} operations"
    yield ""
    yield "from conformance.interface import *"
    yield "from conformance.program import Preempt, Program"
    yield ""
    yield f"program = {as_python(violation.program)}"
    yield ""
    yield from violation.timeline
    if violation.call is not None:
        yield ""
        yield f"  it shows at call {violation.call}: {violation.sentence}"


def crashed(implementation: str, rule: Rule, result: RuleResult) -> str:
    """Return the text of a crash."""
    assert result.crash is not None
    text = f"{rule.id}: {implementation} crashed: {result.crash.message}"
    return f"{text}\n\n{result.crash.trace}" if result.crash.trace else text
