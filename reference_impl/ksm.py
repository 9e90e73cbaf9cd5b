"""Sharing equal pages of anonymous memory (KSM).

Two pages are shared when they are equal and cannot change while that is found out. So
both are write-protected first, and a page that may be pinned, or that anybody else
holds, is left alone: what a device writes to it would be seen in two places, or in
none. What was found is looked at again in the moment of sharing.

A shared page is nobody's alone; who writes to it makes a copy.

Interface:
  * `merge` is the operation.
"""

import attrs

from conformance.interface import Step
from reference_impl.memory import Memory, Page
from reference_impl.mm import Mm
from reference_impl.pagetable import PageTables, Process, Pte
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Ksm:
    """Merges pages of a mapping."""

    mm: Mm
    memory: Memory
    rmap: Rmap
    tables: PageTables

    def merge(self, process: int, mapping: int) -> Stepped[None]:
        """Share equal pages of a mapping; shared and secret memory stays as it is."""
        owner = self.mm.find_process(process)
        yield from owner.mmap_lock.acquire_read()
        try:
            vma = self.mm.find_vma(process, mapping)
            if vma.is_private and not vma.is_secret:
                for address in vma.addresses:
                    yield from self.merge_with_earlier(owner, vma.start, address)
        finally:
            owner.mmap_lock.release_read()

    def merge_with_earlier(
        self, owner: Process, start: int, address: int
    ) -> Stepped[None]:
        """Share a page with the first one before it that is equal."""
        for earlier in range(start, address):
            if self.is_candidate(owner, earlier, address):
                yield from self.try_merge(owner, earlier, address)

    def is_candidate(self, owner: Process, earlier: int, address: int) -> bool:
        """Tell whether two entries map different anonymous pages that are equal now."""
        first, second = owner.ptes.get(earlier), owner.ptes.get(address)
        if first is None or second is None or first.page is second.page:
            return False
        is_anon = first.page.anon is not None and second.page.anon is not None
        return is_anon and first.page.words == second.page.words

    def try_merge(self, owner: Process, earlier: int, address: int) -> Stepped[None]:
        """Share a page with an earlier one, unless one of them may be pinned."""
        notifiers = self.tables.notifiers
        changes = []
        for at in (earlier, address):
            where = range(at, at + 1)
            changes.append((yield from notifiers.invalidate_start(owner, where)))
        for at in (earlier, address):
            self.protect(owner, at)
        yield Step("merge.protected")
        if self.may_merge(owner, earlier, address):
            yield Step("merge.compared")
        if self.may_merge(owner, earlier, address):
            self.share(owner, earlier, address)
            yield Step("merge.pte_replaced")
        for change in changes:
            notifiers.invalidate_end(change)

    def protect(self, owner: Process, address: int) -> None:
        """Write-protect an entry, if its page is not pinned."""
        pte = owner.ptes.get(address)
        if pte is not None and self.may_share(pte.page):
            self.tables.protect(owner, address, clean=False)

    def may_merge(self, owner: Process, earlier: int, address: int) -> bool:
        """Tell whether two pages are equal, protected, and held by page tables only."""
        if not self.is_candidate(owner, earlier, address):
            return False
        return all(
            not owner.ptes[where].is_writable and self.may_share(owner.ptes[where].page)
            for where in (earlier, address)
        )

    def may_share(self, page: Page) -> bool:
        """Tell whether nobody but page tables holds a page."""
        if self.memory.maybe_dma_pinned(page):
            return False
        return page.refcount == len(self.rmap.entries_of(page))

    def share(self, owner: Process, earlier: int, address: int) -> None:
        """Map the earlier page in the place of the other."""
        kept = owner.ptes[earlier].page
        kept.is_exclusive = False
        self.tables.replace(owner, address, Pte(kept))
