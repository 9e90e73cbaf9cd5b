"""The page cache: the pages of each file that are in memory, and their flags.

A page that belongs to a file is found here by its index. The page lock decides
who may change that, and who may clean the page. Truncated, invalidated and
unmounted pages leave: they are orphans, nobody's file.

Interface:
  * `lock` waits for the page lock, `unlock` lets go of it. Whoever locked a page
    that it had looked up before asks `belongs` again.
  * `mark_dirty`, `clear_dirty_for_io`, `start_writeback` and `end_writeback`
    change the flags and the counters with them; do not set the flags elsewhere.
  * `insert` and `remove` change whose page it is.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Event
from conformance.interface.events import (
    BuffersAttached,
    BuffersReleased,
    PageCleaned,
    PageDirtied,
    PageOrphaned,
    WritebackEnded,
    WritebackStarted,
)
from reference_impl.counters import Counters
from reference_impl.memory import Memory, Page
from reference_impl.stepping import SharedLock, Stepped, wait_until


@attrs.define(eq=False)
class AddressSpace:
    """The cached pages of one file."""

    file: int
    is_tracked: bool
    pages: dict[int, Page] = attrs.field(factory=dict[int, Page])
    """By index."""
    invalidate_lock: SharedLock = attrs.field(
        factory=lambda: SharedLock("invalidate lock")
    )
    """Held shared to bring a page in, alone to take blocks from the file."""


@attrs.define(eq=False)
class PageCache:
    """Locks, flags and lookups of the pages of files."""

    memory: Memory
    counters: Counters
    tell: Callable[[Event], None] | None = None

    # --- the page lock ------------------------------------------------------------

    def lock(self, page: Page, who: str, *, nowait: bool = False) -> Stepped[None]:
        """Take the page lock, waiting for it if need be."""
        if page.locked_by is not None:
            yield from wait_until(
                "page lock", lambda: page.locked_by is None, nowait=nowait
            )
        page.locked_by = who

    def unlock(self, page: Page) -> None:
        """Let go of the page lock."""
        page.locked_by = None

    def belongs(self, page: Page, space: AddressSpace, index: int) -> bool:
        """Tell whether the page is still this page of this file."""
        return page.mapping is space and page.index == index

    # --- whose page it is -----------------------------------------------------------

    def insert(self, space: AddressSpace, index: int, page: Page) -> None:
        """Make a page the page of a file; the cache takes over its reference."""
        assert index not in space.pages, f"file {space.file} has page {index} already"
        page.mapping = space
        page.index = index
        space.pages[index] = page

    def remove(self, space: AddressSpace, page: Page) -> None:
        """Make a page an orphan and drop the reference of the cache.

        Context: the page is locked, unmapped and not under writeback.
        """
        assert not page.is_under_writeback, f"page {page.pfn} is under writeback"
        key = page.key
        if page.is_dirty:
            self.clear_dirty_for_io(page)
        if page.has_buffers:
            self.release_buffers(page)
        del space.pages[page.index]
        page.mapping = None
        if self.tell is not None:
            self.tell(PageOrphaned(key, page.pfn))

    def replace(self, space: AddressSpace, page: Page, target: Page) -> None:
        """Make another page the page of the file; it takes over all that is known.

        The cache takes over the reference of the target and drops that of the page.

        Context: the page is locked, not under writeback, and nobody else holds it.
        """
        assert not page.is_under_writeback, f"page {page.pfn} is under writeback"
        target.mapping, target.index = space, page.index
        target.is_dirty, page.is_dirty = page.is_dirty, False
        target.has_buffers, page.has_buffers = page.has_buffers, False
        target.blocks_reserved, page.blocks_reserved = page.blocks_reserved, 0
        space.pages[page.index] = target
        page.mapping = None
        self.memory.put(page)

    # --- dirty ------------------------------------------------------------------------

    def mark_dirty(self, page: Page) -> bool:
        """Set the dirty flag; tell whether it was clear.

        An orphan is nobody's file: nothing happens to it.
        """
        if page.mapping is None or page.is_dirty:
            return False
        page.is_dirty = True
        self.counters.dirty += 1
        if self.tell is not None:
            event = PageDirtied(page.key, page.pfn, page.is_locked, page.has_buffers)
            self.tell(event)
        return True

    def clear_dirty_for_io(self, page: Page) -> None:
        """Clear the dirty flag; what was dirty is about to be written or dropped."""
        assert page.is_dirty, f"page {page.pfn} is not dirty"
        page.is_dirty = False
        self.counters.dirty -= 1
        if self.tell is not None:
            self.tell(PageCleaned(page.key, page.pfn, page.is_locked))

    # --- writeback ----------------------------------------------------------------

    def start_writeback(
        self, page: Page, *, is_bounced: bool, is_integrity: bool
    ) -> None:
        """Set the writeback flag."""
        assert not page.is_under_writeback, f"page {page.pfn} is under writeback"
        page.is_under_writeback = True
        self.counters.under_writeback += 1
        if self.tell is not None:
            event = WritebackStarted(
                page.key, page.pfn, page.is_locked, is_bounced, is_integrity
            )
            self.tell(event)

    def end_writeback(self, page: Page, *, failed: bool) -> None:
        """Clear the writeback flag; whoever waits for it may go on."""
        assert page.is_under_writeback, f"page {page.pfn} is not under writeback"
        page.is_under_writeback = False
        self.counters.under_writeback -= 1
        if self.tell is not None:
            self.tell(WritebackEnded(page.key, page.pfn, failed))

    def wait_writeback(self, page: Page, *, nowait: bool = False) -> Stepped[None]:
        """Wait until the page is not under writeback."""
        if page.is_under_writeback:
            yield from wait_until(
                "writeback", lambda: not page.is_under_writeback, nowait=nowait
            )

    # --- buffers ----------------------------------------------------------------------

    def attach_buffers(self, page: Page) -> None:
        """Attach the state that writeback needs, unless it is there."""
        if page.has_buffers:
            return
        page.has_buffers = True
        if self.tell is not None:
            self.tell(BuffersAttached(page.key, page.pfn))

    def release_buffers(self, page: Page) -> None:
        """Take the state that writeback needs from a page."""
        assert page.has_buffers, f"page {page.pfn} has no buffers"
        page.has_buffers = False
        if self.tell is not None:
            self.tell(BuffersReleased(page.key, page.pfn))
