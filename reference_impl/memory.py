"""Physical memory: pages, and who holds on to them.

A page is held in two ways. A *reference* keeps the page from being freed. A
*pin* also says that its data will be accessed behind the CPU's back, by a device.
Both live in one counter: a pin is worth `pin_bias` references. The page is freed
when the counter comes down to zero, whichever kind of put brings it there.

Interface:
  * `allocate` gives a page with one reference; `get` and `put` count more.
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


@attrs.define(eq=False)
class Page:
    """One page of physical memory."""

    pfn: int
    words: list[int]
    refcount: int = 0
    """References, and `pin_bias` for each pin; 0: the page is free."""
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

    def allocate(self) -> Page:
        """Take a free page, zeroed, with one reference.

        Raises:
            KernelError: ENOMEM, if there is none.
        """
        if self.free:
            page = self.pages[self.free.pop()]
        elif len(self.pages) < self.geometry.memory_pages:
            page = Page(pfn=len(self.pages), words=[])
            self.pages.append(page)
        else:
            raise KernelError(Errno.ENOMEM, "no page of memory is free")
        page.words = [0] * self.geometry.words_per_page
        page.refcount = 1
        return page

    def maybe_dma_pinned(self, page: Page) -> bool:
        """Tell whether the page may be pinned; a no is certain.

        An overflowed count is negative; as in the kernel it reads as pinned.
        """
        return page.refcount >= self.geometry.pin_bias or page.refcount < 0

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
        self.add(page, self.geometry.pin_bias)

    def unpin(self, page: Page) -> None:
        """Drop a pin; the last holder frees the page."""
        self.drop(page, self.geometry.pin_bias)

    def add(self, page: Page, count: int) -> None:
        """Raise the reference count; past its limit it wraps, as an int does."""
        size = self.geometry.refcount_max + 1
        page.refcount = (page.refcount + count + size) % (2 * size) - size

    def drop(self, page: Page, count: int) -> None:
        """Lower the reference count and free the page at zero."""
        self.add(page, -count)
        if page.refcount == 0:
            self.free_page(page)

    def free_page(self, page: Page) -> None:
        """Give the page back to the free list."""
        page.mapping = None
        page.locked_by = None
        page.is_dirty = page.is_under_writeback = False
        page.is_uptodate = page.has_buffers = False
        self.free.append(page.pfn)
        if self.tell is not None:
            self.tell(PageFreed(page.pfn))
