"""Moving pages of a mapping out of memory: anonymous ones to swap, others to files.

Anonymous pages are only moved while nobody but page tables holds them. Entries are
taken away first: who reads one then has to wait for the page, and brings it back into
another frame. A page that may be pinned stays: its device would write to a frame that
nobody looks at any more. Nothing is said about pages that cannot be moved.

Swap has all the space that it needs. A slot is gone with the last entry that names it.

Interface:
  * `pageout` is the operation.
"""

import attrs

from conformance.interface import Step
from reference_impl.anon import AnonVma, is_zero
from reference_impl.inode import Inode
from reference_impl.memory import Memory, Page
from reference_impl.mm import Mm
from reference_impl.pagecache import PageCache
from reference_impl.pagetable import PageTables, SwapSlot
from reference_impl.reclaim import Reclaim
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Swap:
    """Moves pages out of memory on demand."""

    mm: Mm
    memory: Memory
    cache: PageCache
    rmap: Rmap
    tables: PageTables
    pressure: Reclaim

    def pageout(
        self, process: int, mapping: int, page: int, pages: int
    ) -> Stepped[None]:
        """Move pages of a mapping out of memory, as far as can be."""
        owner = self.mm.find_process(process)
        yield from owner.mmap_lock.acquire_read()
        try:
            vma = self.mm.find_vma(process, mapping)
            where = vma.addresses[max(page, 0) : max(page + pages, 0)]
            found = [owner.ptes[at].page for at in where if at in owner.ptes]
            inode = vma.backing
            for isolated in found:
                self.tables.hold(isolated)
            if inode is not None:
                inode.users += 1
        finally:
            owner.mmap_lock.release_read()
        for isolated in found:
            yield from self.move_out(inode, isolated)
            self.tables.let_go(isolated)
        self.mm.close(inode)

    def move_out(self, inode: Inode | None, page: Page) -> Stepped[None]:
        """Move one page out of memory, if it can be.

        Context: the caller has a reference.
        """
        if is_zero(page):
            return
        if isinstance(page.anon, AnonVma):
            yield from self.swap_out(page.anon, page)
        elif inode is not None and inode.space.is_tracked:
            yield from self.pressure.clean(inode, page)
            yield from self.pressure.try_free(inode, page)

    def swap_out(self, owner: AnonVma, page: Page) -> Stepped[None]:
        """Move an anonymous page to swap; shared memory stays."""
        yield from self.cache.lock(page, "pageout")
        yield from self.rmap.bar_walk(owner)
        if not owner.is_shared and self.may_move(page):
            yield from self.unmap(page)
            yield Step("pageout.unmapped")
        self.rmap.unbar_walk(owner)
        yield Step("pageout.written")
        self.cache.unlock(page)

    def unmap(self, page: Page) -> Stepped[None]:
        """Let every entry of a page name its slot in swap, or none of them."""
        notifiers = self.tables.notifiers
        entries = self.rmap.entries_of(page)
        changes = []
        for process, address, _ in entries:
            where = range(address, address + 1)
            changes.append((yield from notifiers.invalidate_start(process, where)))
        if self.may_move(page):
            slot = SwapSlot(tuple(page.words))
            for process, address, _ in self.rmap.entries_of(page):
                self.tables.swap_out(process, address, slot)
        for change in changes:
            notifiers.invalidate_end(change)

    def may_move(self, page: Page) -> bool:
        """Tell whether nobody but page tables, and who asks, holds a page."""
        if self.memory.maybe_dma_pinned(page):
            return False
        return page.refcount == len(self.rmap.entries_of(page)) + 1
