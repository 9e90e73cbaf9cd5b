"""From a schedule that was found to a small program that shows the same.

Interface:
  * `as_program(boot, race, choices, shows)` returns a small program whose history shows
    what that of a schedule did.
  * `exact_program(boot, race, choices)` is the schedule itself, as a program.
"""

from collections.abc import Callable, Iterable, Sequence

from conformance.engines.racing import Thread, started
from conformance.engines.running import in_order, run
from conformance.engines.shrink import Bound, shrink
from conformance.engines.shrink_turns import fewer_turns
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import WAITING, Program, Turn
from conformance.scenarios.races import Race

RUNS_MAX = 1_500
"""Programs tried to find the smallest."""


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
    choices: Sequence[Thread],
    shows: Callable[[History], bool],
) -> Program | None:
    """Return a program with as few turns as can be that shows the same.

    Args:
        boot: the implementation.
        race: the race.
        choices: the schedule.
        shows: tells whether a history shows it.

    Returns:
        None if it is not shown when the schedule is run again.
    """

    def fails(program: Program) -> bool:
        return bool(program.turns) and shows(run(boot, program))

    program = exact_program(boot, race, choices)
    if not fails(program):
        return None
    return shrink(program, fails, Bound(RUNS_MAX), passes=(fewer_turns,)).program
