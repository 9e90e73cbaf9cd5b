"""get_user_pages: from addresses to pages that a device may access.

The slow way holds the mmap_lock and takes faults. Reading an entry and taking the
pin is one moment there (the page table lock). After each fault the page table is
read again: the page may have been cleaned or taken away since.

A pin wants a page that stays the one that the process sees. So an anonymous page is
pinned only while it is exclusive, and one that is not is copied first (*unshared*),
for a reader, too. Pages of files in private mappings are, if it is for long: the first
store would replace them.

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
from reference_impl.anon import AnonVma, is_zero
from reference_impl.counters import Counters
from reference_impl.fault import Access, Fault
from reference_impl.memory import Memory, Page
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.stepping import Stepped


@attrs.frozen
class GupFlags:
    """What the caller of get_user_pages asks for."""

    write: bool = True
    longterm: bool = False
    nowait: bool = False
    tracked: bool = True
    """False: a plain reference for each page."""
    force: bool = False
    """Write to private mappings even if they are read-only."""


@attrs.define(eq=False)
class Grab:
    """Taking and giving back references for get_user_pages."""

    memory: Memory
    counters: Counters
    tell: Callable[[Event], None] | None = None

    def may_use(self, pte: Pte | None, flags: GupFlags) -> bool:
        """Tell whether an entry allows the access that is asked for."""
        if pte is None:
            return False
        return pte.is_writable or not flags.write or self.may_force(pte.page, flags)

    def may_force(self, page: Page, flags: GupFlags) -> bool:
        """Tell whether a page may be written to though its entry is read-only."""
        return flags.force and page.is_exclusive

    def must_unshare(self, pte: Pte, flags: GupFlags, *, is_private: bool) -> bool:
        """Tell whether the process must get a page of its own before it is pinned.

        `is_private` is of the mapping; who cannot know says yes.
        """
        page = pte.page
        if pte.is_writable or flags.write or not flags.tracked:
            return False
        if isinstance(page.anon, AnonVma):
            return not page.is_exclusive and not page.anon.is_shared
        return flags.longterm and is_private

    def must_wait(self, page: Page, flags: GupFlags) -> bool:
        """Tell whether the page must not be handed out before a fault has waited."""
        return flags.write and page.is_under_writeback

    def worth(self, page: Page, flags: GupFlags) -> int:
        """Return by how much the reference count goes up for one page."""
        return self.memory.pin_worth(page) if flags.tracked else 1

    def has_room(self, page: Page, flags: GupFlags) -> bool:
        """Tell whether the reference count can go up once more."""
        return self.memory.has_room(page, self.worth(page, flags))

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        """Raise the reference count for one page granted; the zero page has none."""
        if is_zero(page):
            return
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
        if is_zero(page):
            return
        if not flags.tracked:
            self.memory.put(page)
            return
        self.counters.count_backoff()
        self.memory.unpin(page)

    def release(self, page: Page) -> None:
        """Put one pin; the counters come before the page may be gone."""
        if is_zero(page):
            return
        key = page.key
        self.counters.count_returned()
        self.memory.unpin(page)
        if self.tell is not None:
            self.tell(PinReleased(key, page.pfn))

    def release_reference(self, page: Page) -> None:
        """Put one plain reference."""
        if not is_zero(page):
            self.memory.put(page)

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
                self.check_secret(process, address)
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
        if vma is None or not self.allows(vma, flags):
            raise KernelError(Errno.EFAULT, f"address {address} is not mapped so")
        if self.refuses_longterm(flags, is_tracked=vma.is_tracked):
            raise KernelError(Errno.EFAULT, f"mapping {vma.mapping} is written back")

    def check_secret(self, process: Process, address: int) -> None:
        """Refuse an address that is nobody's business but the process's."""
        vma = process.find_vma(address)
        if vma is not None and vma.is_secret:
            raise KernelError(Errno.EFAULT, f"address {address} is secret")

    def allows(self, vma: Vma, flags: GupFlags) -> bool:
        """Tell whether a mapping lets its pages go for what is asked for."""
        is_forced = flags.force and vma.is_private
        return not flags.write or vma.is_writable or is_forced

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
        if self.must_unshare(process, address, flags):
            return None
        if self.grab.must_wait(pte.page, flags):
            return None
        if not self.grab.has_room(pte.page, flags):
            self.grab.counters.count_overflow()
            raise KernelError(Errno.EOVERFLOW, f"page {pte.page.pfn} has no room")
        self.grab.take(pte.page, flags, "slow")
        return pte.page

    def must_unshare(self, process: Process, address: int, flags: GupFlags) -> bool:
        """Tell whether the page at an address must become the process's own first."""
        pte = process.ptes.get(address)
        vma = process.find_vma(address)
        if pte is None or vma is None:
            return False
        return self.grab.must_unshare(pte, flags, is_private=vma.is_private)

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
        access = self.access(process, address, flags)
        try:
            yield from self.fault.handle(process, address, access)
        except KernelError as error:
            if error.errno in (Errno.EAGAIN, Errno.ENOMEM):
                raise
            raise KernelError(Errno.EFAULT, error.reason) from error

    def access(self, process: Process, address: int, flags: GupFlags) -> Access:
        """Return what is attempted at an address on behalf of a device."""
        return Access(
            flags.write,
            for_device=flags.write,
            nowait=flags.nowait,
            unshare=self.must_unshare(process, address, flags),
            force=flags.force,
        )
