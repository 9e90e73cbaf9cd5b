"""The filesystem: page_mkwrite, bringing pages in, and where their data goes.

Every write access to a clean page begins with page_mkwrite: only there can the
filesystem make sure that the page can be written back later. Its order is lock,
revalidate, wait for sharing, for stable, for thaw, prepare; each wait drops the lock
and begins anew, so that at the end all conditions hold under one hold of it.

Interface:
  * `page_mkwrite` returns with the page locked and ready to be dirtied, or says
    that the fault must be retried; `end_pagefault` follows when it is dirty.
  * `prepare_dirty` is its last part, which writeback calls again for each bounce
    write of a pinned page.
  * `find_page` looks a page up, bringing it in if need be, with a reference.
  * `orphan` takes a page from its file.
  * `map_block`, `data_landed` and `data_lost` are the life of a block write.
"""

from collections.abc import Callable
from contextlib import suppress

import attrs

from conformance.interface import Errno, Event, Geometry, KernelError, Step
from conformance.interface.events import PageMkwriteCalled, PageMkwriteReturned
from reference_impl import cipher
from reference_impl.blockdev import Disk, Words
from reference_impl.gate import Gate
from reference_impl.inode import Extent, Inode
from reference_impl.memory import Memory, Page
from reference_impl.pagecache import PageCache
from reference_impl.space import Journal, Space
from reference_impl.stepping import SPACE, Stepped, flags_of, wait_until
from reference_impl.traits import Traits


