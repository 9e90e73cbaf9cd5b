"""Stacks that lie in their counters."""

from functools import partial

import attrs

from conformance.interface import KernelError, VmStat
from reference_impl.counters import Counters
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process
from reference_impl.stack import boot
from reference_impl.stepping import Stepped


class _BackoffIsNotReturned(Counters):
    """A back-off is counted as such, and not as returned."""

    def count_backoff(self) -> None:
        self.gup_fast_backoffs += 1
        self.foll_pin_released += 1


@attrs.define(eq=False)
class _ReadsRequestsOfBefore(Counters):
    """Who reads the counters gets the requests as they were at the reading before."""

    slow_before: int = 0

    def vmstat(self, free_pages: int) -> VmStat:
        now = super().vmstat(free_pages)
        stale = attrs.evolve(now, nr_gup_slow_pages_requested=self.slow_before)
        self.slow_before = self.gup_slow_requested
        return stale


class _BackoffIsNotCounted(Counters):
    """A back-off is counted as returned, but not as a back-off."""

    def count_backoff(self) -> None:
        self.count_returned()


class _BackoffIsNotReleased(Counters):
    """A back-off is released in the document's counters only."""

    def count_backoff(self) -> None:
        self.gup_fast_backoffs += 1
        self.gup_returned += 1


@attrs.define(eq=False)
class _ThirdBackoffLeaks(GupFast):
    """Every third back-off keeps its reference."""

    backoffs: int = 0

    def back_off(self, page: Page, flags: GupFlags) -> None:
        self.backoffs += 1
        if self.backoffs % 3:
            super().back_off(page, flags)


class _BackoffOfAReferenceCounts(Grab):
    """A back-off is counted as one of a pin, also that of a plain reference."""

    def give_back(self, page: Page, flags: GupFlags) -> None:
        if not flags.tracked:
            self.counters.count_backoff()
        super().give_back(page, flags)


class _ReferencesCount(Grab):
    """A plain reference is counted as a pin that was requested."""

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        if not flags.tracked:
            self.counters.count_slow()
        super().take(page, flags, path)


class _ReturnsAreSubtracted(Counters):
    """A put is taken off the requests instead of being counted by itself."""

    def count_returned(self) -> None:
        self.gup_slow_requested -= 1
        self.foll_pin_acquired -= 1


class _CountsInSmallNumbers(Counters):
    """The totals of the document are kept in two bits."""

    def count_returned(self) -> None:
        super().count_returned()
        if self.gup_returned > _SMALL:
            self.gup_returned -= _SMALL + 1
            self.gup_slow_requested -= _SMALL + 1


_SMALL = 3


class _OverflowCountsAsGranted(Counters):
    """A pin that is refused for overflow is counted as requested, too."""

    def count_overflow(self) -> None:
        super().count_overflow()
        self.count_slow()


class _OverflowIsNotCounted(Counters):
    """A pin that is refused for overflow leaves no trace in the counters."""

    def count_overflow(self) -> None:
        return


class _OverflowCountsTwice(Counters):
    """A pin that is refused for overflow is counted where it is met and at the end."""

    def count_overflow(self) -> None:
        self.gup_overflows += 2


class _CountsBeforeTheFault(GupSlow):
    """A page is counted when its fault is taken; if that fails, it stays counted."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        try:
            yield from super().fault_in(process, address, flags)
        except KernelError:
            self.grab.counters.count_slow()
            raise


class _CountsAndTakesBack(GupSlow):
    """A page whose fault fails is counted as requested, and then as returned."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        try:
            yield from super().fault_in(process, address, flags)
        except KernelError:
            self.grab.counters.count_slow()
            self.grab.counters.count_returned()
            raise


class _CountsBeforeTheCheck(GupSlow):
    """A page is counted as requested and returned when its mapping forbids it."""

    def check_vma(self, process: Process, address: int, flags: GupFlags) -> None:
        try:
            super().check_vma(process, address, flags)
        except KernelError:
            self.grab.counters.count_slow()
            self.grab.counters.count_returned()
            raise


class _FastPathAcquiresNothing(Counters):
    """Pins of the fast path are not counted as acquired."""

    def count_fast(self) -> None:
        self.gup_fast_requested += 1


