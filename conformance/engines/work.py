"""What the child does: it runs programs, judges them, and tells the parent.

Interface:
  * `look`, `run_scenarios` and `search` do a piece of work each, and `send` what they
    find out: the messages below.
"""

import time
from collections.abc import Callable, Iterator, Sequence
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
from conformance.engines.plan import Plan
from conformance.engines.running import run
from conformance.engines.scenario_run import probe
from conformance.engines.stateful import run_stateful
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
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
    lines: Lines = NO_LINES
    """The lines that it ran, of those that are watched."""


@attrs.frozen
class NoStack:
    """Boot failed."""

    reason: str


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
        lost = Judgement(scenario.program, {}, no_stack(error), None, {})
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
        history.crash = short_crash(crash)
    return Judged(judge(history, plan.rules, plan.promise), table, readings, name)


def no_stack(error: BootError) -> Crash:
    """Return what a failure to boot is in a program."""
    return Crash(None, f"boot fails: {_short(str(error))}")


def short_crash(crash: Crash) -> Crash:
    """Return a crash whose texts can be printed, stored and sent."""
    texts = map(_short, (crash.message, crash.trace, crash.sort))
    return Crash(crash.call, *texts)


def _short(text: str) -> str:
    """Return a text that can be printed, stored and sent, whatever was in it."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}... ({len(text)} characters)"
    return "".join(
        c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text
    )
