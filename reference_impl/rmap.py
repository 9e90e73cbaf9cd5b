"""The reverse map: from a page to the page table entries that map it.

Cleaning a page begins with taking away everybody's right to write to it. The walk
over its mappings takes time, so while it lasts no entry may slip from a place that
it has yet to visit to one that it has passed: faults are kept out by the page
lock, mremap, fork and munmap by the rmap lock of the file (the *bar*).

A page is found through its owner, the file or the anon_vma. A private mapping shows
pages of both and is known to both. A merged page may be at any address of a mapping,
so that for anonymous pages every address is looked at.

Interface:
  * `page_mkclean` write-protects and cleans every entry of a page and returns
    whether one of them was dirty. The page is locked.
  * `unmap_page` removes every entry of a page.
  * `entries_of` walks over the entries of a page, whoever owns it.
  * `bar` and `unbar` are for those who move or copy entries of a file.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import Step
from reference_impl.anon import AnonVma
from reference_impl.memory import Page
from reference_impl.notifier import Change
from reference_impl.pagecache import AddressSpace
from reference_impl.pagetable import PageTables, Process, Pte, Vma
from reference_impl.stepping import Lock, Stepped

Owner = AddressSpace | AnonVma
"""A file, or anonymous memory."""


@attrs.define(eq=False)
class Mappings:
    """Who maps pages of an owner."""

    vmas: list[Vma] = attrs.field(factory=list[Vma])
    lock: Lock = attrs.field(factory=lambda: Lock("rmap lock"))
    """Held by a walk, and by whoever moves or copies entries."""


@attrs.define(eq=False)
class Rmap:
    """All mappings, by the owners of the pages that they may show."""

    tables: PageTables
    mappings: dict[Owner, Mappings] = attrs.field(factory=dict[Owner, Mappings])

    def of(self, space: Owner) -> Mappings:
        """Return who maps pages of an owner."""
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
            change = yield from self.announce_clean(vma.process, address)
            was_dirty |= self.clean_pte(vma.process, address, page)
            self.tables.notifiers.invalidate_end(change)
            yield Step("mkclean.pte")
        self.unbar_walk(space)
        yield Step("mkclean.done")
        return was_dirty

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        """Return the mappings that page_mkclean has to visit."""
        return list(self.of(space).vmas)

    def announce_clean(self, process: Process, address: int) -> Stepped[Change]:
        """Tell those who follow an entry that it is about to become read-only.

        Returns:
            The change; nobody writes through the entry until it is ended.
        """
        where = range(address, address + 1)
        return self.tables.notifiers.invalidate_start(
            process, where, only_protects=True
        )

    def clean_pte(self, process: Process, address: int, page: Page) -> bool:
        """Write-protect and clean one entry of a page; return its dirty bit."""
        pte = process.ptes.get(address)
        if pte is None or pte.page is not page:
            return False
        return self.tables.protect(process, address, clean=True)

    def bar_walk(self, space: Owner) -> Stepped[None]:
        """Keep mremap, fork and munmap out of a walk."""
        yield from self.of(space).lock.acquire("walk")

    def unbar_walk(self, space: Owner) -> None:
        """End a walk."""
        self.of(space).lock.release()

    def unmap_page(self, space: AddressSpace, page: Page) -> Stepped[None]:
        """Remove every entry of a page; dirty bits go to the page."""
        yield from self.bar_walk(space)
        for process, address, _pte in list(self.entries(space, page)):
            yield from self.unmap_entry(process, address, page)
        self.unbar_walk(space)

    def unmap_entry(self, process: Process, address: int, page: Page) -> Stepped[None]:
        """Remove one entry of a page, if it still is one when all who follow know."""
        where = range(address, address + 1)
        change = yield from self.announce_unmap(process, where)
        pte = process.ptes.get(address)
        if pte is not None and pte.page is page:
            self.tables.zap(process, address)
        self.tables.notifiers.invalidate_end(change)

    def announce_unmap(self, process: Process, addresses: range) -> Stepped[Change]:
        """Tell those who follow some entries that these are about to go.

        Returns:
            The change; nobody uses the entries until it is ended.
        """
        return self.tables.notifiers.invalidate_start(process, addresses)

    def unmap_range(
        self, space: AddressSpace, first: int, end: int | None
    ) -> Stepped[None]:
        """Remove every entry of the pages from `first` up to `end` (None: all).

        Where the file ends before them, private copies of them go, too: there is
        nothing left that they could be copies of. A hole leaves them.
        """
        yield from self.bar_walk(space)
        for vma in self.of(space).vmas:
            addresses = vma.addresses_of(first, end)
            change = yield from self.announce_unmap(vma.process, addresses)
            for address in addresses:
                self.unmap_address(vma, address, even_copies=end is None)
            self.tables.notifiers.invalidate_end(change)
        self.unbar_walk(space)

    def unmap_address(self, vma: Vma, address: int, *, even_copies: bool) -> None:
        """Remove the entry of a page of a file, and maybe that of a copy of it."""
        pte = vma.process.ptes.get(address)
        if even_copies:
            self.tables.clear(vma.process, address)
        elif pte is not None and pte.page.anon is None:
            self.tables.zap(vma.process, address)

    def entries(
        self, space: AddressSpace, page: Page
    ) -> Iterator[tuple[Process, int, Pte]]:
        """Walk over the entries of a page; for looking, not for waiting."""
        for vma in self.of(space).vmas:
            address = vma.address_of(page.index)
            pte = None if address is None else vma.process.ptes.get(address)
            if address is not None and pte is not None and pte.page is page:
                yield vma.process, address, pte

    def entries_of(self, page: Page) -> list[tuple[Process, int, Pte]]:
        """Return all entries of a page; for looking, not for waiting."""
        if isinstance(page.mapping, AddressSpace):
            return list(self.entries(page.mapping, page))
        if isinstance(page.anon, AnonVma):
            return list(self.anon_entries(page.anon, page))
        return []

    def anon_entries(
        self, owner: AnonVma, page: Page
    ) -> Iterator[tuple[Process, int, Pte]]:
        """Walk over the entries of an anonymous page."""
        for vma in self.of(owner).vmas:
            for address in vma.addresses:
                pte = vma.process.ptes.get(address)
                if pte is not None and pte.page is page:
                    yield vma.process, address, pte

    def bar(self, space: Owner, who: str) -> Stepped[None]:
        """Keep walks out while entries of a file are moved or copied."""
        yield from self.of(space).lock.acquire(who)

    def unbar(self, space: Owner) -> None:
        """Let walks go on."""
        self.of(space).lock.release()
