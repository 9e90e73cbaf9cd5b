"""What the child does: it runs programs, judges them, and tells the parent.

Interface:
  * `look`, `run_scenarios`, `search` and `make_small` do a piece of work each, and
    `send` what they find out: the messages below.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count

import attrs

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError, run
from conformance.engines.explorer import Explorer
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import Send
from conformance.engines.judge import Judgement, judge
from conformance.engines.operations_table import OperationsTable
from conformance.engines.packed import run_packed
from conformance.engines.plan import Plan
from conformance.engines.repetition import again
from conformance.engines.scenario_run import probe
from conformance.engines.shrink import shrink
from conformance.engines.stateful import run_stateful
from conformance.engines.tally import Violation
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario

Draw = Callable[[Boot, Capabilities, Callable[[History], None], Budget, int], None]
"""Draws programs, and hands over the history of each."""

DRAWN_BY: dict[str, Draw] = {"packed": run_packed, "stateful": run_stateful}
"""The engines that Hypothesis draws for, by name."""

LOT_PROGRAMS = 25
"""Programs drawn between two looks at the clock."""
SEEDS_APART = 1_000_000
"""Between the lots of two seeds, so that they never draw the same."""
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
    states: int = 0
    """How many different states the search has seen so far, if it counts them."""


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
    counts: bool = True
    """False: it did not show again as often as it must."""
    is_steady: bool = True
    """False: it did not show each time."""


def look(boot: Boot, send: Send) -> None:
    """Send the capabilities, or `NoStack`."""
    try:
        send(probe(boot))
    except BootError as error:
        send(NoStack(_short(str(error))))


def run_scenarios(
    boot: Boot, plan: Plan, scenarios: Sequence[Scenario], tries: int, send: Send
) -> None:
    """Send `Begun` and `Judged` for each scenario.

    Each is run until it violates one of its rules, but not more often than `tries`;
    those that did earlier are run as often as for a repetition.
    """
    known = {each.scenario().name for each in plan.known}
    for scenario in scenarios:
        send(Begun(scenario.name))
        runs = plan.tries if scenario.name in known else tries
        for left in reversed(range(runs)):
            judged = _run_scenario(boot, plan, scenario)
            if not left or judged.judgement.violated.intersection(scenario.rules):
                send(judged)
                break


def _run_scenario(boot: Boot, plan: Plan, scenario: Scenario) -> Judged:
    try:
        history = run(boot, scenario.program)
    except BootError as error:
        crash = Crash(None, f"boot fails: {_short(str(error))}")
        lost = Judgement(scenario.program, {}, crash, None, {})
        return Judged(lost, OperationsTable(), Readings(), scenario.name)
    return _judged(history, plan, scenario.name)


def search(
    boot: Boot, plan: Plan, capabilities: Capabilities, engine: str, send: Send
) -> None:
    """Send `Judged` for each program drawn by an engine."""
    draw = _explore if engine == "explorer" else partial(_have_drawn, DRAWN_BY[engine])
    try:
        draw(boot, plan, capabilities, send)
    except BootError as error:
        send(NoStack(f"boot fails: {_short(str(error))}"))


def _explore(boot: Boot, plan: Plan, capabilities: Capabilities, send: Send) -> None:
    def on_history(history: History) -> None:
        send(attrs.evolve(_judged(history, plan, None), states=explorer.states))

    operations = plan.budget.operations
    explorer = Explorer(boot, capabilities, on_history, operations, plan.seed)
    if plan.seconds is None:
        for _ in range(plan.budget.programs):
            explorer.explore()
        return
    deadline = time.monotonic() + plan.seconds
    while time.monotonic() < deadline:
        explorer.explore()


def _have_drawn(
    draw: Draw, boot: Boot, plan: Plan, capabilities: Capabilities, send: Send
) -> None:
    def on_history(history: History) -> None:
        send(_judged(history, plan, None))

    for budget, seed in _rounds(plan):
        draw(boot, capabilities, on_history, budget, seed)


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
        send(_shrunk(boot, plan, by_id[rule], violation, send))


def _shrunk(
    boot: Boot, plan: Plan, rule: Rule, violation: Violation, send: Send
) -> Shrunk:
    """Send each smaller program; return the last word on the violation."""

    def run_again(program: Program) -> Violation | None:
        return _violation(boot, plan, rule, program, violation)

    first = again(plan, run_again, violation.program)
    if not first.is_enough:
        once = attrs.evolve(violation, sentence=first.about(violation.sentence))
        return Shrunk(rule.id, once, is_last=True, counts=plan.repeats == 0)
    shown = attrs.evolve(first.seen[0], sentence=first.about(first.seen[0].sentence))
    send(Shrunk(rule.id, shown, is_last=False, is_steady=first.is_steady))
    deadline = time.monotonic() + plan.shrink_seconds

    def still_fails(program: Program) -> bool:
        small = None if time.monotonic() > deadline else run_again(program)
        if small is not None:
            send(Shrunk(rule.id, small, is_last=False))
        return small is not None

    smallest = shrink(violation.program, still_fails, plan.shrink_runs)
    is_sure = plan.repeats == 0 or smallest == violation.program
    if is_sure or again(plan, run_again, smallest).is_enough:
        return Shrunk(rule.id, None, is_last=True)
    return Shrunk(rule.id, shown, is_last=True)


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
