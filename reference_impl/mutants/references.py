"""Stacks that lie about references and pins."""

from collections.abc import Callable
from functools import partial

import attrs

from conformance.interface import KernelError
from reference_impl.anon import is_zero
from reference_impl.direct_io import DirectIo
from reference_impl.dma import Devices, Pin
from reference_impl.gup import GupFlags
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants import requests
from reference_impl.mutants.mutant import Mutant
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
    """Drivers put the first page of a pin once for each page, and no other.

    They keep a reference of it, or it might be free between two puts.
    """

    def put(self, pin: Pin) -> Stepped[None]:
        first = pin.pages[0]
        if first is not None and len(pin.pages) > 1:
            self.devices.grab.memory.get(first)
            pin.pages[1:] = [first for _ in pin.pages[1:]]
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


class _RefusesAndForgets(Devices):
    """A put of the wrong kind is refused, and the page is forgotten all the same."""

    def take_slot(self, pin: Pin, page: int, *, tracked: bool) -> Page:
        try:
            return super().take_slot(pin, page, tracked=tracked)
        except KernelError:
            if 0 <= page < len(pin.pages):
                pin.pages[page] = None
            raise


class _PutsTheRestWithPutPage(Devices):
    """put_user_pages puts the first page as a pin and the others as references."""

    def put_slots(
        self,
        pin: Pin,
        slots: range,
        make_dirty: Callable[[Page], Stepped[None]] | None,
    ) -> Stepped[None]:
        yield from super().put_slots(pin, slots[:1], make_dirty)
        for slot in slots[1:]:
            page = pin.pages[slot]
            if page is None:
                continue
            if make_dirty is not None:
                yield from make_dirty(page)
            pin.pages[slot] = None
            self.grab.counters.count_returned()
            if not is_zero(page):
                self.grab.memory.put(page)


# --- the count ------------------------------------------------------------------


@attrs.define(eq=False)
class _CountsASecondPinAsOne(Memory):
    """The first pin of a page adds the bias, each further one a single reference."""

    pins: dict[int, int] = attrs.field(factory=dict[int, int])

    def pin(self, page: Page) -> None:
        if page.is_large:
            super().pin(page)
            return
        self.add(page, 1 if self.pins.get(page.pfn) else self.geometry.pin_bias)
        self.pins[page.pfn] = self.pins.get(page.pfn, 0) + 1

    def unpin(self, page: Page) -> None:
        if page.is_large:
            super().unpin(page)
            return
        self.pins[page.pfn] -= 1
        self.drop(page, 1 if self.pins[page.pfn] else self.geometry.pin_bias)


class _AddsTheBiasTwice(Memory):
    """A pin is worth two biases, for get_user_pages and its caller."""

    def pin(self, page: Page) -> None:
        self.add(page, (1 if page.is_large else 2) * self.pin_worth(page))
        page.head.pin_count += page.is_large

    def unpin(self, page: Page) -> None:
        page.head.pin_count -= page.is_large
        self.drop(page, (1 if page.is_large else 2) * self.pin_worth(page))


class _AsksForMoreThanTheBias(Memory):
    """A page is pinned if its count is greater than the bias, not if it is equal."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        if page.is_large:
            return super().maybe_dma_pinned(page)
        return page.refcount > self.geometry.pin_bias


class _ForgetsPinsOfOrphans(Memory):
    """A page that belongs to no file is said not to be pinned."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        return page.mapping is not None and super().maybe_dma_pinned(page)


class _ForgetsPinsOfCleanPages(Memory):
    """A clean page is said not to be pinned: its device can only read."""

    def maybe_dma_pinned(self, page: Page) -> bool:
        return page.is_dirty and super().maybe_dma_pinned(page)


