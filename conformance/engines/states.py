"""What a graph of the states of a race is made of; see `remembering.py`."""

from typing import NamedTuple

import attrs

from conformance.engines.racing import Thread
from conformance.interface import Event
from conformance.interface.errors import KernelError, Signal
from conformance.oracle.history import Sample

Number = int
"""Stands for something that was met before, so that equal things are one number."""


@attrs.frozen
class Asked:
    """A call was asked; the stack was looked at before, if another had been."""

    skipped: str | None


@attrs.frozen(eq=False)
class Answered:
    """A call has answered; the stack was looked at after it."""

    result: object
    error: KernelError | Signal | None


@attrs.frozen(eq=False)
class Shown:
    """What the harness sees when it looks at the stack."""

    number: int
    """The same for what looks the same."""
    sample: Sample
    """Moment and calls are left open."""


Entry = Asked | Answered | Event
"""What a step adds to the history."""


class Node(NamedTuple):
    """A state of a race, its parts by number; there are tens of thousands."""

    stack: Number
    handles: Number
    places: tuple[Number, ...]
    """Where each thread stands."""


@attrs.frozen(eq=False)
class Effect:
    """What a step does."""

    writes: Number
    """What it writes to the stack."""
    place: Number
    handles: Number | None = None
    """None: the handles in use stay as they are."""
    others: tuple[tuple[Thread, Number], ...] = ()
    """Threads whose place was changed by the step."""
    told: tuple[Number, ...] = ()
    """The entries that it adds to the history, by number."""
    has_moved: bool = True


class Edge(NamedTuple):
    """A step from one state to another; there are tens of thousands."""

    thread: Thread
    target: Number
    effect: Effect
    """Equal only to itself: the steps that it was remembered for are of one kind."""

    @property
    def told(self) -> tuple[Number, ...]:
        """The entries that it adds to the history, by number."""
        return self.effect.told
