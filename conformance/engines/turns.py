"""Turns: a schedule as part of a program, so that it can be stored, read and run again.

A turn lets one call run to a point, or to its end. While it waits for an actor of the
stack, the actors work for it; nobody else moves. When the last turn is over everything
settles, as in any program. So the number of turns is that of the context switches, and
what a call needs of the disk to end is no switch.

Interface:
  * `run_turns(boot, program)` runs a program with turns; `run` comes here by itself.
  * `as_program(boot, race, rule, choices)` returns a small program in which a rule is
    violated as it is in a schedule.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from conformance.engines.execution import run
from conformance.engines.invocation import STEPS_MAX
from conformance.engines.judge import judge
from conformance.engines.paced import PacedExecution
from conformance.engines.racing import Race, RaceRun, Thread, started
from conformance.engines.shrink_turns import smaller_turns
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import WAITING, Program, Turn
from conformance.rules.rule import Rule
from conformance.verdicts import Promise

RUNS_MAX = 1_500
"""Programs tried to find the smallest."""


# --- running --------------------------------------------------------------------------


def in_order(program: Program) -> Program:
    """Return a program with its calls in the order in which they are asked."""
    span = span_of(program)
    first_turns = [turn.call for turn in program.turns if turn.call in span]
    asked = list(dict.fromkeys(first_turns))
    order = [*range(span.start), *asked]
    order += [i for i in range(span.start, len(program.operations)) if i not in asked]
    turns = [
        attrs.evolve(turn, call=order.index(turn.call)) if turn.call >= 0 else turn
        for turn in program.turns
        if turn.call < len(order)
    ]
    operations = [program.operations[index] for index in order]
    return attrs.evolve(program, operations=operations, turns=turns)


def span_of(program: Program) -> range:
    """Return the operations that run at once: from the first with a turn to the last."""
    count = len(program.operations)
    calls = [turn.call for turn in program.turns if 0 <= turn.call < count]
    return range(min(calls), max(calls) + 1) if calls else range(count, count)


def run_turns(boot: Boot, program: Program) -> History:
    """Run a program with turns and return its history.

    Raises:
        BootError: there is no stack.
    """
    program = in_order(program)
    span, operations = span_of(program), program.operations
    race = Race(
        operations[span.start : span.stop],
        operations[: span.start],
        operations[span.stop :],
        program.setup,
    )
    execution = PacedExecution(boot, Program((), race.setup, misuse=program.misuse))
    running = _Turns(RaceRun(execution, race))
    for turn in program.turns:
        running.take(turn, span.start)
    history = running.run.finish()
    history.stands = history.program.schedule
    history.program = program
    return history


@attrs.define(eq=False)
class _Turns:
    run: RaceRun
    _arrivals: dict[tuple[Thread, str], int] = attrs.field(
        factory=dict[tuple[Thread, str], int]
    )

    def take(self, turn: Turn, first: int) -> None:
        """Let one call run."""
        calls = len(self.run.race.calls)
        thread = turn.call - first if turn.call >= 0 else calls - 1 - turn.call
        if not 0 <= thread < self.run.threads:
            return
        for _ in range(STEPS_MAX):
            if self._has_arrived(thread, turn) or not self._go_on(thread, turn):
                break
        index = turn.call if turn.call >= 0 else None
        where = self.run.point_of(thread)
        if where is not None and not self.run.execution.is_over:
            history = self.run.execution.history
            history.stops.append((history.tick(), index, where))

    def _has_arrived(self, thread: Thread, turn: Turn) -> bool:
        if turn.at is None or turn.at == WAITING:
            return False
        return self._arrivals.get((thread, turn.at), 0) >= turn.nth

    def _go_on(self, thread: Thread, turn: Turn) -> bool:
        """Take a step, by an actor if the call waits; tell whether there was any."""
        if self.run.is_enabled(thread):
            return self._step(thread)
        if turn.at == WAITING or self.run.is_over(thread):
            return False
        actors = range(len(self.run.race.calls), self.run.threads)
        able = [actor for actor in actors if self.run.is_enabled(actor)]
        return any([self._step(actor) for actor in able if actor != thread])

    def _step(self, thread: Thread) -> bool:
        moved = self.run.step(thread)
        point = self.run.point_of(thread)
        if point is not None:
            arrivals = self._arrivals
            arrivals[thread, point] = arrivals.get((thread, point), 0) + 1
        return moved


# --- making programs ------------------------------------------------------------------


def exact_program(boot: Boot, race: Race, choices: Iterable[Thread]) -> Program:
    """Return the program whose turns are those of a schedule."""
    running = started(boot, race)
    first, calls = len(race.before), len(race.calls)
    turns: list[Turn] = []
    arrivals: dict[tuple[Thread, str], int] = {}
    for thread in choices:
        if not running.is_enabled(thread):
            continue
        running.step(thread)
        point = running.point_of(thread)
        if point is not None:
            arrivals[thread, point] = arrivals.get((thread, point), 0) + 1
        name = first + thread if thread < calls else calls - 1 - thread
        at = None if running.is_over(thread) else point or WAITING
        nth = 1 if point is None else arrivals[thread, point]
        if turns and turns[-1].call == name:
            turns.pop()
        turns.append(Turn(name, at, nth))
    running.execution.close()
    operations = (*race.before, *race.calls, *race.after)
    return in_order(Program(operations, race.setup, turns=turns))


def as_program(
    boot: Boot,
    race: Race,
    rule: Rule,
    choices: Sequence[Thread],
    promise: Promise = Promise.DOCUMENT,
) -> Program | None:
    """Return a program with as few turns as can be in which the rule is violated.

    Returns:
        None if it is not violated when the schedule is run again.
    """

    def fails(program: Program) -> bool:
        return bool(judge(run(boot, program), [rule], promise).violated)

    program = exact_program(boot, race, choices)
    return smallest(program, fails) if fails(program) else None


def smallest(
    program: Program, still_fails: Callable[[Program], bool], runs_max: int = RUNS_MAX
) -> Program:
    """Take turns away, and make them longer, as long as it still fails."""
    runs = 0
    tried = set[tuple[Turn, ...]]()
    left: Iterator[Program] = smaller_turns(program)
    while (smaller := next(left, None)) is not None and runs < runs_max:
        if smaller.turns in tried or not smaller.turns:
            continue
        tried.add(smaller.turns)
        runs += 1
        if still_fails(smaller):
            program, left = smaller, smaller_turns(smaller)
    return program