@attrs.define(eq=False)
class Filesystem:
    """A mounted filesystem, and what page faults and writeback ask of it."""

    geometry: Geometry
    traits: Traits
    memory: Memory
    cache: PageCache
    disk: Disk
    space: Space
    journal: Journal
    tell: Callable[[Event], None] | None = None
    gate: Gate = attrs.field(factory=Gate)
    inodes: list[Inode] = attrs.field(factory=list[Inode])
    """All files, those that lost their name included."""
    is_mounted: bool = True

    # --- page_mkwrite -----------------------------------------------------------------

    def page_mkwrite(
        self,
        inode: Inode,
        page: Page,
        index: int,
        *,
        for_device: bool = False,
        nowait: bool = False,
    ) -> Stepped[bool]:
        """Prepare a clean page for being written to.

        Returns:
            True: the page is locked, has its blocks and may be dirtied. False: it
            is not this page of the file any more, and the fault must be retried.

        Raises:
            KernelError: ENOSPC; EAGAIN if it would wait and may not. The page is
                not locked then, and nothing has changed.
        """
        if self.tell is not None:
            self.tell(PageMkwriteCalled(page.key, page.pfn))
        yield Step("mkwrite.entered", (flags_of(page.pfn),), (flags_of(page.pfn),))
        if not (yield from self.lock_for_write(inode, page, index, for_device, nowait)):
            self.tell_mkwrite(page, succeeded=False)
            return False
        try:
            self.prepare_dirty(inode, page)
        except KernelError:
            self.end_pagefault()
            self.cache.unlock(page)
            self.tell_mkwrite(page, succeeded=False)
            raise
        inode.mkwrites += 1
        self.update_mtime(inode)
        self.tell_mkwrite(page, succeeded=True)
        yield Step("mkwrite.prepared")
        return True

    def lock_for_write(
        self, inode: Inode, page: Page, index: int, for_device: bool, nowait: bool
    ) -> Stepped[bool]:
        """Lock a page when it may be dirtied; false: it is not the file's any more."""
        own = (flags_of(page.pfn),)
        while True:
            yield from self.cache.lock(page, "page_mkwrite", nowait=nowait)
            yield Step("mkwrite.page_locked", own, own)
            if not self.is_valid(inode, page, index):
                self.cache.unlock(page)
                return False
            yield Step("mkwrite.revalidated", own, own)
            if not self.may_be_dirtied(inode, index):
                self.cache.unlock(page)
                yield from self.wait_for_sharing(inode, index, nowait=nowait)
                continue
            if self.must_wait_for_writeback(page, for_device=for_device):
                self.cache.unlock(page)
                yield from self.cache.wait_writeback(page, nowait=nowait)
                continue
            yield Step("mkwrite.stable", (SPACE, *own), (SPACE, *own))
            if self.must_wait_for_thaw():
                self.cache.unlock(page)
                yield from wait_until("thaw", self.gate.is_open, nowait=nowait)
                continue
            self.start_pagefault()
            yield Step("mkwrite.thawed")
            return True

    def is_valid(self, inode: Inode, page: Page, index: int) -> bool:
        """Tell whether a locked page is still the page of the file, below its end."""
        is_inside = index * self.geometry.words_per_page < inode.size_words
        return is_inside and self.cache.belongs(page, inode.space, index)

    def must_wait_for_writeback(self, page: Page, *, for_device: bool) -> bool:
        """Tell whether the content of the page must be left alone now.

        A page is never handed to a device while it is under writeback (S25).
        """
        needs_wait = for_device or self.traits.needs_stable_pages
        return needs_wait and page.is_under_writeback

    def may_be_dirtied(self, inode: Inode, index: int) -> bool:
        """Tell whether a clean page may become dirty now, as far as its file goes.

        Not while blocks are about to be shared, nor while the page is being written
        past the cache: it could not be dropped afterwards.
        """
        return inode.may_be_dirtied() and index not in inode.direct_writes

    def wait_for_sharing(
        self, inode: Inode, index: int, *, nowait: bool
    ) -> Stepped[None]:
        """Wait for whoever shares blocks, or writes past the cache."""
        yield from wait_until(
            "sharing or direct I/O",
            lambda: self.may_be_dirtied(inode, index),
            nowait=nowait,
        )

    def must_wait_for_thaw(self) -> bool:
        """Tell whether the filesystem is frozen."""
        return self.gate.is_closed

    def start_pagefault(self) -> None:
        """Begin the write access of a fault; a freeze waits for its end."""
        self.gate.writers += 1

    def end_pagefault(self) -> None:
        """End the write access of a fault: the page is dirty, or will not be."""
        self.gate.leave()

    def prepare_dirty(self, inode: Inode, page: Page) -> None:
        """Make sure that a page can be written back: promise blocks, attach buffers.

        Context: the page is locked.

        Raises:
            KernelError: ENOSPC; nothing has changed.
        """
        self.space.reserve(page, self.blocks_wanted(inode, page.index))
        self.cache.attach_buffers(page)

    def blocks_wanted(self, inode: Inode, index: int) -> int:
        """Return how many blocks must be promised to a page before it is dirtied.

        One for the next write. Where that write frees no block, a second one, for
        the write after it: the new promise must stand before the old one is spent.
        """
        extent = inode.extents.get(index)
        if not self.traits.is_tracked:
            return 0
        if extent is None or self.space.is_shared(extent.block):
            return 2
        return 1 if self.traits.is_copy_on_write else 0

    def is_prepared(self, inode: Inode, page: Page) -> bool:
        """Tell whether a dirty page has what its next write needs."""
        extent = inode.extents.get(page.index)
        needs_block = extent is None or self.goes_elsewhere(extent)
        return page.has_buffers and (page.blocks_reserved > 0 or not needs_block)

    def update_mtime(self, inode: Inode) -> None:
        """Move the modification time of a file."""
        inode.mtime += 1

    def tell_mkwrite(self, page: Page, *, succeeded: bool) -> None:
        """Tell how page_mkwrite ended."""
        if self.tell is not None:
            event = PageMkwriteReturned(
                page.key, page.pfn, succeeded, is_locked=succeeded and page.is_locked
            )
            self.tell(event)

    # --- pages coming and going -------------------------------------------------------

    def find_page(
        self, inode: Inode, index: int, *, nowait: bool = False
    ) -> Stepped[Page]:
        """Return a page of a file with a reference, bringing it in if need be.

        Raises:
            KernelError: EIO, if it cannot be read; ENOMEM.
        """
        space = inode.space
        while True:
            if not self.is_mounted:
                raise KernelError(Errno.EIO, "the filesystem is not mounted")
            page = space.pages.get(index)
            if page is None:
                yield from self.bring_in(inode, index, nowait=nowait)
            elif page.is_uptodate:
                self.memory.get(page)
                return page
            else:
                yield from wait_until("page read", self.is_read(page), nowait=nowait)
                assert not self.is_left_empty(inode, page), "nobody reads the page"

    def hold_page(self, inode: Inode, page: Page) -> bool:
        """Take a reference of a page that was listed before, if it is still there."""
        if page.mapping is not inode.space:
            return False
        self.memory.get(page)
        return True

    def is_read(self, page: Page) -> Callable[[], bool]:
        """Return the condition that nobody is filling the page any more."""
        return lambda: page.is_uptodate or not page.is_locked

    def is_left_empty(self, inode: Inode, page: Page) -> bool:
        """Tell whether a page of a file was never filled, and nobody is at it."""
        is_there = inode.space.pages.get(page.index) is page
        return is_there and not page.is_uptodate and not page.is_locked

    def bring_in(self, inode: Inode, index: int, *, nowait: bool) -> Stepped[None]:
        """Add a page to the page cache and fill it from the disk, with its folio."""
        space = inode.space
        yield from space.invalidate_lock.acquire_read(nowait=nowait)
        try:
            if index not in space.pages:
                pages = self.allocate_around(inode, index)
                for number, page in pages.items():
                    page.locked_by = "read"
                    self.cache.insert(space, number, page)
                yield Step("read.page_locked")
                self.fill_all(inode, pages, index)
                yield Step("read.page_filled")
                for page in pages.values():
                    self.cache.unlock(page)
        finally:
            space.invalidate_lock.release_read()

    def allocate_around(self, inode: Inode, index: int) -> dict[int, Page]:
        """Allocate the folio that a page of a file belongs to; by index.

        A single page, if there are no large folios, if another page of the file is in
        the way, or if memory is too broken up.
        """
        count = self.geometry.folio_pages
        indexes = range(index - index % count, index - index % count + count)
        if count > 1 and not any(number in inode.space.pages for number in indexes):
            folio = self.memory.allocate_folio()
            if folio:
                return dict(zip(indexes, folio, strict=True))
        return {index: self.memory.allocate()}

    def fill_all(self, inode: Inode, pages: dict[int, Page], index: int) -> None:
        """Fill new pages; only for the one that is wanted does it matter if it fails.

        The others are read ahead.
        """
        ahead = [number for number in pages if number != index]
        try:
            self.fill_or_drop(inode, pages[index], index)
        except KernelError:
            for number in ahead:
                self.orphan(inode, pages[number])
                self.cache.unlock(pages[number])
            raise
        for number in ahead:
            with suppress(KernelError):
                self.fill_or_drop(inode, pages[number], number)

    def fill_or_drop(self, inode: Inode, page: Page, index: int) -> None:
        """Fill a new page; if that fails, take it out again."""
        try:
            page.words = list(self.read_block(inode, index))
        except KernelError:
            self.orphan(inode, page)
            self.cache.unlock(page)
            raise
        page.is_uptodate = True

    def read_block(self, inode: Inode, index: int) -> Words:
        """Read one page of a file from the disk; beyond the end of file it is zero.

        Raises:
            KernelError: EIO, if it cannot be read or its checksum does not match.
        """
        extent = inode.extents.get(index)
        if extent is None:
            return self.disk.zeros
        words = self.disk.read(extent.block)
        if extent.checksum is not None and words != extent.checksum:
            raise KernelError(Errno.EIO, f"block {extent.block}: wrong checksum")
        return self.cut(inode, index, self.decrypt(extent.block, words))

    def orphan(self, inode: Inode, page: Page) -> None:
        """Take a page from its file: nobody's page, clean, with no promise.

        Context: the page is locked, unmapped and not under writeback.
        """
        self.space.unreserve(page)
        self.cache.remove(inode.space, page)
        self.memory.put(page)

    # --- writing blocks ---------------------------------------------------------------

    def cut(self, inode: Inode, index: int, words: Words) -> Words:
        """Return the words of a page with those beyond the end of file zeroed."""
        inside = inode.size_words - index * self.geometry.words_per_page
        if inside >= len(words):
            return words
        inside = max(inside, 0)
        return words[:inside] + self.disk.zeros[inside:]

    def map_block(self, inode: Inode, page: Page) -> int:
        """Return the block that the next write of a page goes to."""
        extent = inode.extents.get(page.index)
        if extent is not None and not self.goes_elsewhere(extent):
            return extent.block
        return self.space.allocate(page)

    def goes_elsewhere(self, extent: Extent) -> bool:
        """Tell whether a block may not be written in place."""
        return self.space.is_shared(extent.block) or self.traits.is_copy_on_write

    def data_landed(
        self, inode: Inode, page: Page, block: int, checksum: Words
    ) -> None:
        """Make a block that was written the page's block in the file."""
        old = inode.extents.get(page.index)
        keeps_checksums = self.traits.has_checksums
        inode.extents[page.index] = Extent(block, checksum if keeps_checksums else None)
        if old is None or old.block == block:
            return
        needs_block = page.is_dirty and page.blocks_reserved < 1
        if needs_block and not self.space.is_shared(old.block):
            self.space.free_to(page, old.block)
        else:
            self.space.free(old.block)

    def data_lost(self, inode: Inode, page: Page, block: int) -> None:
        """Note a failed write; the block, if new, is promised to the page again."""
        inode.errors += 1
        old = inode.extents.get(page.index)
        if old is None or old.block != block:
            self.space.free_to(page, block)

    def encrypt(self, block: int, words: Words) -> Words:
        """Turn the content of a page into what the disk gets to see."""
        if not self.traits.has_encryption:
            return words
        return cipher.encrypt(block, words)

    def decrypt(self, block: int, words: Words) -> Words:
        """Turn what is on the disk into the content of a page."""
        if not self.traits.has_encryption:
            return words
        return cipher.decrypt(block, words)
