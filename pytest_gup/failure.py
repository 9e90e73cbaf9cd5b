"""What a failing node prints: the sentence, the program, the timeline."""

from collections.abc import Iterator

from conformance.engines.repetition import NO_REPETITION
from conformance.engines.tally import RuleResult, Violation
from conformance.program import as_python
from conformance.rules.rule import Rule


def violated(rule: Rule, violation: Violation, id: str, command: str) -> str:
    """Return the text of a violation, and what to type to see it again."""
    return "\n".join(_violated(rule, violation, id, command))


def _violated(rule: Rule, violation: Violation, id: str, command: str) -> Iterator[str]:
    yield f"{rule.id}: {violation.sentence}"
    yield ""
    yield f"  rule      {rule.norm}"
    yield f"  clause    {rule.clause.source}, {rule.clause.place}: {rule.clause.norm}"
    yield from _how_to_see_it(violation, id, command)
    yield from violation.timeline
    if violation.call is not None:
        yield ""
        yield f"  it shows at call {violation.call}: {violation.sentence}"


def _how_to_see_it(violation: Violation, id: str, command: str) -> Iterator[str]:
    if violation.scenario:
        yield f"  scenario  {violation.scenario}"
    yield f"  program   {id}, {_size(violation)}"
    yield f"  again     {command}"
    yield ""
    yield "from conformance.interface import *"
    yield "from conformance.program import Preempt, Program, Turn"
    yield ""
    yield f"program = {as_python(violation.program)}"
    yield ""


def _size(violation: Violation) -> str:
    count = len(violation.program.operations)
    text = f"{count} operation{'s' * (count != 1)}"
    if violation.is_minimal or NO_REPETITION in violation.sentence:
        return text
    return f"{text}; not minimal yet, the next run goes on"


def crashed(
    implementation: str, rule: Rule, result: RuleResult, id: str, command: str
) -> str:
    """Return the text of a crash, and what to type to see it again."""
    return "\n".join(_crashed(implementation, rule, result, id, command))


def _crashed(
    implementation: str, rule: Rule, result: RuleResult, id: str, command: str
) -> Iterator[str]:
    assert result.crash is not None
    yield f"{rule.id}: {implementation} crashed: {result.crash.message}"
    if result.crash.trace:
        yield ""
        yield result.crash.trace.rstrip()
    if result.crashing is not None:
        shown = result.crashing.shown
        yield ""
        yield from _how_to_see_it(shown, id, command)
        yield from shown.timeline


def endless(shown: Violation, id: str, command: str) -> str:
    """Return the text of a program without end, and what to type to see it again."""
    return "\n".join([*_how_to_see_it(shown, id, command), *shown.timeline])


def errored(rule: Rule, result: RuleResult) -> str:
    """Return the text of a failure of our own."""
    return (
        f"{rule.id}: the suite itself failed, which is a defect of pytest-gup and says "
        f"nothing about the implementation: {result.reason}"
    )
