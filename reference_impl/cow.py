"""Copy on write: faults of anonymous memory and of private mappings of files.

What a process writes to a private mapping nobody else sees. So a page that others may
see, too, is copied before it is written to: the zero page, a page of a file, an
anonymous page that a fork or a merge has shared. An exclusive page is written to in
place. The reference count plays no part in this: whoever holds the page otherwise, a
device for instance, must go on seeing what the process writes.

A copy takes time, and is only put in place if the entry is still what was copied.

Interface:
  * `handle` deals with one access. Afterwards look at the page table again.
"""

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.anon import AnonVma, make_anon
from reference_impl.filesystem import Filesystem
from reference_impl.memory import Page
from reference_impl.notifier import Change
from reference_impl.pagetable import PageTables, Pte, Vma
from reference_impl.stepping import Stepped


@attrs.frozen
class Access:
    """What is being attempted at an address."""

    write: bool
    for_device: bool = False
    """By get_user_pages, which never gets a page that is under writeback."""
    nowait: bool = False
    """Refuse with EAGAIN instead of waiting."""
    unshare: bool = False
    """Not written to, but the page has to belong to the process alone."""
    force: bool = False
    """Write to a private mapping though it is read-only."""


@attrs.define(eq=False)
class Cow:
    """Faults of memory that is copied when it is written to."""

    filesystem: Filesystem
    tables: PageTables
    zero_page: Page

    def handle(self, vma: Vma, address: int, access: Access) -> Stepped[None]:
        """Handle one fault of an anonymous or a private mapping.

        Context: the mmap_lock of the process is held for reading.

        Raises:
            KernelError: ENOMEM; EIO, if the file ends before the page; EAGAIN.
        """
        pte = vma.process.ptes.get(address)
        if pte is not None:
            yield from self.change(vma, address, pte, access)
        elif address in vma.process.swapped:
            self.swap_in(vma, address)
        elif vma.backing is None:
            self.map_anon(vma, address, access)
        else:
            yield from self.map_file(vma, address, access)

    def owner_of(self, vma: Vma) -> AnonVma:
        """Return whose the anonymous pages of a mapping are."""
        assert vma.anon is not None, f"mapping {vma.mapping} is a shared one of a file"
        return vma.anon

    # --- nothing is mapped ------------------------------------------------------------

    def map_anon(self, vma: Vma, address: int, access: Access) -> None:
        """Map anonymous memory: the zero page, if it is only read."""
        owner = self.owner_of(vma)
        if owner.is_shared:
            page = self.shared_page(owner, vma.index_of(address))
            pte = Pte(page, vma.is_writable, is_dirty=access.write)
            self.tables.set_pte(vma.process, address, pte)
        elif access.write or vma.is_secret:
            page = self.filesystem.memory.allocate()
            self.map_new(vma, address, page, write=access.write)
        else:
            self.tables.set_pte(vma.process, address, Pte(self.zero_page))

    def shared_page(self, owner: AnonVma, index: int) -> Page:
        """Return a page of shared anonymous memory."""
        if index not in owner.pages:
            page = self.filesystem.memory.allocate()
            make_anon(page, owner, index)
            owner.pages[index] = page
        return owner.pages[index]

    def map_new(self, vma: Vma, address: int, page: Page, *, write: bool) -> None:
        """Map a new page, of this process alone; the entry takes its reference over."""
        make_anon(page, self.owner_of(vma), vma.index_of(address))
        pte = Pte(page, is_writable=write and vma.is_writable, is_dirty=write)
        if address in vma.process.ptes:
            self.tables.replace(vma.process, address, pte)
        else:
            self.tables.set_pte(vma.process, address, pte)
        self.filesystem.memory.put(page)

    def swap_in(self, vma: Vma, address: int) -> None:
        """Bring a page back from swap, into a frame of its own."""
        page = self.filesystem.memory.allocate()
        slot = self.tables.take_swapped(vma.process, address)
        page.words = list(slot.words)
        self.map_new(vma, address, page, write=False)

    def map_file(self, vma: Vma, address: int, access: Access) -> Stepped[None]:
        """Map the page of a file read-only, or a copy of it if it is written to."""
        index = vma.index_of(address)
        if index * self.filesystem.geometry.words_per_page >= vma.inode.size_words:
            raise KernelError(Errno.EIO, f"page {index} is beyond the end of file")
        page = yield from self.filesystem.find_page(
            vma.inode, index, nowait=access.nowait
        )
        cache = self.filesystem.cache
        try:
            yield Step("fault.page_found")
            yield from cache.lock(page, "fault", nowait=access.nowait)
            try:
                yield Step("fault.page_locked")
                if access.write:
                    yield from self.copy(vma, address, page, None, access)
                elif self.is_still(vma, address, page, None):
                    self.tables.set_pte(vma.process, address, Pte(page))
            finally:
                cache.unlock(page)
        finally:
            self.filesystem.memory.put(page)

    # --- a page is mapped -------------------------------------------------------------

    def change(self, vma: Vma, address: int, pte: Pte, access: Access) -> Stepped[None]:
        """Let a process write to the page that it has mapped, or have it alone."""
        page = pte.page
        if access.write and self.may_reuse(page):
            new = Pte(page, is_writable=vma.is_writable, is_dirty=True)
            self.tables.set_pte(vma.process, address, new)
        elif access.write or (access.unshare and not page.is_exclusive):
            self.tables.hold(page)
            try:
                yield from self.copy(vma, address, page, pte, access)
            finally:
                self.tables.let_go(page)

    def may_reuse(self, page: Page) -> bool:
        """Tell whether a page may be written to in place."""
        is_shared = isinstance(page.anon, AnonVma) and page.anon.is_shared
        return page.is_exclusive or is_shared

    def copy(
        self, vma: Vma, address: int, page: Page, pte: Pte | None, access: Access
    ) -> Stepped[None]:
        """Put a copy of a page in its place.

        Context: the caller has a reference of the page. `pte` is the entry as it was
        found; None: nothing was mapped.
        """
        memory = self.filesystem.memory
        copy = memory.allocate()
        copy.words = list(page.words)
        yield Step("cow.page_copied" if access.write else "unshare.page_copied")
        change = yield from self.announce_copy(vma, address)
        if self.is_still(vma, address, page, pte):
            self.map_new(vma, address, copy, write=access.write)
        else:
            memory.put(copy)
        self.tables.notifiers.invalidate_end(change)
        yield Step("cow.pte_set")

    def announce_copy(self, vma: Vma, address: int) -> Stepped[Change]:
        """Tell those who follow an entry that another page is about to take its place.

        A device may read the page until then; it cannot write to one that is shared.
        """
        where = range(address, address + 1)
        return self.tables.notifiers.invalidate_start(vma.process, where)

    def is_still(self, vma: Vma, address: int, page: Page, pte: Pte | None) -> bool:
        """Tell whether an entry, or the lack of one, is what it was."""
        process = vma.process
        if pte is not None or address in process.swapped:
            return process.ptes.get(address) == pte
        index = vma.index_of(address)
        is_ours = self.filesystem.is_valid(vma.inode, page, index)
        return is_ours and address not in process.ptes
