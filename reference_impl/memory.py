"""Physical memory: pages, and who holds on to them.

A page is held in two ways. A *reference* keeps the page from being freed. A
*pin* also says that its data will be accessed behind the CPU's back, by a device.
Both live in one counter: a pin is worth `pin_bias` references. The page is freed
when the counter comes down to zero, whichever kind of put brings it there.

Some pages come together, as a *large folio*: consecutive, aligned, with one counter
for all of them, which the first page, the *head*, keeps. Whoever holds any page of it
holds the folio, and all its pages are freed at once. Its pins are counted exactly,
beside the references: each pin is worth one reference there. A folio whose pages are
held by nobody but their owner can be split into single pages; while that lasts it is
*frozen*, and nobody may take a reference who does not know that the folio is there.
What is told of a page - its lock, dirty, under writeback - is told of each by itself,
as filesystems do by block.

Interface:
  * `allocate` gives a page with one reference; `get` and `put` count more.
  * `allocate_folio` gives the pages of a large folio with one reference each;
    `freeze` and `break_up` split it.
  * `pin` and `unpin` are for get_user_pages. Ask `has_room` first.
  * `maybe_dma_pinned` answers whether a page may be pinned. Its yes may be wrong;
    its no is not.
  * Do not touch `refcount` from another file.
"""

from collections.abc import Callable
from typing import Protocol

import attrs

from conformance.interface import Errno, Event, Geometry, KernelError
from conformance.interface.events import PageFreed, PageKey


class Owner(Protocol):
    """What a page may belong to: the page cache of a file."""

    file: int
    """Handle of the file."""
    is_tracked: bool
    """Writes to its pages must be known, because they are written back."""


class AnonOwner(Protocol):
    """What a page of no file may belong to: anonymous memory."""

    is_secret: bool
    """Nobody but the processes that map it gets at its pages."""


@attrs.define(eq=False)
class Page:
    """One page of physical memory."""

    pfn: int
    words: list[int]
    own_count: int = attrs.field(default=0, alias="refcount")
    """The count, if it is kept here; see `refcount`."""
    folio: "list[Page]" = attrs.field(factory=list, repr=False)
    """All pages of its large folio, the head first; empty: it is a single page."""
    pin_count: int = 0
    """In the head of a large folio: how many pins there are of its pages."""
    is_frozen: bool = False
    """In the head of a large folio: it is being split."""
    mapping: Owner | None = None
    """Whose page it is; None: nobody's, an orphan."""
    index: int = 0
    """Which page of its file it is."""
    locked_by: str | None = None
    """Who holds the page lock; None: nobody."""
    is_dirty: bool = False
    is_under_writeback: bool = False
    is_uptodate: bool = False
    has_buffers: bool = False
    """State that writeback needs is attached."""
    blocks_reserved: int = 0
    """Blocks promised to the next writes of this page."""
    anon: AnonOwner | None = None
    """The anonymous memory that it is a page of; it has no `mapping` then."""
    is_exclusive: bool = False
    """An anonymous page of one process alone, which may write to it in place."""

    @property
    def is_large(self) -> bool:
        """Whether it is part of a large folio."""
        return bool(self.folio)

    @property
    def head(self) -> "Page":
        """The first page of its folio; itself, if that is one page."""
        return self.folio[0] if self.folio else self

    @property
    def parts(self) -> "list[Page]":
        """All pages of its folio, itself among them."""
        return self.folio or [self]

    @property
    def cached_parts(self) -> "list[Page]":
        """The pages of its folio that belong to a file."""
        return [part for part in self.parts if part.mapping is not None]

    @property
    def counted(self) -> "Page":
        """The page that keeps its count: the head; when that is frozen, itself.

        Who looks a page up while its folio is split waits in the kernel until that
        is done, and then has a reference of what is a single page.
        """
        head = self.head
        return self if head.is_frozen else head

    @property
    def refcount(self) -> int:
        """References of its folio; of a single page, and `pin_bias` for each pin.

        0: nobody holds it; it is free.
        """
        return self.counted.own_count

    @refcount.setter
    def refcount(self, count: int) -> None:
        self.counted.own_count = count

    @property
    def is_locked(self) -> bool:
        """Whether somebody holds the page lock."""
        return self.locked_by is not None

    @property
    def key(self) -> PageKey:
        """File and index, as events name a page; None: an orphan."""
        return None if self.mapping is None else (self.mapping.file, self.index)


