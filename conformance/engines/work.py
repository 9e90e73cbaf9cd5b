"""What the child does: it runs programs, judges them, and tells the parent.

Interface:
  * `look`, `run_scenarios`, `search` and `make_small` do a piece of work each, and
    `send` what they find out: the messages below.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Self

import attrs

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError
from conformance.engines.explorer import Explorer, beginnings_for
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import Send
from conformance.engines.judge import Judgement, judge
from conformance.engines.lines import NO_LINES, Line, Lines, Recorder, recorder
from conformance.engines.operations_table import OperationsTable
from conformance.engines.packed import run_packed
from conformance.engines.plan import Known, Plan
from conformance.engines.repetition import Runs, again
from conformance.engines.running import run
from conformance.engines.scenario_run import probe
from conformance.engines.shrink import Bound, shrink
from conformance.engines.stateful import run_stateful
from conformance.engines.tally import Violation
from conformance.engines.timeline import timeline
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario

Draw = Callable[[Boot, Capabilities, Callable[[History], None], Budget, int], None]
"""Draws programs, and hands over the history of each."""

DRAWN_BY: dict[str, Draw] = {"packed": run_packed, "stateful": run_stateful}
"""The engines that Hypothesis draws for, by name."""

RunAgain = Callable[[Program], Violation | None]
"""Runs a program; returns what is to be shown of it, or None if it is not in it."""

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
    lines: Lines = NO_LINES
    """The lines that it ran, of those that are watched."""


@attrs.frozen
class NoStack:
    """Boot failed."""

    reason: str


@attrs.frozen
class Shrunk:
    """A violation was made smaller."""

    rule: str
    """Or the sort of crash."""
    violation: Violation
    is_last: bool
    """The rule is done."""
    counts: bool = True
    """False: it did not show again as often as it must."""
    is_steady: bool = True
    """False: it did not show each time."""


@attrs.define(eq=False)
class _WithLines:
    """Adds to each program that is sent the lines that it ran."""

    send: Send
    recorder: Recorder
    tells: bool = True
    """False: the lines guide, and that is all."""
    _seen: set[Line] = attrs.field(factory=set[Line])
    _has_found: bool = False

    def has_found(self) -> bool:
        """Tell whether the program that was sent last ran a line that was new."""
        return self._has_found

    def __enter__(self) -> Self:
        self.recorder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.stop()

    def __call__(self, message: object) -> None:
        if isinstance(message, Judged):
            lines = message.lines | self.recorder.stop()
            self._has_found = not lines <= self._seen
            self._seen |= lines
            self.send(attrs.evolve(message, lines=lines) if self.tells else message)
            self.recorder.start()
        else:
            self.send(message)


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
    with _WithLines(send, recorder(plan.watched)) as send_with_lines:
        for scenario in scenarios:
            send(Begun(scenario.name))
            runs = plan.tries if scenario.name in known else tries
            send_with_lines(_run_often(boot, plan, scenario, runs))


def _run_often(boot: Boot, plan: Plan, scenario: Scenario, runs: int) -> Judged:
    for _ in range(runs):
        judged = _run_scenario(boot, plan, scenario)
        if judged.judgement.violated.intersection(scenario.rules):
            break
    return judged


def _run_scenario(boot: Boot, plan: Plan, scenario: Scenario) -> Judged:
    try:
        history = run(boot, scenario.program)
    except BootError as error:
        lost = Judgement(scenario.program, {}, _no_stack(error), None, {})
        return Judged(lost, OperationsTable(), Readings(), scenario.name)
    return _judged(history, plan, scenario.name)


def search(
    boot: Boot, plan: Plan, capabilities: Capabilities, engine: str, send: Send
) -> None:
    """Send `Judged` for each program drawn by an engine."""
    guides = plan.guided_by if engine == "explorer" else ()
    recording = recorder(plan.watched or guides)
    try:
        with _WithLines(send, recording, bool(plan.watched)) as send_with_lines:
            if engine == "explorer":
                _explore(boot, plan, capabilities, send_with_lines)
            else:
                draw = DRAWN_BY[engine]
                _have_drawn(draw, boot, plan, capabilities, send_with_lines)
    except BootError as error:
        send(NoStack(f"boot fails: {_short(str(error))}"))


def _explore(
    boot: Boot, plan: Plan, capabilities: Capabilities, send: _WithLines
) -> None:
    def on_history(history: History) -> None:
        send(attrs.evolve(_judged(history, plan, None), states=explorer.states))

    explorer = Explorer(
        boot,
        capabilities,
        on_history,
        plan.budget.operations,
        plan.seed,
        guide=send,
        beginnings=beginnings_for(plan.scenarios, capabilities),
    )
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
        history.crash = _short_crash(crash)
    return Judged(judge(history, plan.rules, plan.promise), table, readings, name)


def _no_stack(error: BootError) -> Crash:
    return Crash(None, f"boot fails: {_short(str(error))}")


def _short_crash(crash: Crash) -> Crash:
    texts = map(_short, (crash.message, crash.trace, crash.sort))
    return Crash(crash.call, *texts)


def _short(text: str) -> str:
    """Return a text that can be printed, stored and sent, whatever was in it."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}... ({len(text)} characters)"
    return "".join(
        c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text
    )