@attrs.define(eq=False)
class _RequestsCountCalls(GupSlow):
    """A request of several pages is counted as one."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        before = len(granted)
        try:
            yield from super().get(process, addresses, flags, granted)
        finally:
            surplus = max(len(granted) - before - 1, 0) if flags.tracked else 0
            self.grab.counters.gup_slow_requested -= surplus
            self.grab.counters.foll_pin_acquired -= surplus


def _counters(kind: type[Counters]) -> Parts:
    return Parts(make_counters=kind)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "counters.reads_requests_of_before",
        (
            "CNT-BAL",
            "CNT-FAIL0",
            "CNT-OVERFLOW",
            "REF-BALANCE",
            "REF-ERRNPAGES",
            "REF-PARTIAL",
        ),
        partial(boot, parts=Parts(make_counters=_ReadsRequestsOfBefore)),
        "who reads the counters gets the requests as they were at the reading before",
        "CNT-READ: a difference of the kind that S30 allows, but at rest",
    ),
    Mutant(
        "counters.backoff_is_not_returned",
        ("CNT-BAL", "CNT-BACKOFF"),
        partial(boot, parts=_counters(_BackoffIsNotReturned)),
        "a back-off is counted as such, and not as returned",
    ),
    Mutant(
        "counters.third_backoff_leaks",
        ("CNT-BAL", "CNT-MODERN", "REF-NOTINTERCHANGEABLE", "GWB-BACKOFF-CLEAN"),
        partial(boot, parts=Parts(make_gup_fast=_ThirdBackoffLeaks)),
        "every third back-off keeps its reference",
        "D6: undo_dev_pagemap gives back one of 1024",
    ),
    Mutant(
        "counters.references_count",
        ("CNT-BAL", "CNT-MODERN"),
        partial(boot, parts=Parts(make_grab=_ReferencesCount)),
        "a plain reference is counted as a pin that was requested",
    ),
    Mutant(
        "counters.requests_count_calls",
        (
            "CNT-BAL",
            "CNT-MODERN",
            "CNT-BACKOFF",
            "REF-BALANCE",
            "REF-PARTIAL",
            "CNT-MONO",
            "REF-ZERO",
        ),
        partial(boot, parts=Parts(make_gup_slow=_RequestsCountCalls)),
        "a request of several pages is counted as one",
        "D7: a huge page is requested once, however many pages of it were got",
    ),
    Mutant(
        "counters.backoff_is_not_counted",
        ("CNT-BACKOFF",),
        partial(boot, parts=_counters(_BackoffIsNotCounted)),
        "a back-off is counted as returned, but not as a back-off",
        "D7: back-offs of huge pages are not counted",
    ),
    Mutant(
        "counters.returns_are_subtracted",
        ("CNT-MONO", "CNT-BACKOFF"),
        partial(boot, parts=_counters(_ReturnsAreSubtracted)),
        "a put is taken off the requests instead of being counted by itself",
    ),
    Mutant(
        "counters.counts_in_small_numbers",
        ("CNT-MONO", "CNT-BACKOFF"),
        partial(boot, parts=_counters(_CountsInSmallNumbers)),
        "the totals of the document are kept in two bits",
    ),
    Mutant(
        "counters.overflow_is_not_counted",
        ("CNT-OVERFLOW",),
        partial(boot, parts=_counters(_OverflowIsNotCounted)),
        "a pin that is refused for overflow leaves no trace in the counters",
    ),
    Mutant(
        "counters.overflow_counts_as_granted",
        ("CNT-OVERFLOW", "CNT-BAL", "CNT-MODERN", "REF-PARTIAL"),
        partial(boot, parts=_counters(_OverflowCountsAsGranted)),
        "a pin that is refused for overflow is counted as requested, too",
    ),
    Mutant(
        "counters.overflow_counts_twice",
        ("CNT-OVERFLOW",),
        partial(boot, parts=_counters(_OverflowCountsTwice)),
        "a pin that is refused for overflow is counted twice",
    ),
    Mutant(
        "counters.counts_before_the_fault",
        ("CNT-FAIL0", "CNT-BAL", "CNT-MODERN", "REF-BALANCE", "REF-PARTIAL"),
        partial(boot, parts=Parts(make_gup_slow=_CountsBeforeTheFault)),
        "a page is counted when its fault is taken, also if that fails",
    ),
    Mutant(
        "counters.counts_and_takes_back",
        ("CNT-FAIL0",),
        partial(boot, parts=Parts(make_gup_slow=_CountsAndTakesBack)),
        "a page whose fault fails is counted as requested, and then as returned",
    ),
    Mutant(
        "counters.counts_before_the_check",
        ("CNT-FAIL0",),
        partial(boot, parts=Parts(make_gup_slow=_CountsBeforeTheCheck)),
        "a page is counted as requested and returned when its mapping forbids it",
    ),
    Mutant(
        "counters.fast_path_acquires_nothing",
        ("CNT-MODERN", "CNT-OVERFLOW", "REF-BALANCE", "REF-PARTIAL"),
        partial(boot, parts=_counters(_FastPathAcquiresNothing)),
        "pins of the fast path are not counted as acquired",
    ),
    Mutant(
        "counters.backoff_is_not_released",
        ("CNT-MODERN",),
        partial(boot, parts=_counters(_BackoffIsNotReleased)),
        "a back-off is released in the document's counters only",
    ),
    Mutant(
        "counters.backoff_of_a_reference_counts",
        ("CNT-MODERN", "CNT-BAL", "CNT-BACKOFF"),
        partial(boot, parts=Parts(make_grab=_BackoffOfAReferenceCounts)),
        "a back-off is counted as one of a pin, also that of a plain reference",
    ),
)
