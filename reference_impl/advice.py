"""What a process lets the kernel do to the pages that it has mapped.

Giving pages up takes them from the page table and from nobody else: a device that has
one pinned goes on with it, though nobody else will see it again. Bookkeeping of writes
makes entries read-only, and must not change what anybody sees.

Interface:
  * `dontneed` and `clear_refs` are the operations.
"""

import attrs

from conformance.interface import Step
from reference_impl.memory import Memory, Page
from reference_impl.mm import Mm
from reference_impl.pagetable import PageTables, Process, Vma
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Advice:
    """madvise, and clear_refs of /proc."""

    mm: Mm
    memory: Memory
    rmap: Rmap
    tables: PageTables

    # --- giving up ----------------------------------------------------------------

    def dontneed(
        self, process: int, mapping: int, page: int, pages: int
    ) -> Stepped[None]:
        """Give up what pages of a mapping hold."""
        owner = self.mm.find_process(process)
        yield from owner.mmap_lock.acquire_read()
        try:
            vma = self.mm.find_vma(process, mapping)
            where = vma.addresses[max(page, 0) : max(page + pages, 0)]
            change = yield from self.tables.notifiers.invalidate_start(owner, where)
            for address in where:
                if self.give_up(vma, address):
                    yield Step("dontneed.pte_cleared")
            self.tables.notifiers.invalidate_end(change)
            yield from self.give_up_shared(vma, where)
        finally:
            owner.mmap_lock.release_read()

    def give_up(self, vma: Vma, address: int) -> bool:
        """Clear an entry; tell whether there was one."""
        return self.tables.clear(vma.process, address)

    def give_up_shared(self, vma: Vma, addresses: range) -> Stepped[None]:
        """Drop pages of shared anonymous memory, for all who map them."""
        if vma.anon is None or not vma.anon.is_shared:
            return
        for address in addresses:
            index = vma.index_of(address)
            page = vma.anon.pages.get(index)
            if page is not None:
                for process, where, _ in self.rmap.entries_of(page):
                    yield from self.rmap.unmap_entry(process, where, page)
                self.mm.give_up(vma.anon, range(index, index + 1))
                yield Step("dontneed.pte_cleared")

    # --- bookkeeping ----------------------------------------------------------------

    def clear_refs(self, process: int) -> Stepped[None]:
        """Write-protect every page of a process, so that the next write is noticed."""
        owner = self.mm.find_process(process)
        yield from owner.mmap_lock.acquire_write("clear_refs")
        try:
            for vma in list(owner.vmas.values()):
                yield from self.protect_all(owner, vma)
        finally:
            owner.mmap_lock.release_write()

    def protect_all(self, owner: Process, vma: Vma) -> Stepped[None]:
        """Write-protect the pages of a mapping."""
        change = yield from self.tables.notifiers.invalidate_start(
            owner, vma.addresses, only_protects=True
        )
        for address in vma.addresses:
            pte = owner.ptes.get(address)
            if pte is not None and self.may_protect(pte.page):
                self.tables.protect(owner, address, clean=False)
                yield Step("clear_refs.pte_protected")
        self.tables.notifiers.invalidate_end(change)

    def may_protect(self, page: Page) -> bool:
        """Tell whether an entry may become read-only for bookkeeping alone.

        An anonymous page that a device may have pinned stays writable, so that no
        fault has to decide what to do about it.
        """
        return page.anon is None or not self.memory.maybe_dma_pinned(page)
