"""Stacks that lie about references and pins."""

from functools import partial

import attrs

from conformance.interface import Errno, KernelError
from reference_impl.direct_io import DirectIo
from reference_impl.dma import Devices, Get, Pin
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- puts -----------------------------------------------------------------------


class _PutsAPinWithPutPage(DirectIo):
    """Drivers that were not converted put a pin as if it were a plain reference."""

    def put(self, pin: Pin) -> Stepped[None]:
        for page in pin.pages:
            assert page is not None
            yield from self.devices.dirty.make_dirty_lock(page)
            self.devices.grab.memory.put(page)


class _PutsTheFirstPageTwice(DirectIo):
    """Drivers put the first page of a pin once for each page, and no other."""

    def put(self, pin: Pin) -> Stepped[None]:
        pin.pages[1:] = [pin.pages[0] for _ in pin.pages[1:]]
        yield from super().put(pin)


@attrs.define(eq=False)
class _LeaksWhatWasGrantedShort(DirectIo):
    """A driver that got fewer pages than it asked for puts none of them."""

    asked: int = 0

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        self.asked = pages
        return (
            yield from super().device_transfer(process, mapping, page, pages, value)
        )

    def put(self, pin: Pin) -> Stepped[None]:
        if len(pin.pages) >= self.asked:
            yield from super().put(pin)


