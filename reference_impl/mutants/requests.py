"""Stacks that lie about requests for pages, and when pages are free."""

from functools import partial

import attrs

from conformance.interface import Errno, KernelError
from reference_impl.dma import Devices, Get, Pin
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- freeing --------------------------------------------------------------------


class _NeverFreesByUnpin(Memory):
    """Putting a pin lowers the count and does not look whether it was the last."""

    def unpin(self, page: Page) -> None:
        if page.is_large:
            page.head.pin_count -= 1
        self.add(page, -self.pin_worth(page))


class _FreesOnlyByUnpin(Memory):
    """A page that lost its file is freed by put_user_page, never by put_page."""

    def put(self, page: Page) -> None:
        if page.mapping is None and page.refcount == 1 and page.is_uptodate:
            self.add(page, -1)
        else:
            super().put(page)


@attrs.define(eq=False)
class _FreesThePinnedOrphan(Memory):
    """The last plain put frees a page that lost its file although it is pinned."""

    stale: dict[int, int] = attrs.field(factory=dict[int, int])
    """Pins of pages that were freed under them; putting them does nothing."""

    def put(self, page: Page) -> None:
        self.add(page, -1)
        pins, others = divmod(page.refcount, self.geometry.pin_bias)
        if not others and (not pins or page.mapping is None):
            self.stale[page.pfn] = self.stale.get(page.pfn, 0) + pins
            page.refcount = 0
            self.free_page(page)

    def free_page(self, page: Page) -> None:
        if page.pfn not in self.free:  # Who dirties a freed page gets and puts it.
            super().free_page(page)

    def unpin(self, page: Page) -> None:
        if self.stale.get(page.pfn):
            self.stale[page.pfn] -= 1
        else:
            super().unpin(page)


# --- limits ---------------------------------------------------------------------


class _FastPathHasNoGuard(GupFast):
    """get_user_pages_fast takes its reference without asking whether it fits."""

    def try_take(self, page: Page, flags: GupFlags) -> bool:
        if page.refcount == 0:
            return False
        self.grab.take(page, flags, "fast")
        return True


class _SlowPathHasNoGuard(GupSlow):
    """get_user_pages takes its reference without asking whether it fits."""

    def follow_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        pte = process.ptes.get(address)
        if pte is None or not self.grab.may_use(pte, flags):
            return None
        must_wait = self.grab.must_wait(pte.page, flags)
        if must_wait or self.must_unshare(process, address, flags):
            return None
        self.grab.take(pte.page, flags, "slow")
        return pte.page


class _GuardsAfterTheOverflow(Memory):
    """The guard fires when the count has become negative."""

    def has_room(self, page: Page, count: int) -> bool:
        return page.refcount >= 0


class _DoesNotGuardReferences(Grab):
    """Only pins are guarded against overflow, plain references are not."""

    def has_room(self, page: Page, flags: GupFlags) -> bool:
        return not flags.tracked or super().has_room(page, flags)


