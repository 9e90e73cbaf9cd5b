"""How an operation is drawn: what each of its fields is drawn from, and when it can be.

A method of a machine becomes the way to draw an operation by the decorator:

    @draws("fsync", lambda m: m.files(), which=WHICH)
    def fsync(self, which: int) -> None:
        self.perform(Fsync(file=pick(self.files(), which)))

Nothing here says by what it is drawn: Hypothesis draws a field from `Choice.among`,
a packed program and the explorer find it there by a byte.

Interface:
  * `draws(name, can, **choices)` fills `DRAWINGS`.
  * `WHICH` chooses one of those that exist, by `pick`.
"""

from collections.abc import Callable
from typing import Any

import attrs

BYTE_VALUES = 256


@attrs.frozen
class Choice:
    """What one field is drawn from."""

    among: tuple[Any, ...]
    """At most 256 values; what stands there more than once is drawn more often."""
    names: bool = False
    """It says which thing is meant, or where: worth doing something to again."""

    def at(self, byte: int) -> Any:  # noqa: ANN401 - a value of a field
        """Return the value for a byte."""
        return self.among[byte % len(self.among)]


def numbers(least: int, most: int, *, names: bool = False) -> Choice:
    """Return the choice of a number, both ends included."""
    return Choice(tuple(range(least, most + 1)), names)


def one_of(*among: Any) -> Choice:  # noqa: ANN401 - values of a field
    """Return the choice of one of a few values."""
    return Choice(among)


WHICH = numbers(0, 7, names=True)
"""Chooses one of those that exist; reduced by their number."""
PAGE = numbers(0, 3, names=True)
PAGES = numbers(1, 2)
WORD = numbers(0, 1)
VALUE = numbers(1, 250)
EITHER = one_of(False, True)
FILES_MAX, PROCESSES_MAX, MAPPINGS_MAX, PINS_MAX, DEVICES_MAX = 5, 3, 4, 4, 2

Machine = Any
"""The machine, inside of a decorator: each method belongs to a class of its own."""


@attrs.frozen
class Drawing:
    """How one operation is drawn."""

    can: Callable[[Machine], object]
    """Whether there is something that it can be done to."""
    arguments: dict[str, Choice]
    method: Callable[..., None]


DRAWINGS: dict[str, Drawing] = {}
"""How each operation is drawn, by its name; filled by `draws`."""


Method = Callable[..., None]


def draws(
    name: str,
    can: Callable[[Machine], object] = lambda _: True,
    **arguments: Choice,
) -> Callable[[Method], Method]:
    """Make a method the way to draw one operation, where it can be done."""

    def make(method: Method) -> Method:
        DRAWINGS[name] = Drawing(can, arguments, method)
        return method

    return make
