"""How an operation is drawn: what each of its fields is drawn from, and when it can be.

A method of a machine becomes the way to draw an operation by the decorator:

    @draws("fsync", lambda m: m.files(), which=WHICH, park=PARK)
    def fsync(self, which: int, park: str | None) -> None:
        self.perform(Fsync(file=pick(self.files(), which)), park)

Interface:
  * `draws(name, can, **strategies)` fills `DRAWINGS`.
  * `WHICH` chooses one of those that exist, by `pick`.
"""

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import strategies as st

from conformance.interface.points import FAULT, GUP_FAST, GUP_SLOW, WRITEBACK

WHICH = st.integers(0, 7)
"""Chooses one of those that exist; reduced by their number."""
PAGE = st.integers(0, 3)
PAGES = st.integers(1, 2)
WORD = st.integers(0, 1)
VALUE = st.integers(1, 250)
PARK = st.none() | st.sampled_from((*GUP_FAST, *GUP_SLOW, *FAULT, *WRITEBACK))
"""Where a call is parked while the next operation runs; half of the time nowhere."""
FILES_MAX, PROCESSES_MAX, MAPPINGS_MAX, PINS_MAX, DEVICES_MAX = 3, 3, 4, 4, 2


Machine = Any
"""The machine, inside of a decorator: Hypothesis's own decorators are untyped."""


@attrs.frozen
class Drawing:
    """How one operation is drawn."""

    can: Callable[[Machine], object]
    """Whether there is something that it can be done to."""
    arguments: dict[str, st.SearchStrategy[Any]]
    method: Callable[..., None]


DRAWINGS: dict[str, Drawing] = {}
"""How each operation is drawn, by its name; filled by `draws`."""


Method = Callable[..., None]


def draws(
    name: str,
    can: Callable[[Machine], object] = lambda _: True,
    **arguments: st.SearchStrategy[Any],
) -> Callable[[Method], Method]:
    """Make a method the way to draw one operation, where it can be done."""

    def make(method: Method) -> Method:
        DRAWINGS[name] = Drawing(can, arguments, method)
        return method

    return make