@attrs.define(eq=False)
class _GuardsTheFirstPage(GupSlow):
    """Only the first page of a request is guarded against overflow."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        yield from super().get(process, addresses[:1], flags, granted)
        unguarded = _SlowPathHasNoGuard(self.grab, self.fault)
        if addresses[1:]:
            yield from unguarded.get(process, addresses[1:], flags, granted)


# --- requests -------------------------------------------------------------------


class _RefusesAfterGranting(Devices):
    """A request that fails at a later page is refused, and its first pages leak."""

    def grant(
        self,
        get: Get,
        process: int,
        mapping: int,
        first: int,
        pages: int,
        flags: GupFlags,
    ) -> Stepped[Pin]:
        pin = yield from super().grant(get, process, mapping, first, pages, flags)
        if len(pin.pages) < pages:
            raise KernelError(Errno.EFAULT, "a later page cannot be had")
        return pin


class _LosesTheLastPage(Devices):
    """A short request answers one page less than it holds, if it holds several."""

    def grant(
        self,
        get: Get,
        process: int,
        mapping: int,
        first: int,
        pages: int,
        flags: GupFlags,
    ) -> Stepped[Pin]:
        pin = yield from super().grant(get, process, mapping, first, pages, flags)
        if 1 < len(pin.pages) < pages:
            pin.pages.pop()
        return pin


class _TakesMinusOneForAll(Devices):
    """A negative number of pages to put is taken for all of them."""

    def slots(self, pin: Pin, first: int, count: int | None) -> range:
        return super().slots(pin, first, None if count and count < 0 else count)


class _PutsAsManyAsMinus(Devices):
    """The sign of the number of pages to put is lost, if pages are to be dirtied."""

    def slots(self, pin: Pin, first: int, count: int | None) -> range:
        is_last = first + 1 == len(pin.pages)
        return super().slots(pin, first, abs(count) if count and is_last else count)


class _GrantsLongTermReferences(Devices):
    """A long-term request for plain references is granted like any other."""

    def grant(
        self,
        get: Get,
        process: int,
        mapping: int,
        first: int,
        pages: int,
        flags: GupFlags,
    ) -> Stepped[Pin]:
        if not flags.tracked:
            flags = attrs.evolve(flags, longterm=False)
        return super().grant(get, process, mapping, first, pages, flags)


class _GrantsLongTermReferencesFast(Devices):
    """Only get_user_pages looks whether its flags go together, not the fast path."""

    def get_fast(
        self, process: int, mapping: int, first: int, pages: int, flags: GupFlags
    ) -> Stepped[Pin]:
        if not flags.tracked:
            flags = attrs.evolve(flags, longterm=False)
        return super().get_fast(process, mapping, first, pages, flags)


_LEAK = ("CNT-BAL", "CNT-MODERN", "REF-BALANCE", "REF-NOTINTERCHANGEABLE")
"""What tells of pages that somebody holds and nobody will put."""

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "requests.fast_path_has_no_guard",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathHasNoGuard)),
        "get_user_pages_fast takes its reference without asking whether it fits",
        "D5, Z6: page_cache_gup_pin_speculative has no guard",
    ),
    Mutant(
        "requests.slow_path_has_no_guard",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_slow=_SlowPathHasNoGuard)),
        "get_user_pages takes its reference without asking whether it fits",
        "Z6: 04198de24771, the guard missed some of the paths",
    ),
    Mutant(
        "requests.guards_after_the_overflow",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_memory=_GuardsAfterTheOverflow)),
        "the guard fires when the count has become negative",
        "D5: the guard fires only after the sign has flipped",
    ),
    Mutant(
        "requests.does_not_guard_references",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_grab=_DoesNotGuardReferences)),
        "only pins are guarded against overflow, plain references are not",
        "Z5: CVE-2019-11487, 8fde12ca79af",
    ),
    Mutant(
        "requests.guards_the_first_page",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_slow=_GuardsTheFirstPage)),
        "only the first page of a request is guarded against overflow",
    ),
    Mutant(
        "requests.never_frees_by_unpin",
        ("REF-FREE", "REF-COMPOUND"),
        partial(boot, parts=Parts(make_memory=_NeverFreesByUnpin)),
        "putting a pin lowers the count and does not look whether it was the last",
        "D2: put_user_page only subtracts",
    ),
    Mutant(
        "requests.frees_only_by_unpin",
        ("REF-FREE", "REF-COMPOUND"),
        partial(boot, parts=Parts(make_memory=_FreesOnlyByUnpin)),
        "a page that lost its file is freed by put_user_page, never by put_page",
    ),
    Mutant(
        "requests.frees_the_pinned_orphan",
        (
            "REF-FREE",
            "REF-QUERY",
            "DRT-ORPHAN",
            "MKW-RANGE",
            "MKW-EVERY",
            "WB-LOCK",
            "WB-SINGLE",
            "ANON-ISOLATION",
            "ANON-DONTNEED",
            "DIO-ASYNC-LIFETIME",
            "INV-ORPHAN",
            "INV-REFILL",
            "INV-REUSE",
        ),
        partial(boot, parts=Parts(make_memory=_FreesThePinnedOrphan)),
        "the last plain put frees a page that lost its file although it is pinned",
    ),
    Mutant(
        "requests.refuses_after_granting",
        (
            "REF-PARTIAL",
            "CNT-BAL",
            "CNT-MODERN",
            "CNT-OVERFLOW",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
        ),
        partial(boot, parts=Parts(make_devices=_RefusesAfterGranting)),
        "a request that fails at a later page is refused, and its first pages leak",
    ),
    Mutant(
        "requests.loses_the_last_page",
        (
            "REF-PARTIAL",
            "CNT-BAL",
            "CNT-MODERN",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
        ),
        partial(boot, parts=Parts(make_devices=_LosesTheLastPage)),
        "a short request answers one page less than it holds, if it holds several",
    ),
    Mutant(
        "requests.takes_minus_one_for_all",
        ("REF-ERRNPAGES",),
        partial(boot, parts=Parts(make_devices=_TakesMinusOneForAll)),
        "a negative number of pages to put is taken for all of them",
    ),
    Mutant(
        "requests.puts_as_many_as_minus",
        ("REF-ERRNPAGES",),
        partial(boot, parts=Parts(make_devices=_PutsAsManyAsMinus)),
        "the sign of the number of pages to put is lost, if pages are to be dirtied",
    ),
    Mutant(
        "requests.grants_long_term_references",
        ("REF-VALIDFLAGS",),
        partial(boot, parts=Parts(make_devices=_GrantsLongTermReferences)),
        "a long-term request for plain references is granted like any other",
    ),
    Mutant(
        "requests.grants_long_term_references_fast",
        ("REF-VALIDFLAGS",),
        partial(boot, parts=Parts(make_devices=_GrantsLongTermReferencesFast)),
        "only get_user_pages looks whether its flags go together, not the fast path",
    ),
)