class _LeaksTheBufferOfADirectWrite(DirectIo):
    """A direct write forgets the last page of a buffer of several pages."""

    def direct_write(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        done = yield from super().direct_write(
            process, mapping, page, file, file_page, pages
        )
        if done > 1:
            flags = GupFlags(write=False)
            yield from self.devices.get(process, mapping, page + done - 1, 1, flags)
        return done


class _PutsTheRestWithPutPage(Devices):
    """put_user_pages puts the first page as a pin and the others as references."""

    def put_slots(
        self, pin: Pin, slots: range, make_dirty: object = None
    ) -> Stepped[None]:
        yield from super().put_slots(pin, slots[:1], None)
        for slot in slots[1:]:
            page, pin.pages[slot] = pin.pages[slot], None
            if page is not None:
                self.grab.counters.count_returned()
                self.grab.memory.put(page)


# --- the count ------------------------------------------------------------------


@attrs.define(eq=False)
class _CountsASecondPinAsOne(Memory):
    """The first pin of a page adds the bias, each further one a single reference."""

    pins: dict[int, int] = attrs.field(factory=dict[int, int])

    def pin(self, page: Page) -> None:
        self.add(page, 1 if self.pins.get(page.pfn) else self.geometry.pin_bias)
        self.pins[page.pfn] = self.pins.get(page.pfn, 0) + 1

    def unpin(self, page: Page) -> None:
        self.pins[page.pfn] -= 1
        self.drop(page, 1 if self.pins[page.pfn] else self.geometry.pin_bias)


class _AddsTheBiasTwice(Memory):
    """A pin is worth two biases, for get_user_pages and its caller."""

    def pin(self, page: Page) -> None:
        self.add(page, 2 * self.geometry.pin_bias)

    def unpin(self, page: Page) -> None:
        self.drop(page, 2 * self.geometry.pin_bias)


class _AsksForMoreThanTheBias(Memory):
    """A page is pinned if its count is greater than the bias, not if it is equal."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        return page.refcount > self.geometry.pin_bias


class _ForgetsPinsOfOrphans(Memory):
    """A page that belongs to no file is said not to be pinned."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        return page.mapping is not None and super().maybe_dma_pinned(page)


class _NeedsTwoPins(Memory):
    """A dirty page counts as pinned only if two devices have it."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        needed = 2 if page.is_dirty and page.has_buffers else 1
        return page.refcount >= needed * self.geometry.pin_bias


class _SkipsWhatLooksPinned(Writeback):
    """A page with many references is left to those who hold it, by fsync too."""

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        others = page.refcount % self.filesystem.memory.geometry.pin_bias
        if self.maybe_pinned(page) and others > _USUAL_REFERENCES:
            return
        yield from super().write_page(inode, page, is_integrity=is_integrity)


_USUAL_REFERENCES = 3
"""Of the page cache, and of those who look the page up."""


class _NeverFreesByUnpin(Memory):
    """Putting a pin lowers the count and does not look whether it was the last."""

    def unpin(self, page: Page) -> None:
        self.add(page, -self.geometry.pin_bias)


class _FreesOnlyByUnpin(Memory):
    """A page that lost its file is freed by put_user_page, never by put_page."""

    def put(self, page: Page) -> None:
        if page.mapping is None and page.refcount == 1 and page.is_uptodate:
            self.add(page, -1)
        else:
            super().put(page)


class _FreesThePinnedOrphan(Memory):
    """The last plain put frees a page although it is pinned."""

    def put(self, page: Page) -> None:
        self.add(page, -1)
        if page.refcount % self.geometry.pin_bias == 0:
            self.free_page(page)

    def unpin(self, page: Page) -> None:
        if page.pfn not in self.free:
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
        if self.grab.must_wait(pte.page, flags):
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


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "references.puts_a_pin_with_put_page",
        ("REF-NOTINTERCHANGEABLE", "REF-BALANCE"),
        partial(boot, parts=Parts(make_direct_io=_PutsAPinWithPutPage)),
        "Drivers that were not converted put a pin as if it were a plain reference",
        "D10: callers that were not converted",
    ),
    Mutant(
        "references.puts_the_rest_with_put_page",
        ("REF-NOTINTERCHANGEABLE",),
        partial(boot, parts=Parts(make_devices=_PutsTheRestWithPutPage)),
        "put_user_pages puts the first page as a pin and the others as references",
    ),
    Mutant(
        "references.puts_the_first_page_twice",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        partial(boot, parts=Parts(make_direct_io=_PutsTheFirstPageTwice)),
        "Drivers put the first page of a pin once for each page, and no other",
    ),
    Mutant(
        "references.leaks_what_was_granted_short",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        partial(boot, parts=Parts(make_direct_io=_LeaksWhatWasGrantedShort)),
        "A driver that got fewer pages than it asked for puts none of them",
        "Z26: CVE-2017-12190, 95d78c28b5a8",
    ),
    Mutant(
        "references.leaks_the_buffer_of_a_direct_write",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        partial(boot, parts=Parts(make_direct_io=_LeaksTheBufferOfADirectWrite)),
        "A direct write forgets the last page of a buffer of several pages",
        "Z26: 2b04e8f6bbb1",
    ),
    Mutant(
        "references.counts_a_second_pin_as_one",
        ("REF-BIAS",),
        partial(boot, parts=Parts(make_memory=_CountsASecondPinAsOne)),
        "The first pin of a page adds the bias, each further one a single reference",
        "D3: one bias for a huge page, however many pages of it were got",
    ),
    Mutant(
        "references.adds_the_bias_twice",
        ("REF-BIAS",),
        partial(boot, parts=Parts(make_memory=_AddsTheBiasTwice)),
        "A pin is worth two biases, for get_user_pages and its caller",
    ),
    Mutant(
        "references.asks_for_more_than_the_bias",
        ("REF-QUERY",),
        partial(boot, parts=Parts(make_memory=_AsksForMoreThanTheBias)),
        "A page is pinned if its count is greater than the bias, not if it is equal",
        "D1: page_gup_pinned compares with >",
    ),
    Mutant(
        "references.forgets_pins_of_orphans",
        ("REF-QUERY",),
        partial(boot, parts=Parts(make_memory=_ForgetsPinsOfOrphans)),
        "A page that belongs to no file is said not to be pinned",
    ),
    Mutant(
        "references.needs_two_pins",
        ("REF-QUERY",),
        partial(boot, parts=Parts(make_memory=_NeedsTwoPins)),
        "A dirty page counts as pinned only if two devices have it",
    ),
    Mutant(
        "references.skips_what_looks_pinned",
        ("REF-FALSEPOS",),
        partial(boot, parts=Parts(make_writeback=_SkipsWhatLooksPinned)),
        "A page with many references is left to those who hold it, by fsync too",
    ),
    Mutant(
        "references.fast_path_has_no_guard",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathHasNoGuard)),
        "get_user_pages_fast takes its reference without asking whether it fits",
        "D5, Z6: page_cache_gup_pin_speculative has no guard",
    ),
    Mutant(
        "references.slow_path_has_no_guard",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_slow=_SlowPathHasNoGuard)),
        "get_user_pages takes its reference without asking whether it fits",
        "Z6: 04198de24771, the guard missed some of the paths",
    ),
    Mutant(
        "references.guards_after_the_overflow",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_memory=_GuardsAfterTheOverflow)),
        "The guard fires when the count has become negative",
        "D5: the guard fires only after the sign has flipped",
    ),
    Mutant(
        "references.does_not_guard_references",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_grab=_DoesNotGuardReferences)),
        "Only pins are guarded against overflow, plain references are not",
        "Z5: CVE-2019-11487, 8fde12ca79af",
    ),
    Mutant(
        "references.guards_the_first_page",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_gup_slow=_GuardsTheFirstPage)),
        "Only the first page of a request is guarded against overflow",
    ),
    Mutant(
        "references.never_frees_by_unpin",
        ("REF-FREE",),
        partial(boot, parts=Parts(make_memory=_NeverFreesByUnpin)),
        "Putting a pin lowers the count and does not look whether it was the last",
        "D2: put_user_page only subtracts",
    ),
    Mutant(
        "references.frees_only_by_unpin",
        ("REF-FREE",),
        partial(boot, parts=Parts(make_memory=_FreesOnlyByUnpin)),
        "A page that lost its file is freed by put_user_page, never by put_page",
    ),
    Mutant(
        "references.frees_the_pinned_orphan",
        ("REF-FREE",),
        partial(boot, parts=Parts(make_memory=_FreesThePinnedOrphan)),
        "The last plain put frees a page although it is pinned",
    ),
    Mutant(
        "references.refuses_after_granting",
        ("REF-PARTIAL", "CNT-BAL", "CNT-MODERN"),
        partial(boot, parts=Parts(make_devices=_RefusesAfterGranting)),
        "A request that fails at a later page is refused, and its first pages leak",
    ),
    Mutant(
        "references.loses_the_last_page",
        ("REF-PARTIAL", "CNT-BAL", "CNT-MODERN"),
        partial(boot, parts=Parts(make_devices=_LosesTheLastPage)),
        "A short request answers one page less than it holds, if it holds several",
    ),
    Mutant(
        "references.takes_minus_one_for_all",
        ("REF-ERRNPAGES",),
        partial(boot, parts=Parts(make_devices=_TakesMinusOneForAll)),
        "A negative number of pages to put is taken for all of them",
    ),
    Mutant(
        "references.puts_as_many_as_minus",
        ("REF-ERRNPAGES",),
        partial(boot, parts=Parts(make_devices=_PutsAsManyAsMinus)),
        "The sign of the number of pages to put is lost, if pages are to be dirtied",
    ),
    Mutant(
        "references.grants_long_term_references",
        ("REF-VALIDFLAGS",),
        partial(boot, parts=Parts(make_devices=_GrantsLongTermReferences)),
        "A long-term request for plain references is granted like any other",
    ),
    Mutant(
        "references.grants_long_term_references_fast",
        ("REF-VALIDFLAGS",),
        partial(boot, parts=Parts(make_devices=_GrantsLongTermReferencesFast)),
        "Only get_user_pages looks whether its flags go together, not the fast path",
    ),
)