@attrs.define(eq=False)
class Memory:
    """All pages, and the free list."""

    geometry: Geometry
    tell: Callable[[Event], None] | None = None
    pages: list[Page] = attrs.field(factory=list[Page])
    """Every page that was ever used, by pfn; the others have never been touched."""
    free: list[int] = attrs.field(factory=list[int])
    """The pfns of used pages that are free now; the last one is used next."""

    @property
    def free_count(self) -> int:
        """How many pages nobody holds."""
        return self.geometry.memory_pages - len(self.pages) + len(self.free)

    def allocate(self, *, stays: bool = False) -> Page:
        """Take a free page, zeroed, with one reference.

        The movable zone is used first, except by pages that will have to stay.

        Raises:
            KernelError: ENOMEM, if there is none.
        """
        page = self.find_free(stays=stays)
        page.words = [0] * self.geometry.words_per_page
        page.refcount = 1
        return page

    def find_free(self, *, stays: bool) -> Page:
        """Take a page from the free list, or one that was never touched."""
        if self.geometry.movable_pages:
            return self.find_in_zones(stays=stays)
        if self.free:
            return self.pages[self.free.pop()]
        if len(self.pages) == self.geometry.memory_pages:
            raise KernelError(Errno.ENOMEM, "no page of memory is free")
        page = Page(pfn=len(self.pages), words=[])
        self.pages.append(page)
        return page

    def find_in_zones(self, *, stays: bool) -> Page:
        """Take a free page of the zone that is due."""
        for pfn in range(len(self.pages), self.geometry.memory_pages):
            self.pages.append(Page(pfn=pfn, words=[]))
            self.free.insert(0, pfn)
        candidates = [pfn for pfn in reversed(self.free) if self.is_in_zone(pfn)]
        others = [pfn for pfn in reversed(self.free) if not self.is_in_zone(pfn)]
        found = others if stays else candidates + others
        if not found:
            raise KernelError(Errno.ENOMEM, "no page of memory is free")
        self.free.remove(found[0])
        return self.pages[found[0]]

    def is_in_zone(self, pfn: int) -> bool:
        """Tell whether a frame is in the movable zone."""
        return pfn >= self.geometry.memory_pages - self.geometry.movable_pages

    def maybe_dma_pinned(self, page: Page) -> bool:
        """Tell whether the page may be pinned; a no is certain.

        An overflowed count is negative; as in the kernel it reads as pinned. Of a
        large folio the pins are known, but not to which of its pages they belong.
        """
        if page.is_large:
            return page.head.pin_count > 0
        return page.refcount >= self.geometry.pin_bias or page.refcount < 0

    def pin_worth(self, page: Page) -> int:
        """Return by how much a pin raises the reference count."""
        return 1 if page.is_large else self.geometry.pin_bias

    def has_room(self, page: Page, count: int) -> bool:
        """Tell whether get_user_pages may add `count` to the reference count.

        The worth of one pin is left for those who cannot be refused.
        """
        limit = self.geometry.refcount_max - self.geometry.pin_bias
        return page.refcount + count <= limit

    def get(self, page: Page) -> None:
        """Take a reference of a page that is already held."""
        self.add(page, 1)

    def put(self, page: Page) -> None:
        """Drop a reference; the last one frees the page."""
        self.drop(page, 1)

    def pin(self, page: Page) -> None:
        """Take a pin of a page that is already held."""
        if page.is_large:
            page.head.pin_count += 1
        self.add(page, self.pin_worth(page))

    def unpin(self, page: Page) -> None:
        """Drop a pin; the last holder frees the page."""
        worth = self.pin_worth(page)
        if page.is_large:
            page.head.pin_count -= 1
        self.drop(page, worth)

    def add(self, page: Page, count: int) -> None:
        """Raise the reference count; past its limit it wraps, as an int does."""
        size = self.geometry.refcount_max + 1
        page.refcount = (page.refcount + count + size) % (2 * size) - size

    def drop(self, page: Page, count: int) -> None:
        """Lower the reference count and free the page at zero."""
        self.add(page, -count)
        if page.refcount == 0 and not page.head.is_frozen:
            self.free_page(page)

    def free_page(self, page: Page) -> None:
        """Give the page back to the free list, and with it all of its folio."""
        parts = page.parts
        page.head.pin_count = 0
        for part in parts:
            part.folio = []
        for part in parts:
            self.free_part(part)

    def free_part(self, page: Page) -> None:
        """Give one page back."""
        page.mapping = None
        page.locked_by = None
        page.is_dirty = page.is_under_writeback = False
        page.is_uptodate = page.has_buffers = False
        page.anon = None
        page.is_exclusive = False
        self.free.append(page.pfn)
        if self.tell is not None:
            self.tell(PageFreed(page.pfn))

    # --- large folios -------------------------------------------------------------

    def allocate_folio(self) -> list[Page]:
        """Take a large folio, zeroed, with one reference for each page.

        Returns:
            Its pages; none, if there is no aligned range of so many free pages.
        """
        count = self.geometry.folio_pages
        first = self.find_range(count)
        if first is None:
            return []
        while len(self.pages) < first + count:
            self.free.insert(0, len(self.pages))
            self.pages.append(Page(pfn=len(self.pages), words=[]))
        folio = self.pages[first : first + count]
        for page in folio:
            self.free.remove(page.pfn)
            page.words = [0] * self.geometry.words_per_page
            page.folio = folio
        folio[0].own_count = count
        return folio

    def find_range(self, count: int) -> int | None:
        """Return the first pfn of an aligned range of free pages, if there is one.

        The one that was freed last is taken first, as for single pages.
        """
        free, touched = set(self.free), len(self.pages)
        firsts = [pfn - pfn % count for pfn in reversed(self.free)]
        firsts += [touched - touched % count, touched - touched % count + count]
        for first in firsts:
            pfns = range(first, first + count)
            is_free = all(pfn in free or pfn >= touched for pfn in pfns)
            is_in_one_zone = self.is_in_zone(first) == self.is_in_zone(pfns[-1])
            is_there = pfns[-1] < self.geometry.memory_pages
            if is_free and is_in_one_zone and is_there:
                return first
        return None

    def freeze(self, page: Page, expected: int) -> bool:
        """Keep everybody off a large folio, if it has just so many references."""
        head = page.head
        if head.own_count != expected:
            return False
        head.own_count = 0
        head.is_frozen = True
        return True

    def break_up(self, page: Page) -> None:
        """Turn a large folio into single pages, and end the freeze.

        What belongs to a file keeps the reference of the cache, and the page that is
        given that of the caller; the rest is freed.
        """
        parts, head = page.parts, page.head
        for part in parts:
            part.folio = []
            part.own_count += part.mapping is not None
        head.is_frozen = False
        page.own_count += 1
        for part in parts:
            if part.own_count == 0:
                self.free_page(part)
