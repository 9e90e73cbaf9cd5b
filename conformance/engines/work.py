"""What the child does: it runs programs, judges them, and tells the parent.

Interface:
  * `look`, `run_scenarios`, `search` and `make_small` do a piece of work each, and
    `send` what they find out: the messages below.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import count

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import Send
from conformance.engines.judge import Judgement, judge
from conformance.engines.operations_table import OperationsTable
from conformance.engines.plan import Plan
from conformance.engines.running import run
from conformance.engines.scenario_run import probe
from conformance.engines.shrink import shrink
from conformance.engines.stateful import Budget, run_stateful
from conformance.engines.tally import Violation
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario

LOT_PROGRAMS = 25
"""Programs drawn between two looks at the clock."""
SEEDS_APART = 1_000_000
"""Between the lots of two seeds, so that they never draw the same."""
NO_REPETITION = "did not repeat when the program was run again"
"""What the sentence of a violation ends with that was seen only once."""
TEXT_MAX = 2_000
"""Characters of what an implementation says that are passed on."""


@attrs.frozen
class Begun:
    """The next program is about to run."""

    name: str | None


@attrs.frozen
class Judged:
    """A program has been judged."""

    judgement: Judgement
    table: OperationsTable
    readings: Readings
    name: str | None


@attrs.frozen
class NoStack:
    """Boot failed."""

    reason: str


@attrs.frozen
class Shrunk:
    """A violation was made smaller."""

    rule: str
    violation: Violation | None
    is_last: bool


def look(boot: Boot, send: Send) -> None:
    """Send the capabilities, or `NoStack`."""
    try:
        send(probe(boot))
    except BootError as error:
        send(NoStack(_short(str(error))))


def run_scenarios(
    boot: Boot, plan: Plan, scenarios: Sequence[Scenario], send: Send
) -> None:
    """Send `Begun` and `Judged` for each scenario."""
    for scenario in scenarios:
        send(Begun(scenario.name))
        try:
            history = run(boot, scenario.program)
        except BootError as error:
            crash = Crash(None, f"boot fails: {_short(str(error))}")
            lost = Judgement(scenario.program, {}, crash, None, {})
            send(Judged(lost, OperationsTable(), Readings(), scenario.name))
        else:
            send(_judged(history, plan, scenario.name))


def search(boot: Boot, plan: Plan, capabilities: Capabilities, send: Send) -> None:
    """Send `Judged` for each program drawn."""

    def on_history(history: History) -> None:
        send(_judged(history, plan, None))

    try:
        for budget, seed in _rounds(plan):
            run_stateful(boot, capabilities, on_history, budget, seed)
    except BootError as error:
        send(NoStack(f"boot fails: {_short(str(error))}"))


def _rounds(plan: Plan) -> Iterator[tuple[Budget, int]]:
    """Yield what is to be drawn: all at once, or small lots until the time is up."""
    if plan.seconds is None:
        yield plan.budget, plan.seed
        return
    deadline = time.monotonic() + plan.seconds
    lot = Budget(LOT_PROGRAMS, plan.budget.operations)
    for seed in count(plan.seed * SEEDS_APART):
        if time.monotonic() >= deadline:
            return
        yield lot, seed


def _judged(history: History, plan: Plan, name: str | None) -> Judged:
    table = OperationsTable()
    table.add(history.calls[: history.drawn])
    readings = Readings()
    readings.add(history, name)
    crash = history.crash
    if crash is not None:
        text = _short(crash.message), _short(crash.trace)
        history.crash = attrs.evolve(crash, message=text[0], trace=text[1])
    return Judged(judge(history, plan.rules, plan.promise), table, readings, name)


def _short(text: str) -> str:
    """Return a text that can be printed, stored and sent, whatever was in it."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}... ({len(text)} characters)"
    return "".join(
        c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text
    )


def make_small(
    boot: Boot, plan: Plan, violations: dict[str, Violation], send: Send
) -> None:
    """Send `Shrunk` for each smaller program, and a last one for each rule."""
    by_id = {rule.id: rule for rule in plan.rules}
    for rule, violation in sorted(violations.items()):
        last = _shrunk(boot, plan, by_id[rule], violation, send)
        send(Shrunk(rule, last, is_last=True))


def _shrunk(
    boot: Boot, plan: Plan, rule: Rule, violation: Violation, send: Send
) -> Violation | None:
    """Send each smaller program; return the violation only if it is gone."""
    deadline = time.monotonic() + plan.shrink_seconds
    found: list[Violation] = []

    def still_fails(program: Program) -> bool:
        if found and time.monotonic() > deadline:
            return False
        small = _violation(boot, plan, rule, program, violation)
        if small is None:
            return False
        found.append(small)
        send(Shrunk(rule.id, small, is_last=False))
        return True

    if still_fails(violation.program):
        shrink(violation.program, still_fails, plan.shrink_runs)
        return None
    sentence = f"{violation.sentence} ({NO_REPETITION})"
    return attrs.evolve(violation, sentence=sentence)


def _violation(
    boot: Boot, plan: Plan, rule: Rule, program: Program, known: Violation
) -> Violation | None:
    """Run a program; return how it violates the rule, or None."""
    try:
        judgement = judge(run(boot, program), [rule], plan.promise)
    except BootError:
        return None
    if not judgement.violated:
        return None
    finding = judgement.outcomes[rule.id].findings[0]
    is_whole = program == known.program
    return Violation(
        finding.sentence,
        program,
        finding.call,
        judgement.timeline,
        known.scenario if is_whole else None,
    )
