"""Making the schedule of a program small: fewer turns, and longer ones.

Interface:
  * `smaller_turns(program)` yields programs with a smaller schedule, the boldest first:
    without several turns, without one, with one that lasts until its call has answered.
"""

from collections.abc import Iterator, Sequence

import attrs

from conformance.program import Program, Turn

SIZES = (16, 8, 4, 3, 2, 1)
"""How many turns are taken away at once."""


def smaller_turns(program: Program) -> Iterator[Program]:
    """Yield programs with a smaller schedule."""
    for turns in _smaller(program.turns):
        yield attrs.evolve(program, turns=turns)


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
