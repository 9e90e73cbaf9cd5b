"""The history of one run: what was asked, answered and observed, and when.

Oracle and rules read this and nothing else. A *moment* is a number that grows with
every entry; two calls overlap unless one was answered at an earlier moment than the
other was asked, and the order of overlapping calls is never used.

Interface:
  * `History.calls` in program order, the epilogue's at the end. A skipped call was
    never asked; a call without `answered` is still pending.
  * `History.samples`: what the stack showed, after each operation had settled.
  * `History.events`: what a stepped stack told, with moments.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

import attrs

from conformance.interface import (
    Errno,
    Event,
    Feature,
    Geometry,
    KernelError,
    Operation,
    PageView,
    Signal,
    StatFs,
    VmStat,
)
from conformance.program import Preempt, Program

Moment = int

INFINITY: Moment = 2**62
"""Later than every moment."""

A = TypeVar("A", bound=Operation)
B = TypeVar("B", bound=Operation)
C = TypeVar("C", bound=Operation)
D = TypeVar("D", bound=Operation)


@attrs.define(eq=False)
class Call:
    """One operation of the program, and what became of it."""

    index: int
    """Place in `History.calls`."""
    operation: Operation
    asked: Moment = -1
    """-1: never asked, because it was skipped."""
    answered: Moment | None = None
    """None: pending, or skipped."""
    result: object = None
    error: KernelError | Signal | None = None
    skipped: str | None = None
    """Why it was not asked; None: it was."""
    blocked_on: str | None = None
    """What it was last seen to wait for."""
    is_epilogue: bool = False

    @property
    def was_asked(self) -> bool:
        """Whether the stack was asked at all."""
        return self.skipped is None

    @property
    def is_pending(self) -> bool:
        """Whether it was asked and has not answered."""
        return self.skipped is None and self.answered is None

    @property
    def succeeded(self) -> bool:
        """Whether it answered, and not by a refusal."""
        return self.answered is not None and self.error is None

    @property
    def refused(self) -> bool:
        """Whether it answered by a refusal or a signal."""
        return self.error is not None

    @property
    def may_have_acted(self) -> bool:
        """Whether it may have changed something: a failed disk may stop it half-way."""
        error = self.error
        return not self.refused or (
            isinstance(error, KernelError) and error.errno is Errno.EIO
        )

    @property
    def ended(self) -> Moment:
        """When it answered; INFINITY: it has not."""
        return INFINITY if self.answered is None else self.answered

    def ended_before(self, moment: Moment) -> bool:
        """Whether it had answered before a moment."""
        return self.answered is not None and self.answered < moment


@attrs.frozen
class Sample:
    """What the stack showed of itself at one moment."""

    moment: Moment
    after: int
    """Index of the call that had settled; -1: before the first."""
    pages: Mapping[tuple[int, int], PageView]
    """By file and page."""
    pins: Mapping[tuple[int, int], PageView]
    """The page behind each page of each pin not yet put, by pin handle and page."""
    mkwrites: Mapping[int, int]
    """Calls of page_mkwrite, by file."""
    mtimes: Mapping[int, int]
    vmstat: VmStat
    statfs: StatFs | None
    parked: frozenset[int]
    """Calls that were stopped in their middle; the stack is not at rest."""
    pending: frozenset[int]
    """Calls that had not answered, parked ones included."""
    mapped: Mapping[tuple[int, int, int], PageView] = attrs.field(
        factory=dict[tuple[int, int, int], PageView]
    )
    """The pages of anonymous and private mappings, by process, mapping and page."""


@attrs.frozen
class Crash:
    """The implementation did what the contract does not allow."""

    call: int | None
    """Index of the call that was under way; None: boot, or a background actor."""
    message: str
    trace: str = ""
    """Where in the implementation it happened, in the form of a traceback."""
    sort: str = attrs.field(default=attrs.Factory(lambda crash: crash.message, True))
    """The same for the same defect in another program: what was raised, and where."""


@attrs.define(eq=False)
class History:
    """Everything that is known of one run."""

    program: Program
    geometry: Geometry
    """The sizes in force."""
    features: frozenset[Feature]
    """The features in force: asked for, or fixed."""
    calls: list[Call] = attrs.field(factory=list[Call])
    samples: list[Sample] = attrs.field(factory=list[Sample])
    events: list[tuple[Moment, Event]] = attrs.field(factory=list[tuple[Moment, Event]])
    crash: Crash | None = None
    inconclusive: str | None = None
    """Which bound was hit while something still ran."""
    is_stepped: bool = False
    """The stack has calls that can be parked."""
    drawn: int | None = None
    """How many calls were drawn; those after it look at the result. None: all."""
    parked_as_asked: bool = True
    """Every `Preempt` of the program took place."""
    stands: tuple[Preempt, ...] | None = None
    """Where calls stood while others ran, in a program with turns."""
    stops: list[tuple[Moment, int | None, str]] = attrs.field(
        factory=list[tuple[Moment, "int | None", str]]
    )
    """When a turn ended, whose (None: an actor's), and where."""
    now: Moment = 0
    _found: dict[tuple[type[object], ...], list[tuple[Call, Operation]]] = attrs.field(
        factory=dict[tuple[type[object], ...], "list[tuple[Call, Operation]]"],
        init=False,
        repr=False,
    )
    """What `asked` has found, by kinds: rules ask the same again and again."""
    _found_at: Moment = attrs.field(default=-1, init=False, repr=False)
    """The moment up to which it is found."""

    @property
    def parks(self) -> tuple[Preempt, ...]:
        """The calls that were stopped in their middle, and where."""
        return self.program.schedule if self.stands is None else self.stands

    def tick(self) -> Moment:
        """Return a moment later than all before."""
        self.now += 1
        return self.now

    @overload
    def asked(self, kind: type[A], /) -> Iterator[tuple[Call, A]]: ...
    @overload
    def asked(self, a: type[A], b: type[B], /) -> Iterator[tuple[Call, A | B]]: ...
    @overload
    def asked(
        self, a: type[A], b: type[B], c: type[C], /
    ) -> Iterator[tuple[Call, A | B | C]]: ...
    @overload
    def asked(
        self, a: type[A], b: type[B], c: type[C], d: type[D], /
    ) -> Iterator[tuple[Call, A | B | C | D]]: ...
    @overload
    def asked(self, *kinds: type[Operation]) -> Iterator[tuple[Call, Operation]]: ...

    def asked(self, *kinds: type[object]) -> Iterator[tuple[Call, Operation]]:
        """Yield the calls of operations of these kinds that were asked."""
        if self._found_at != self.now:
            self._found.clear()
            self._found_at = self.now
        found = self._found.get(kinds)
        if found is None:
            found = self._found[kinds] = [
                (call, call.operation)
                for call in self.calls
                if call.was_asked and isinstance(call.operation, kinds)
            ]
        return iter(found)

    def sample_before(self, moment: Moment) -> Sample | None:
        """Return the last sample taken before a moment."""
        for sample in reversed(self.samples):
            if sample.moment < moment:
                return sample
        return None

    def sample_after(self, moment: Moment) -> Sample | None:
        """Return the first sample taken after a moment."""
        for sample in self.samples:
            if sample.moment > moment:
                return sample
        return None

    def samples_between(self, begin: Moment, end: Moment) -> Iterator[Sample]:
        """Yield the samples taken after `begin` and before `end`."""
        for sample in self.samples:
            if begin < sample.moment < end:
                yield sample

    def events_of(
        self, *kinds: type[Event], begin: Moment = 0, end: Moment | None = None
    ) -> Iterator[tuple[Moment, Event]]:
        """Yield the events of these kinds from `begin` to `end`."""
        for moment, event in self.events:
            in_time = moment >= begin and (end is None or moment <= end)
            if in_time and isinstance(event, kinds):
                yield moment, event
