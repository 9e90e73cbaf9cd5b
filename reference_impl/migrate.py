"""Moving pages to other frames: compaction, and making room for long-term pins.

A page is moved when nobody but page tables and its owner hold it. Its entries are
write-protected first, and only then it is asked who else has a reference: GUP-fast
either is seen by its reference, or sees the changed entry and backs off. What a
device has pinned stays: it would go on writing to a frame that nobody looks at.

In the moment of moving, content, state, promises and entries go to the new frame
together; the page lock and the bar of the reverse map keep others out until then.

Some pages must stay where they are put, because a device has them for long. They may
not lie in the *movable zone*, which has to be empty on demand; `settle` moves them
out of it before they are lent.

Interface:
  * `migrate` is the operation; `settle` is for long-term pins.
"""

from collections.abc import Callable, Iterable

import attrs

from conformance.interface import Errno, Event, KernelError, Step
from conformance.interface.events import PageMigrated
from reference_impl.anon import AnonVma, is_zero
from reference_impl.memory import Memory, Page
from reference_impl.mm import Mm
from reference_impl.pagecache import AddressSpace, PageCache
from reference_impl.pagetable import PageTables, Pte
from reference_impl.rmap import Owner, Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Migration:
    """Moves pages to other frames."""

    mm: Mm
    memory: Memory
    cache: PageCache
    rmap: Rmap
    tables: PageTables
    tell: Callable[[Event], None] | None = None

    def migrate(
        self, process: int, mapping: int, page: int, pages: int
    ) -> Stepped[None]:
        """Move those pages of a mapping that are in memory.

        Raises:
            KernelError: EBUSY, if one of them has to stay.
        """
        owner = self.mm.find_process(process)
        yield from owner.mmap_lock.acquire_read()
        try:
            vma = self.mm.find_vma(process, mapping)
            where = vma.addresses[max(page, 0) : max(page + pages, 0)]
            found = dict.fromkeys(
                owner.ptes[at].page for at in where if at in owner.ptes
            )
            for isolated in found:
                self.tables.hold(isolated)
        finally:
            owner.mmap_lock.release_read()
        if not (yield from self.move_all(found, stays=False)):
            raise KernelError(Errno.EBUSY, "a page is in use")

    def settle(self, pages: Iterable[Page]) -> Stepped[None]:
        """Move pages out of the movable zone.

        Context: the caller has a reference of each, which is put here.

        Raises:
            KernelError: EBUSY, if one of them has to stay.
        """
        if not (yield from self.move_all(dict.fromkeys(pages), stays=True)):
            raise KernelError(Errno.EBUSY, "a page cannot leave the movable zone")

    def move_all(self, pages: Iterable[Page], *, stays: bool) -> Stepped[bool]:
        """Move pages and put a reference of each; tell whether all were moved."""
        is_done = True
        for page in pages:
            yield Step("migrate.page_isolated")
            is_moved = yield from self.move(page, stays=stays)
            is_done = is_done and is_moved
            self.tables.let_go(page)
        return is_done

    def move(self, page: Page, *, stays: bool) -> Stepped[bool]:
        """Move one page; tell whether it is somewhere else now, or nobody's.

        Large folios stay where they are: the kernel moves them as a whole, or splits
        them.

        Context: the caller has a reference.
        """
        if is_zero(page):
            return True
        yield from self.cache.lock(page, "migrate")
        owner = owner_of(page)
        if owner is None:
            self.cache.unlock(page)
            return True
        if not self.may_begin(page):
            self.cache.unlock(page)
            return False
        yield from self.rmap.bar_walk(owner)
        is_moved = yield from self.move_protected(owner, page, stays=stays)
        self.rmap.unbar_walk(owner)
        self.cache.unlock(page)
        yield Step("migrate.remapped")
        return is_moved

    def may_begin(self, page: Page) -> bool:
        """Tell whether it makes sense to begin: nobody seems to use the page."""
        is_busy = page.is_large or page.is_under_writeback
        return not is_busy and not self.memory.maybe_dma_pinned(page)

    def move_protected(self, owner: Owner, page: Page, *, stays: bool) -> Stepped[bool]:
        """Write-protect the entries of a page, and move it if that may be.

        Context: the page is locked, and the reverse map barred.
        """
        notifiers = self.tables.notifiers
        changes = []
        for process, address, _ in self.rmap.entries_of(page):
            where = range(address, address + 1)
            changes.append((yield from notifiers.invalidate_start(process, where)))
        for process, address, _ in self.rmap.entries_of(page):
            self.tables.protect(process, address, clean=False)
        yield Step("migrate.unmapped")
        is_moved = self.may_move(page) and self.move_now(owner, page, stays=stays)
        for change in changes:
            notifiers.invalidate_end(change)
        yield Step("migrate.copied")
        return is_moved

    def may_move(self, page: Page) -> bool:
        """Tell whether page tables, owner and we are all that hold a page."""
        of_owner = 1 if page.mapping is not None else 0
        entries = len(self.rmap.entries_of(page))
        is_held = page.refcount != of_owner + entries + 1
        return not is_held and not self.memory.maybe_dma_pinned(page)

    def move_now(self, owner: Owner, page: Page, *, stays: bool) -> bool:
        """Move a page, in one moment; tell whether there was a frame for it."""
        try:
            target = self.memory.allocate(stays=stays)
        except KernelError:
            return False
        entries = self.rmap.entries_of(page)
        target.words = list(page.words)
        target.is_uptodate = page.is_uptodate
        self.change_owner(owner, page, target)
        for process, address, pte in entries:
            new = Pte(target, pte.is_writable, pte.is_dirty, pte.is_accessed)
            self.tables.replace(process, address, new)
        if page.anon is not None:  # the entries hold what the allocation held
            page.anon, page.is_exclusive = None, False
            self.memory.put(target)
        if self.tell is not None:
            self.tell(PageMigrated(page.pfn, target.pfn))
        return True

    def change_owner(self, owner: Owner, page: Page, target: Page) -> None:
        """Make the target what the page was to its owner."""
        if isinstance(owner, AddressSpace):
            self.cache.replace(owner, page, target)
            return
        target.anon, target.index = owner, page.index
        target.is_exclusive = page.is_exclusive
        if owner.pages.get(page.index) is page:
            owner.pages[page.index] = target


def owner_of(page: Page) -> Owner | None:
    """Return whose page it is; None: nobody's any more."""
    if isinstance(page.mapping, AddressSpace):
        return page.mapping
    return page.anon if isinstance(page.anon, AnonVma) else None
