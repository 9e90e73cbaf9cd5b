"""Writeback: getting dirty pages to the disk, pinned ones too.

Under one hold of the page lock a page is write-protected in all mappings, the
dirty bits found there are collected, and only then is asked whether a device may
have it pinned. Only if not is its dirty flag cleared. So either get_user_pages
sees a changed page table entry and backs off, or writeback sees the pin.

A pinned page stays dirty, not for one step clean. Its content is captured once
into a bounce page; checksum, parity and encryption are made of the copy, and the
copy is written. To clean memory that would be pointless, so only fsync and sync
do it, and they never wait for a pin.

Interface:
  * `fsync`, `sync` and `clean` (writeback to clean memory) are for callers.
  * `write_page` writes one locked page. The methods after it are its decisions,
    one each.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, Event, KernelError, Step
from conformance.interface.events import BlockSubmitted, BounceCaptured
from reference_impl.blockdev import Words, WriteRequest
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped, wait_until


@attrs.define(eq=False)
class Writeback:
    """Writes the pages of files."""

    filesystem: Filesystem
    rmap: Rmap
    on_idle: Callable[[Inode], None]
    """Told whenever a page of a file has ended its writeback."""
    tell: Callable[[Event], None] | None = None

    # --- whole files --------------------------------------------------------------

    def fsync(self, inode: Inode) -> Stepped[None]:
        """Make one file durable.

        Raises:
            KernelError: a page could not be written; all of it stays dirty.
        """
        since = inode.errors_told_to_fsync
        yield from self.wait_for_thaw(inode)
        refusal = yield from self.make_durable([inode])
        if inode.errors > since:
            inode.errors_told_to_fsync = inode.errors
            raise KernelError(Errno.EIO, f"file {inode.file} was not written")
        if refusal is not None:
            raise refusal

    def sync(self, *, for_freeze: bool = False) -> Stepped[None]:
        """Make every file durable.

        Raises:
            KernelError: as `fsync`.
        """
        inodes = list(self.filesystem.inodes)
        since = [inode.errors_told_to_sync for inode in inodes]
        if not for_freeze:
            for inode in inodes:
                yield from self.wait_for_thaw(inode)
        refusal = yield from self.make_durable(inodes)
        self.filesystem.journal.forget_unlinked()
        for inode, seen in zip(inodes, since, strict=True):
            if inode.errors > seen:
                inode.errors_told_to_sync = inode.errors
                refusal = KernelError(Errno.EIO, f"file {inode.file} was not written")
        if refusal is not None:
            raise refusal

    def wait_for_thaw(self, inode: Inode) -> Stepped[None]:
        """Wait while the filesystem is frozen: it starts no writeback then.

        Only a page that was pinned at the freeze can be dirty meanwhile.
        """
        if inode.has_dirty():
            yield from wait_until("thaw", self.filesystem.gate.is_open)

    def make_durable(self, inodes: list[Inode]) -> Stepped[KernelError | None]:
        """Write files, wait, flush and commit; return the first refusal.

        What a file has grown by meanwhile need not be durable, but what another call
        has made durable stays so: only a truncate makes the size on the disk smaller.
        """
        refusal = None
        sizes = [inode.size_words for inode in inodes]
        yield Step("fsync.started")
        for inode in inodes:
            refusal = (yield from self.write_pages(inode)) or refusal
        for inode in inodes:
            yield from self.wait_pages(inode)
        yield Step("fsync.written")
        self.flush()
        for inode, size in zip(inodes, sizes, strict=True):
            if refusal is None:
                size_then = min(size, inode.size_words)
                inode.size_on_disk = max(size_then, inode.size_on_disk)
            self.filesystem.journal.commit(inode)
        yield Step("fsync.flushed")
        return refusal

    def flush(self) -> None:
        """Have the disk empty its volatile cache."""
        self.filesystem.disk.flush()

    def write_pages(self, inode: Inode) -> Stepped[KernelError | None]:
        """Write every dirty page of a file for data integrity; start, not end.

        Returns:
            The first refusal met; the other pages are written all the same.
        """
        refusal = None
        for page in inode.pages_to_write():
            if not self.filesystem.hold_page(inode, page):
                continue
            yield Step("writeback.page_found")
            try:
                yield from self.write_if_dirty(inode, page, is_integrity=True)
            except KernelError as error:
                refusal = refusal or error
            self.filesystem.memory.put(page)
        return refusal

    def wait_pages(self, inode: Inode) -> Stepped[None]:
        """Wait for every writeback of the file that is in progress now."""
        for page in list(inode.space.pages.values()):
            if page.is_under_writeback:
                yield Step("writeback.waiting")
                yield from self.filesystem.cache.wait_writeback(page)

    def clean(self, inode: Inode) -> Stepped[None]:
        """Write dirty pages of a file to clean memory, without waiting for the disk."""
        for page in inode.pages_to_write():
            if self.filesystem.gate.is_closed:
                return
            if not self.filesystem.hold_page(inode, page):
                continue
            yield Step("writeback.page_found")
            try:
                yield from self.write_if_dirty(inode, page, is_integrity=False)
            finally:
                self.filesystem.memory.put(page)

    # --- one page -----------------------------------------------------------------

    def write_if_dirty(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        """Lock a page and write it, if it is still dirty and the file's."""
        index = page.index
        yield from self.lock_for_writing(page, is_integrity=is_integrity)
        yield Step("writeback.page_locked")
        is_ours = self.filesystem.cache.belongs(page, inode.space, index)
        try:
            if is_ours and page.is_dirty and self.may_start(page):
                yield from self.write_page(inode, page, is_integrity=is_integrity)
        finally:
            self.filesystem.cache.unlock(page)
        yield Step("writeback.page_unlocked")

    def may_start(self, page: Page) -> bool:
        """Tell whether a writeback may start: one at a time, none while frozen."""
        return not page.is_under_writeback and self.filesystem.gate.is_thawed()

    def lock_for_writing(self, page: Page, *, is_integrity: bool) -> Stepped[None]:
        """Lock a page; for data integrity, when its older writeback has ended."""
        cache = self.filesystem.cache
        gate = self.filesystem.gate
        yield from cache.lock(page, "writeback")
        while is_integrity and (page.is_under_writeback or gate.is_frozen):
            cache.unlock(page)
            yield from cache.wait_writeback(page)
            yield from wait_until("thaw", gate.is_thawed)
            yield from cache.lock(page, "writeback")

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        """Write one dirty page. The order of these steps is the protocol.

        Context: the page is locked, dirty and not under writeback.
        """
        yield from self.protect(inode, page)
        is_pinned = self.maybe_pinned(page)
        yield Step("writeback.pin_asked")
        if is_pinned and self.skips_pinned(is_integrity=is_integrity):
            return
        self.renew_promise(inode, page, is_pinned=is_pinned)
        bounce = self.make_bounce(is_pinned=is_pinned)
        if self.may_clear_dirty(is_pinned=is_pinned):
            yield from self.clear_dirty(page)
        yield from self.write_out(inode, page, bounce, is_integrity=is_integrity)

    def clear_dirty(self, page: Page) -> Stepped[None]:
        """Clear the dirty flag; the page stays locked until its writeback starts."""
        self.filesystem.cache.clear_dirty_for_io(page)
        yield Step("writeback.dirty_cleared")

    def write_out(
        self, inode: Inode, page: Page, bounce: Page | None, *, is_integrity: bool
    ) -> Stepped[None]:
        """Start the writeback of a page, and hand its content to the disk."""
        self.filesystem.cache.start_writeback(
            page, is_bounced=bounce is not None, is_integrity=is_integrity
        )
        yield Step("writeback.started")
        block = self.filesystem.map_block(inode, page)
        source = yield from self.capture(inode, page, bounce, block)
        self.submit(inode, page, source, block)
        yield Step("writeback.submitted")

    def protect(self, inode: Inode, page: Page) -> Stepped[None]:
        """Take the right to write from every mapping; collect the dirty bits."""
        if (yield from self.rmap.page_mkclean(inode.space, page)):
            self.filesystem.cache.mark_dirty(page)

    def maybe_pinned(self, page: Page) -> bool:
        """Ask whether a device may have the page pinned."""
        return self.filesystem.memory.maybe_dma_pinned(page)

    def skips_pinned(self, *, is_integrity: bool) -> bool:
        """Tell whether this kind of writeback leaves pinned pages alone."""
        return not is_integrity

    def may_clear_dirty(self, *, is_pinned: bool) -> bool:
        """Tell whether the page is clean once it is written: never while pinned."""
        return not is_pinned

    def renew_promise(self, inode: Inode, page: Page, *, is_pinned: bool) -> None:
        """Run the gate again for a page that will be dirty afterwards.

        A page that was dirtied without page_mkwrite gets here what it lacks.

        Raises:
            KernelError: nothing has changed; the page stays dirty.
        """
        if is_pinned or not self.filesystem.is_prepared(inode, page):
            self.filesystem.prepare_dirty(inode, page)

    def make_bounce(self, *, is_pinned: bool) -> Page | None:
        """Allocate the copy to be written; None: the page itself is written.

        Raises:
            KernelError: ENOMEM; nothing has changed.
        """
        if is_pinned or self.filesystem.traits.has_encryption:
            return self.filesystem.memory.allocate()
        return None

    def capture(
        self, inode: Inode, page: Page, bounce: Page | None, block: int
    ) -> Stepped[Page]:
        """Return what is written: the page, or the copy with its content captured."""
        words = self.filesystem.cut(inode, page.index, tuple(page.words))
        if bounce is None:
            page.words = list(words)
            return page
        bounce.words = list(self.filesystem.encrypt(block, words))
        if self.tell is not None:
            self.tell(BounceCaptured(page.key, page.pfn, words))
        yield Step("writeback.bounce_captured")
        return bounce

    def submit(self, inode: Inode, page: Page, source: Page, block: int) -> None:
        """Hand the block to the disk."""
        promised = self.checksum(page, source)

        def done(failed: bool) -> None:
            self.end_io(inode, page, source, block, promised, failed=failed)

        self.filesystem.disk.submit(WriteRequest(block, source, promised, done))
        if self.tell is not None:
            is_bounced = source is not page
            self.tell(BlockSubmitted(page.key, page.pfn, block, is_bounced))

    def checksum(self, page: Page, source: Page) -> Words:
        """Return what checksum and parity are made of: that which is written."""
        return tuple(source.words)

    def end_io(
        self,
        inode: Inode,
        page: Page,
        source: Page,
        block: int,
        promised: Words,
        *,
        failed: bool,
    ) -> None:
        """End the writeback of a page; called by the disk."""
        if source is not page:
            self.filesystem.memory.put(source)
        if failed:
            self.filesystem.data_lost(inode, page, block)
            self.filesystem.cache.mark_dirty(page)
        else:
            self.filesystem.data_landed(inode, page, block, promised)
        if not page.is_dirty:
            self.filesystem.space.unreserve(page)
        self.filesystem.cache.end_writeback(page, failed=failed)
        self.on_idle(inode)
