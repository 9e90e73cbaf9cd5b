"""Running any program: one call after the other, or by turns.

A turn lets one call run to a point, or to its end. While it waits for an actor of the
stack, the actors work for it; nobody else moves. When the last turn is over everything
settles, as in any program. So the number of turns is that of the context switches, and
what a call needs of the disk to end is no switch.

Interface:
  * `run(boot, program)` returns the history of one program.
  * `in_order(program)` is the same program, calls numbered as they are asked.
"""

import attrs

from conformance.engines import execution
from conformance.engines.invocation import STEPS_MAX
from conformance.engines.paced import PacedExecution
from conformance.engines.racing import RaceRun, Thread
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import WAITING, Program, Turn
from conformance.scenarios.races import Race


def run(boot: Boot, program: Program) -> History:
    """Run one program and return its history.

    Raises:
        BootError: there is no stack to run it on.
    """
    if program.turns:
        return run_turns(boot, program)
    return execution.run(boot, program)


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
    """Return the operations that run at once: from first to last that has a turn."""
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
        moved = [self._step(actor) for actor in able if actor != thread]
        return any(moved)

    def _step(self, thread: Thread) -> bool:
        moved = self.run.step(thread)
        point = self.run.point_of(thread)
        if point is not None:
            arrivals = self._arrivals
            arrivals[thread, point] = arrivals.get((thread, point), 0) + 1
        return moved