class _SkipsWhatLooksPinned(Writeback):
    """A page that looks pinned when there is no pin is left to those who hold it."""

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        counters = self.filesystem.cache.counters
        pins = counters.foll_pin_acquired - counters.foll_pin_released
        if pins or not self.maybe_pinned(page):
            yield from super().write_page(inode, page, is_integrity=is_integrity)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "references.puts_a_pin_with_put_page",
        ("REF-NOTINTERCHANGEABLE", "REF-BALANCE", "REF-FREE"),
        partial(boot, parts=Parts(make_direct_io=_PutsAPinWithPutPage)),
        "drivers that were not converted put a pin as if it were a plain reference",
        "D10: callers that were not converted",
    ),
    Mutant(
        "references.puts_the_rest_with_put_page",
        ("REF-NOTINTERCHANGEABLE", "REF-BALANCE", "REF-FREE", "REF-COMPOUND"),
        partial(boot, parts=Parts(make_devices=_PutsTheRestWithPutPage)),
        "put_user_pages puts the first page as a pin and the others as references",
    ),
    Mutant(
        "references.puts_the_first_page_twice",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE", "REF-FREE"),
        partial(boot, parts=Parts(make_direct_io=_PutsTheFirstPageTwice)),
        "drivers put the first page of a pin once for each page, and no other",
    ),
    Mutant(
        "references.leaks_what_was_granted_short",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        partial(boot, parts=Parts(make_direct_io=_LeaksWhatWasGrantedShort)),
        "a driver that got fewer pages than it asked for puts none of them",
        "Z26: CVE-2017-12190, 95d78c28b5a8",
    ),
    Mutant(
        "references.leaks_the_buffer_of_a_direct_write",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        partial(boot, parts=Parts(make_direct_io=_LeaksTheBufferOfADirectWrite)),
        "a direct write forgets the last page of a buffer of several pages",
        "Z26: 2b04e8f6bbb1",
    ),
    Mutant(
        "references.refuses_and_forgets",
        ("REF-NOTINTERCHANGEABLE",),
        partial(boot, parts=Parts(make_devices=_RefusesAndForgets)),
        "a put of the wrong kind is refused, and the page is forgotten all the same",
        "REF-MIX; D10: callers that were not converted",
    ),
    Mutant(
        "references.counts_a_second_pin_as_one",
        ("REF-BIAS", "REF-OVERFLOW"),
        partial(boot, parts=Parts(make_memory=_CountsASecondPinAsOne)),
        "the first pin of a page adds the bias, each further one a single reference",
        "D3: one bias for a huge page, however many pages of it were got",
    ),
    Mutant(
        "references.adds_the_bias_twice",
        ("REF-BIAS",),
        partial(boot, parts=Parts(make_memory=_AddsTheBiasTwice)),
        "a pin is worth two biases, for get_user_pages and its caller",
    ),
    Mutant(
        "references.asks_for_more_than_the_bias",
        ("REF-QUERY",),
        partial(boot, parts=Parts(make_memory=_AsksForMoreThanTheBias)),
        "a page is pinned if its count is greater than the bias, not if it is equal",
        "D1: page_gup_pinned compares with >",
    ),
    Mutant(
        "references.forgets_pins_of_orphans",
        ("REF-QUERY", "ANON-FORK-COPY", "ANON-EXCL"),
        partial(boot, parts=Parts(make_memory=_ForgetsPinsOfOrphans)),
        "a page that belongs to no file is said not to be pinned",
    ),
    Mutant(
        "references.forgets_pins_of_clean_pages",
        ("REF-QUERY", "ANON-FORK-COPY", "ANON-EXCL"),
        partial(boot, parts=Parts(make_memory=_ForgetsPinsOfCleanPages)),
        "a clean page is said not to be pinned: its device can only read",
    ),
    Mutant(
        "references.skips_what_looks_pinned",
        ("REF-FALSEPOS", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_writeback=_SkipsWhatLooksPinned)),
        "a page that looks pinned when there is no pin is left to those who hold it",
    ),
    *requests.MUTANTS,
)
