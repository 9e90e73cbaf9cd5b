"""get_user_pages: from addresses to pages that a device may access.

The slow way holds the mmap_lock and takes faults. Reading an entry and taking the
pin is one moment there (the page table lock). After each fault the page table is
read again: the page may have been cleaned or taken away since.

A page is never handed out for writing while it is under writeback (S25): it takes
the write fault, even if the entry is writable, and the fault waits.

Interface:
  * `GupSlow.get` adds to a list of granted pages, one by one, so that what was
    granted before a refusal is a prefix.
  * `Grab` holds what the slow and the fast way have in common: may this entry be
    used, taking the reference, and giving it back.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, Event, KernelError, Step
from conformance.interface.events import PinGranted, PinReleased, PinTaken
from reference_impl.counters import Counters
from reference_impl.fault import Access, Fault
from reference_impl.memory import Memory, Page
from reference_impl.pagetable import Process, Pte
from reference_impl.stepping import Stepped


@attrs.frozen
class GupFlags:
    """What the caller of get_user_pages asks for."""

    write: bool = True
    longterm: bool = False
    nowait: bool = False
    tracked: bool = True
    """False: a plain reference for each page."""


@attrs.define(eq=False)
class Grab:
    """Taking and giving back references for get_user_pages."""

    memory: Memory
    counters: Counters
    tell: Callable[[Event], None] | None = None

    def may_use(self, pte: Pte | None, flags: GupFlags) -> bool:
        """Tell whether an entry allows the access that is asked for."""
        return pte is not None and (pte.is_writable or not flags.write)

    def must_wait(self, page: Page, flags: GupFlags) -> bool:
        """Tell whether the page must not be handed out before a fault has waited."""
        return flags.write and page.is_under_writeback

    def worth(self, flags: GupFlags) -> int:
        """Return by how much the reference count goes up for one page."""
        return self.memory.geometry.pin_bias if flags.tracked else 1

    def has_room(self, page: Page, flags: GupFlags) -> bool:
        """Tell whether the reference count can go up once more."""
        return self.memory.has_room(page, self.worth(flags))

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        """Raise the reference count for one page granted."""
        if not flags.tracked:
            self.memory.get(page)
            return
        self.memory.pin(page)
        if path == "fast":
            self.counters.count_fast()
        else:
            self.counters.count_slow()
        if self.tell is not None:
            self.tell(PinTaken(page.key, page.pfn, path, flags.write))

    def give_back(self, page: Page, flags: GupFlags) -> None:
        """Undo `take` for a page that will not be granted."""
        if not flags.tracked:
            self.memory.put(page)
            return
        self.counters.count_backoff()
        self.memory.unpin(page)

    def release(self, page: Page) -> None:
        """Put one pin; the counters come before the page may be gone."""
        key = page.key
        self.counters.count_returned()
        self.memory.unpin(page)
        if self.tell is not None:
            self.tell(PinReleased(key, page.pfn))

    def tell_granted(self, page: Page, flags: GupFlags, path: str) -> None:
        """Tell that a page was put into the result."""
        if self.tell is not None:
            event = PinGranted(
                page.key, page.pfn, path, flags.write, page.is_under_writeback
            )
            self.tell(event)


@attrs.define(eq=False)
class GupSlow:
    """get_user_pages."""

    grab: Grab
    fault: Fault

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        """Add the pages at some addresses to those granted.

        Raises:
            KernelError: EFAULT, ENOMEM, EOVERFLOW, EAGAIN for the first page that
                cannot be had; `granted` holds those before it.
        """
        lock = process.mmap_lock
        yield from lock.acquire_read(nowait=flags.nowait)
        try:
            for address in addresses:
                self.check_vma(process, address, flags)
                yield Step("gup_slow.vma_checked")
                page = yield from self.get_page(process, address, flags)
                granted.append(page)
                self.grab.tell_granted(page, flags, "slow")
                yield Step("gup_slow.page_granted")
        finally:
            lock.release_read()

    def check_vma(self, process: Process, address: int, flags: GupFlags) -> None:
        """Refuse an address whose mapping does not allow what is asked for.

        A page whose writes must be tracked is not lent for writing for an
        unbounded time.
        """
        vma = process.find_vma(address)
        if vma is None or (flags.write and not vma.is_writable):
            raise KernelError(Errno.EFAULT, f"address {address} is not mapped so")
        if self.refuses_longterm(flags, is_tracked=vma.space.is_tracked):
            raise KernelError(Errno.EFAULT, f"file {vma.inode.file} is written back")

    def refuses_longterm(self, flags: GupFlags, *, is_tracked: bool) -> bool:
        """Tell whether a pin would be long-term, for writing, of a tracked page."""
        return flags.longterm and flags.write and is_tracked

    def get_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page]:
        """Return the page at an address with its reference taken."""
        page = self.follow_page(process, address, flags)
        while page is None:
            yield Step("gup_slow.pte_read")
            yield from self.fault_in(process, address, flags)
            yield Step("gup_slow.faulted")
            page = self.follow_after_fault(process, address, flags)
        yield Step("gup_slow.reference_taken")
        return page

    def follow_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        """Read an entry and take a reference at once; None: a fault is needed.

        Raises:
            KernelError: EOVERFLOW, if the reference count has no room.
        """
        pte = process.ptes.get(address)
        if pte is None or not self.grab.may_use(pte, flags):
            return None
        if self.grab.must_wait(pte.page, flags):
            return None
        if not self.grab.has_room(pte.page, flags):
            self.grab.counters.count_overflow()
            raise KernelError(Errno.EOVERFLOW, f"page {pte.page.pfn} has no room")
        self.grab.take(pte.page, flags, "slow")
        return pte.page

    def follow_after_fault(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        """Look at the page table again: what the fault found may be out of date."""
        return self.follow_page(process, address, flags)

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        """Take the fault that the access needs.

        Raises:
            KernelError: EFAULT, whatever kept the page away; EAGAIN and ENOMEM
                as they are.
        """
        yield Step("gup_slow.faulting")
        access = Access(flags.write, for_device=flags.write, nowait=flags.nowait)
        try:
            yield from self.fault.handle(process, address, access)
        except KernelError as error:
            if error.errno in (Errno.EAGAIN, Errno.ENOMEM):
                raise
            raise KernelError(Errno.EFAULT, error.reason) from error
