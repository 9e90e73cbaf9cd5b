"""Making the schedule of a program small: fewer turns, and longer ones.

Interface:
  * `smaller_turns(program)` yields programs with a smaller schedule, the boldest first:
    without several turns, without one, with one that lasts until its call has answered.
  * `fewer_turns` is the same as a pass of the shrinker.
"""

from collections.abc import Generator, Iterator, Sequence

import attrs

from conformance.program import Program, Turn

SIZES = (16, 8, 4, 3, 2, 1)
"""How many turns are taken away at once."""


def smaller_turns(program: Program) -> Iterator[Program]:
    """Yield programs with a smaller schedule."""
    for turns in _smaller(program.turns):
        yield attrs.evolve(program, turns=turns)


def fewer_turns(program: Program) -> Generator[Program, bool, None]:
    """Take out turns, and let others last longer."""
    for smaller in smaller_turns(program):
        if (yield smaller):
            yield from fewer_turns(smaller)
            return


def _smaller(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    for size in SIZES:
        for first in range(len(turns) - size, -1, -1):
            yield (*turns[:first], *turns[first + size :])
    for place, turn in enumerate(turns):
        if turn.at is not None:
            whole = attrs.evolve(turn, at=None, nth=1)
            later = [each for each in turns[place + 1 :] if each.call != turn.call]
            yield (*turns[:place], whole, *later)
        if turn.at is not None and turn.nth > 1:
            sooner = attrs.evolve(turn, nth=turn.nth - 1)
            yield (*turns[:place], sooner, *turns[place + 1 :])
