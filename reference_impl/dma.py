"""Devices: pins, access past all page tables, and letting go.

A pin is what one call of get_user_pages granted. Its device reads and writes the
pages until each is put; whoever wrote marks the page dirty after the last write
and before the put.

Interface:
  * `get` and `get_fast` make a pin; `find` returns it.
  * `write_word` and `read_word` are the device's accesses.
  * `put_page_of` lets go of one page, `put_pages` of several, dirty or not.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.dirty import Dirty
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.memory import Page
from reference_impl.migrate import Migration
from reference_impl.mm import Mm
from reference_impl.pagetable import Process
from reference_impl.stepping import Stepped

Get = Callable[[Process, range, GupFlags, list[Page]], Stepped[None]]


@attrs.define(eq=False)
class Pin:
    """The pages that one call of get_user_pages granted."""

    flags: GupFlags
    pages: list[Page | None]
    """None: has been put."""


@attrs.define(eq=False)
class Devices:
    """All pins, by their handles."""

    mm: Mm
    slow: GupSlow
    fast: GupFast
    grab: Grab
    dirty: Dirty
    migration: Migration
    pins: dict[int, Pin] = attrs.field(factory=dict[int, Pin])

    # --- getting --------------------------------------------------------------------

    def get(
        self, process: int, mapping: int, first: int, pages: int, flags: GupFlags
    ) -> Stepped[Pin]:
        """Pin pages of a mapping by get_user_pages."""
        return self.grant(self.slow.get, process, mapping, first, pages, flags)

    def get_fast(
        self, process: int, mapping: int, first: int, pages: int, flags: GupFlags
    ) -> Stepped[Pin]:
        """Pin pages of a mapping by get_user_pages_fast."""
        return self.grant(self.fast.get, process, mapping, first, pages, flags)

    def grant(
        self,
        get: Get,
        process: int,
        mapping: int,
        first: int,
        pages: int,
        flags: GupFlags,
    ) -> Stepped[Pin]:
        """Call get_user_pages; a refusal after the first page is a short answer.

        Raises:
            KernelError: EINVAL for flags that contradict each other; else why not
                even one page is granted.
        """
        if pages < 0 or (flags.longterm and not flags.tracked):
            raise KernelError(Errno.EINVAL, f"{pages} page(s) with {flags}")
        while True:
            owner, start = self.locate(process, mapping)
            addresses = range(start + first, start + first + pages)
            granted = yield from self.get_pages(get, owner, addresses, flags)
            if not flags.longterm:
                return Pin(flags, list(granted))
            yield Step("longterm.zone_checked")
            if not self.must_settle(granted):
                self.grab.counters.pinned_vm += len(granted)
                return Pin(flags, list(granted))
            yield from self.settle(granted)

    def get_pages(
        self, get: Get, owner: Process, addresses: range, flags: GupFlags
    ) -> Stepped[list[Page]]:
        """Call get_user_pages once."""
        granted: list[Page] = []
        try:
            yield from get(owner, addresses, flags, granted)
        except KernelError:
            if not granted:
                raise
        return granted

    def must_settle(self, pages: list[Page]) -> bool:
        """Tell whether one of the pages is where nothing may be pinned for long."""
        return any(map(self.is_movable, pages))

    def is_movable(self, page: Page) -> bool:
        """Tell whether a page is in the movable zone."""
        return self.grab.memory.is_in_zone(page.pfn)

    def settle(self, granted: list[Page]) -> Stepped[None]:
        """Let all pages go and move those that may not stay where they are.

        Raises:
            KernelError: EBUSY, if one of them cannot be moved; none is pinned then.
        """
        movable = [page for page in granted if self.is_movable(page)]
        for page in dict.fromkeys(movable):
            self.grab.memory.get(page)
        for page in granted:
            self.grab.release(page)
        yield from self.migration.settle(movable)

    def locate(self, process: int, mapping: int) -> tuple[Process, int]:
        """Return the process and the address of a mapping."""
        try:
            vma = self.mm.find_vma(process, mapping)
        except KernelError as error:
            raise KernelError(Errno.EFAULT, error.reason) from None
        return vma.process, vma.start

    def keep(self, handle: int, pin: Pin) -> int:
        """Give a pin its handle; answer how many pages it has."""
        self.pins[handle] = pin
        return len(pin.pages)

    # --- access ---------------------------------------------------------------------

    def find(self, handle: int, page: int) -> Page | None:
        """Return a page of a pin; None: it was not granted, or has been put."""
        pin = self.pins.get(handle)
        if pin is None or not 0 <= page < len(pin.pages):
            return None
        return pin.pages[page]

    def write_word(self, handle: int, page: int, word: int, value: int) -> None:
        """Write one word of a page, past all page tables."""
        found = self.find(handle, page)
        if found is not None:
            found.words[word] = value

    def read_word(self, handle: int, page: int, word: int) -> int | None:
        """Read one word of a page; None: the device has no such page."""
        found = self.find(handle, page)
        return None if found is None else found.words[word]

    # --- letting go -----------------------------------------------------------------

    def take_slot(self, pin: Pin, page: int, *, tracked: bool) -> Page:
        """Take a page out of a pin, to be put.

        Raises:
            KernelError: EINVAL, if it is not there, or not to be put in this way.
        """
        is_there = 0 <= page < len(pin.pages)
        found = pin.pages[page] if is_there else None
        if found is None or pin.flags.tracked is not tracked:
            raise KernelError(Errno.EINVAL, f"page {page} of the pin cannot be put")
        pin.pages[page] = None
        self.uncharge(pin)
        return found

    def uncharge(self, pin: Pin) -> None:
        """Take back what one page of a long-term pin was charged for."""
        if pin.flags.longterm:
            self.grab.counters.pinned_vm -= 1

    def find_pin(self, handle: int) -> Pin:
        """Find a pin by its handle."""
        pin = self.pins.get(handle)
        if pin is None:
            raise KernelError(Errno.EINVAL, f"there is no pin {handle}")
        return pin

    def put_user_page(self, handle: int, page: int) -> None:
        """Put one page of a pin."""
        self.release(self.take_slot(self.find_pin(handle), page, tracked=True))

    def put_page(self, handle: int, page: int) -> None:
        """Put one plain reference."""
        found = self.take_slot(self.find_pin(handle), page, tracked=False)
        self.grab.release_reference(found)

    def release(self, page: Page) -> None:
        """Drop the pin of one page."""
        self.grab.release(page)

    def put_pages(
        self,
        handle: int,
        first: int,
        count: int | None,
        make_dirty: Callable[[Page], Stepped[None]] | None = None,
    ) -> Stepped[None]:
        """Put pages of a pin, dirtying each before it is put.

        A negative count puts nothing; a page that has been put is passed over.
        """
        pin = self.find_pin(handle)
        if not pin.flags.tracked or first < 0:
            raise KernelError(Errno.EINVAL, f"pin {handle} cannot be put so")
        yield from self.put_slots(pin, self.slots(pin, first, count), make_dirty)

    def slots(self, pin: Pin, first: int, count: int | None) -> range:
        """Return which pages of a pin are meant."""
        end = len(pin.pages) if count is None else first + max(count, 0)
        return range(first, min(end, len(pin.pages)))

    def put_slots(
        self,
        pin: Pin,
        slots: range,
        make_dirty: Callable[[Page], Stepped[None]] | None,
    ) -> Stepped[None]:
        """Dirty and put pages of a pin, one after the other."""
        for slot in slots:
            page = pin.pages[slot]
            if page is None:
                continue
            yield Step("put.entered")
            if make_dirty is not None:
                yield from make_dirty(page)
                yield Step("put.dirtied")
            pin.pages[slot] = None
            self.uncharge(pin)
            self.release(page)
            yield Step("put.released")
