"""The three ways in which a method of a stack answers.

*Immediate*: it returns the result, or raises (see `errors.py`).

*Stepped*: it is a generator. Each `yield Step(point, reads, writes)` is a place
where another actor may run. `yield Wait(on, ready)` says that the call cannot go
on: it is not resumed until `ready()` is true. The result is the generator's
return value.

*Concurrent*: it returns a `PendingCall`, whose `state` is asked again and again
until it is `Done`. A call may be answered at once: then `state` is `Done` at the
first question.

A stack may use all three, method by method.
"""

from collections.abc import Callable, Hashable
from typing import Protocol

import attrs

Key = Hashable
"""Names something that a step reads or writes: ("page", 3), ("pte", 0, 7), ..."""


@attrs.frozen
class Step:
    """A preemption point of a stepped call, or of a background actor."""

    point: str
    """One of the names listed in `points.py`."""
    reads: tuple[Key, ...] = ()
    """What is read from here to the next yield; empty with `writes` empty: unknown."""
    writes: tuple[Key, ...] = ()


@attrs.frozen
class Wait:
    """A stepped call cannot go on until `ready()` is true."""

    on: str
    """What it waits for, in words: "writeback", "page lock", "frozen", ..."""
    ready: Callable[[], bool] = attrs.field(eq=False, repr=False)


@attrs.frozen
class Running:
    """The call is being worked on; ask again."""


@attrs.frozen
class Blocked:
    """The call sleeps, and nothing that is under way will wake it up."""

    on: str


@attrs.frozen
class Done:
    """The call has answered."""

    result: object = None
    error: BaseException | None = None
    """A `KernelError` or a `Signal`; anything else is a defect."""


CallState = Running | Blocked | Done


class PendingCall(Protocol):
    """What a method of the concurrent style returns."""

    def state(self) -> CallState:
        """Tell how far the call is; returns at once, without side effect."""
        ...