def make_small(
    boot: Boot,
    plan: Plan,
    violations: dict[str, Violation],
    deadline: float,
    send: Send,
) -> None:
    """Send `Shrunk` for each smaller program, and a last one for each rule.

    Args:
        boot: The implementation.
        plan: What is judged, and how long one rule may take.
        violations: By rule, or by sort of crash.
        deadline: When all are to be done; each has its share of the time that is left.
        send: Takes the messages.
    """
    by_id = {rule.id: rule for rule in plan.rules}
    runs = Runs(boot, {violation.program for violation in violations.values()})
    for place, (rule, violation) in enumerate(sorted(violations.items())):
        share = (deadline - time.monotonic()) / (len(violations) - place)
        seconds = min(plan.shrink_seconds, share)
        run_again: RunAgain
        if rule in by_id:
            one = runs.for_one_rule()
            run_again = partial(_violation, one, plan, by_id[rule], violation)
        else:
            run_again = partial(_crash, boot, rule, violation)
        send(shrunk(run_again, plan, rule, violation, seconds, send))


def shrunk(
    run_again: RunAgain,
    plan: Plan,
    rule: str,
    violation: Violation,
    seconds: float,
    send: Send,
) -> Shrunk:
    """Send each smaller program; return the last word on the violation, or crash."""
    first = again(plan, run_again, violation.program)
    if not first.is_enough:
        once = attrs.evolve(violation, sentence=first.about(violation.sentence))
        return Shrunk(rule, once, is_last=True, counts=plan.repeats == 0)
    shown = attrs.evolve(first.seen[0], sentence=first.about(first.seen[0].sentence))
    send(Shrunk(rule, shown, is_last=False, is_steady=first.is_steady))
    known = plan.known_as(violation.scenario)
    if known is not None and known.is_minimal:
        return Shrunk(rule, attrs.evolve(shown, is_minimal=True), is_last=True)
    bound = Bound(plan.shrink_runs, seconds)

    def send_smaller(smaller: Violation) -> None:
        send(Shrunk(rule, smaller, is_last=False))

    best = _smallest(shown, run_again, bound, known, send_smaller)
    is_sure = plan.repeats == 0 or best.program == shown.program
    if is_sure or again(plan, run_again, best.program).is_enough:
        return Shrunk(rule, best, is_last=True)
    return Shrunk(rule, shown, is_last=True)


def _smallest(
    best: Violation,
    run_again: RunAgain,
    bound: Bound,
    known: Known | None,
    send: Callable[[Violation], None],
) -> Violation:
    """Send each smaller program; return the smallest, and what is known of it."""

    def still_fails(program: Program) -> bool:
        nonlocal best
        small = run_again(program)
        if small is None:
            return False
        best = attrs.evolve(small, made_from=known.id if known else None)
        send(best)
        return True

    tried = known.tried if known else ()
    result = shrink(best.program, still_fails, bound, tried=tried)
    return attrs.evolve(best, is_minimal=result.is_minimal, tried=result.tried)


def _violation(
    run: Callable[[Program], History],
    plan: Plan,
    rule: Rule,
    known: Violation,
    program: Program,
) -> Violation | None:
    """Run a program; return how it violates the rule, or None."""
    try:
        judgement = judge(run(program), [rule], plan.promise)
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


def _crash(
    boot: Boot, sort: str, known: Violation, program: Program
) -> Violation | None:
    """Run a program; return how it crashes, if that is of the same sort."""
    drawn: tuple[str, ...] = ()
    try:
        history = run(boot, program)
        crash = history.crash and _short_crash(history.crash)
        drawn = tuple(timeline(history))
    except BootError as error:
        crash = _no_stack(error)
    if crash is None or crash.sort != sort:
        return None
    scenario = known.scenario if program == known.program else None
    return Violation(crash.message, program, crash.call, drawn, scenario)


def run_once(boot: Boot, program: Program, _: Send) -> None:
    """Run a program, to see whether the process survives it."""
    with suppress(BootError):
        run(boot, program)
