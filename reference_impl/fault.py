"""Page faults: from an access that the page tables do not allow to one they do.

A write to a page whose writes are tracked goes through page_mkwrite, which
returns with the page locked. The entry is made writable and the page dirty under
that same hold of the lock. Cleaning a page needs the lock too, so it sees either
nothing of the fault or all of it. Anonymous memory and private mappings, of which no
file needs to know, are dealt with in `cow.py`.

Interface:
  * `handle` deals with one access. Afterwards look at the page table again:
    the page may have gone in the meantime, and then nothing was mapped.
"""

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.cow import Access, Cow
from reference_impl.filesystem import Filesystem
from reference_impl.memory import Page
from reference_impl.pagetable import PageTables, Process, Pte, Vma
from reference_impl.stepping import Stepped, flags_of

__all__ = ["Access", "Fault"]


@attrs.define(eq=False)
class Fault:
    """Handles page faults."""

    filesystem: Filesystem
    tables: PageTables
    cow: Cow

    def handle(self, process: Process, address: int, access: Access) -> Stepped[None]:
        """Handle one fault.

        Context: the mmap_lock of the process is held for reading.

        Raises:
            KernelError: EFAULT, if there is no such mapping; ENOSPC, EIO, ENOMEM,
                if its page cannot be had; EAGAIN, if it would wait and may not.
        """
        vma = process.find_vma(address)
        if vma is None or not self.is_allowed(vma, access):
            raise KernelError(Errno.EFAULT, f"address {address} is not mapped so")
        if vma.anon is not None:
            yield from self.cow.handle(vma, address, access)
        else:
            yield from self.handle_shared(vma, address, access)
        yield Step("fault.page_unlocked")

    def is_allowed(self, vma: Vma, access: Access) -> bool:
        """Tell whether a mapping allows an access; a private one can be forced."""
        is_forced = access.force and vma.is_private
        return not access.write or vma.is_writable or is_forced

    def handle_shared(self, vma: Vma, address: int, access: Access) -> Stepped[None]:
        """Handle a fault of a shared mapping of a file."""
        index = vma.index_of(address)
        if index * self.filesystem.geometry.words_per_page >= vma.inode.size_words:
            raise KernelError(Errno.EIO, f"page {index} is beyond the end of file")
        page = yield from self.filesystem.find_page(
            vma.inode, index, nowait=access.nowait
        )
        try:
            own = (flags_of(page.pfn),)
            yield Step("fault.page_found", own, own)
            if access.write and vma.space.is_tracked:
                yield from self.map_for_write(vma, address, page, access)
            else:
                yield from self.map_page(vma, address, page, access)
        finally:
            self.filesystem.memory.put(page)

    def map_page(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        """Map a page without asking the filesystem.

        Read-only, unless nobody needs to know of writes.
        """
        cache = self.filesystem.cache
        yield from cache.lock(page, "fault", nowait=access.nowait)
        yield Step("fault.page_locked")
        if self.filesystem.is_valid(vma.inode, page, vma.index_of(address)):
            old = vma.process.ptes.get(address)
            may_write = vma.is_writable and not vma.space.is_tracked
            if old is None or (may_write and not old.is_writable):
                pte = Pte(page, is_writable=may_write, is_dirty=access.write)
                self.tables.set_pte(vma.process, address, pte)
            if access.write:
                cache.mark_dirty(page)
        cache.unlock(page)

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        """Have the filesystem prepare a page, and map it writable."""
        yield Step("fault.mkwrite_called", (flags_of(page.pfn),))
        is_ready = yield from self.filesystem.page_mkwrite(
            vma.inode,
            page,
            vma.index_of(address),
            for_device=access.for_device,
            nowait=access.nowait,
        )
        yield Step("fault.mkwrite_returned")
        if is_ready:
            yield from self.finish_mkwrite(vma, address, page)

    def finish_mkwrite(self, vma: Vma, address: int, page: Page) -> Stepped[None]:
        """Make the entry writable and the page dirty, and only then unlock it.

        Context: page_mkwrite has returned with the page locked.
        """
        self.set_writable(vma, address, page)
        yield Step("fault.pte_set", (), (flags_of(page.pfn),))
        self.filesystem.cache.mark_dirty(page)
        yield Step("fault.page_dirtied")
        self.filesystem.end_pagefault()
        self.filesystem.cache.unlock(page)

    def set_writable(self, vma: Vma, address: int, page: Page) -> None:
        """Map a page writable and dirty."""
        pte = Pte(page, is_writable=True, is_dirty=True)
        self.tables.set_pte(vma.process, address, pte)
