"""The reverse map: from a page of a file to the page table entries that map it.

Cleaning a page begins with taking away everybody's right to write to it. The walk
over its mappings takes time, so while it lasts no entry may slip from a place that
it has yet to visit to one that it has passed: faults are kept out by the page
lock, mremap, fork and munmap by the rmap lock of the file (the *bar*).

Interface:
  * `page_mkclean` write-protects and cleans every entry of a page and returns
    whether one of them was dirty. The page is locked.
  * `unmap_page` removes every entry of a page.
  * `bar` and `unbar` are for those who move or copy entries of a file.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import Step
from reference_impl.memory import Page
from reference_impl.pagecache import AddressSpace
from reference_impl.pagetable import PageTables, Process, Pte, Vma
from reference_impl.stepping import Lock, Stepped


@attrs.define(eq=False)
class Mappings:
    """Who maps a file."""

    vmas: list[Vma] = attrs.field(factory=list[Vma])
    lock: Lock = attrs.field(factory=lambda: Lock("rmap lock"))
    """Held by a walk, and by whoever moves or copies entries."""


@attrs.define(eq=False)
class Rmap:
    """All shared mappings of files."""

    tables: PageTables
    mappings: dict[AddressSpace, Mappings] = attrs.field(
        factory=dict[AddressSpace, Mappings]
    )

    def of(self, space: AddressSpace) -> Mappings:
        """Return who maps a file."""
        if space not in self.mappings:
            self.mappings[space] = Mappings()
        return self.mappings[space]

    def page_mkclean(self, space: AddressSpace, page: Page) -> Stepped[bool]:
        """Write-protect and clean every entry of a page; return whether one was dirty.

        Context: the page is locked.
        """
        yield from self.bar_walk(space)
        yield Step("mkclean.entered")
        was_dirty = False
        for vma in self.vmas_to_clean(space):
            address = vma.address_of(page.index)
            if address is None:
                continue
            was_dirty |= self.clean_pte(vma.process, address, page)
            yield Step("mkclean.pte")
        self.unbar_walk(space)
        yield Step("mkclean.done")
        return was_dirty

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        """Return the mappings that page_mkclean has to visit."""
        return list(self.of(space).vmas)

    def clean_pte(self, process: Process, address: int, page: Page) -> bool:
        """Write-protect and clean one entry of a page; return its dirty bit."""
        pte = process.ptes.get(address)
        if pte is None or pte.page is not page:
            return False
        return self.tables.protect(process, address, clean=True)

    def bar_walk(self, space: AddressSpace) -> Stepped[None]:
        """Keep mremap, fork and munmap out of a walk."""
        yield from self.of(space).lock.acquire("walk")

    def unbar_walk(self, space: AddressSpace) -> None:
        """End a walk."""
        self.of(space).lock.release()

    def unmap_page(self, space: AddressSpace, page: Page) -> Stepped[None]:
        """Remove every entry of a page; dirty bits go to the page."""
        yield from self.bar_walk(space)
        for process, address, _pte in list(self.entries(space, page)):
            self.tables.zap(process, address)
        self.unbar_walk(space)

    def unmap_range(
        self, space: AddressSpace, first: int, end: int | None
    ) -> Stepped[None]:
        """Remove every entry of the pages from `first` up to `end` (None: all)."""
        yield from self.bar_walk(space)
        for vma in self.of(space).vmas:
            for address in list(vma.process.ptes):
                index = vma.index_of(address)
                in_range = first <= index and (end is None or index < end)
                if vma.contains(address) and in_range:
                    self.tables.zap(vma.process, address)
        self.unbar_walk(space)

    def entries(
        self, space: AddressSpace, page: Page
    ) -> Iterator[tuple[Process, int, Pte]]:
        """Walk over the entries of a page; for looking, not for waiting."""
        for vma in self.of(space).vmas:
            address = vma.address_of(page.index)
            pte = None if address is None else vma.process.ptes.get(address)
            if address is not None and pte is not None and pte.page is page:
                yield vma.process, address, pte

    def bar(self, space: AddressSpace, who: str) -> Stepped[None]:
        """Keep walks out while entries of a file are moved or copied."""
        yield from self.of(space).lock.acquire(who)

    def unbar(self, space: AddressSpace) -> None:
        """Let walks go on."""
        self.of(space).lock.release()
