"""Direct writes: pages of a file written to the disk past the page cache.

What the cache has of the range is written and dropped first, and dropped again when
the data is on the disk: meanwhile a reader may have brought the old content in. As in
btrfs, page_mkwrite waits while a direct write to its page is in flight, so that what
came in is clean. A page that stays dirty after it was written has a device at work on
it and is not taken away; then the write goes through the cache.

The disk looks at the buffer late, for which it is pinned. Where content must not
change on its way (checksums, parity, encryption) the buffer is copied once, and the
copy is written.

Interface:
  * `write` writes pages that the caller has pinned; it answers when they have landed.
    The methods after it are its steps.
  * `flush` writes what the cache has of a range, and waits for it; direct reads begin
    with it, too.
"""

from collections.abc import Iterator, Sequence

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.blockdev import Words, WriteRequest
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped, wait_until
from reference_impl.writeback import Writeback

NOWHERE = -1
"""The pfn of what is no page of memory."""


@attrs.define(eq=False)
class BlockWrite:
    """One page of a direct write on its way to its block."""

    stand_in: Page
    """Promises of blocks are kept with pages of the cache. There is none here, and
    this stands in for it."""
    block: int
    is_new: bool
    """The block is not the file's yet."""
    source: Page
    """What the disk looks at: the buffer, or a copy of it."""
    copy: Page | None = None
    """To be let go of at the end; None: there was none."""
    has_landed: bool = False
    has_failed: bool = False

    @property
    def index(self) -> int:
        """Which page of the file it is."""
        return self.stand_in.index

    def has_ended(self) -> bool:
        """Whether the disk is done with it."""
        return self.has_landed or self.has_failed


@attrs.define(eq=False)
class DirectWrites:
    """Writes past the page cache."""

    filesystem: Filesystem
    files: Files
    rmap: Rmap
    writeback: Writeback

    def write(
        self, inode: Inode, first: int, buffers: Sequence[Page], asked: int
    ) -> Stepped[int]:
        """Write buffers to pages of a file; answer how many were written.

        No lock of the file was held while the buffers were faulted in.

        Args:
            inode: the file.
            first: the page that the first buffer goes to.
            buffers: pinned by the caller until this has answered.
            asked: how many pages were to be written; no buffer: could not be had.

        Raises:
            KernelError: ENOSPC, ENOMEM for the first page; EIO, if the disk failed.
        """
        yield from self.files.begin_write(inode, "direct_write")
        pages = range(first, first + asked)
        try:
            yield from self.zero_gap(inode, first)
            if self.is_past_cache(inode) and (yield from self.make_way(inode, pages)):
                return (yield from self.write_blocks(inode, first, buffers, asked))
            yield from self.write_through_cache(inode, first, buffers)
        finally:
            inode.direct_writes.difference_update(pages)
            self.files.end_write(inode)
        yield from self.flush(inode, pages)
        return len(buffers)

    def is_past_cache(self, inode: Inode) -> bool:
        """Tell whether there is a disk to write to."""
        return inode.space.is_tracked

    def zero_gap(self, inode: Inode, first: int) -> Stepped[None]:
        """Zero the end of the last page, if the file grows beyond it."""
        words_per_page = self.filesystem.geometry.words_per_page
        if first * words_per_page > inode.size_words:
            yield from self.files.zero_last_page(inode)

    # --- the cache ----------------------------------------------------------------

    def make_way(self, inode: Inode, pages: range) -> Stepped[bool]:
        """Write and drop what the cache has of a range, and keep it from dirtying.

        Returns:
            False: a page could not be dropped.
        """
        inode.direct_writes.update(pages)
        yield from self.flush(inode, pages)
        yield Step("direct_write.flushed")
        is_clear = yield from self.drop(inode, pages)
        yield Step("direct_write.invalidated")
        return is_clear

    def flush(self, inode: Inode, pages: range) -> Stepped[None]:
        """Write the dirty pages of a range, and wait for the disk.

        Raises:
            KernelError: a page could not be written.
        """
        for page in inode.pages_to_write():
            if page.index in pages and self.filesystem.hold_page(inode, page):
                try:
                    yield from self.writeback.write_if_dirty(
                        inode, page, is_integrity=True
                    )
                    yield from self.filesystem.cache.wait_writeback(page)
                finally:
                    self.filesystem.memory.put(page)

    def drop(self, inode: Inode, pages: range) -> Stepped[bool]:
        """Take the clean pages of a range from the cache; tell whether none is left.

        A device that reads from such a page goes on to read what it was.
        """
        is_clear = True
        for index in pages:
            page = inode.space.pages.get(index)
            if page is None:
                continue
            self.filesystem.memory.get(page)
            yield from self.files.lock_quiet(page, "direct_write")
            if self.filesystem.cache.belongs(page, inode.space, index):
                yield from self.rmap.unmap_page(inode.space, page)
                is_clear &= self.drop_page(inode, page)
            self.files.release(page)
        return is_clear

    def drop_page(self, inode: Inode, page: Page) -> bool:
        """Make one locked, unmapped page an orphan; tell whether it could be."""
        if page.is_dirty:
            return False
        self.filesystem.orphan(inode, page)
        return True

    def write_through_cache(
        self, inode: Inode, first: int, buffers: Sequence[Page]
    ) -> Stepped[None]:
        """Write the pages of the cache instead, as write(2) does."""
        captured = [tuple(buffer.words) for buffer in buffers]
        yield Step("direct_write.captured")
        for slot, words in enumerate(captured):
            content = dict(enumerate(words))
            yield from self.files.write_words(inode, first + slot, content)

    # --- the disk -----------------------------------------------------------------

    def write_blocks(
        self, inode: Inode, first: int, buffers: Sequence[Page], asked: int
    ) -> Stepped[int]:
        """Write blocks, wait for them, and make them the file's.

        Context: the file is locked, and nothing of the range is in the cache.
        """
        writes = self.map_blocks(inode, first, buffers)
        yield Step("direct_write.mapped")
        for write in writes:
            self.submit(inode, write)
            yield Step("direct_write.submitted")
        yield from self.wait(writes)
        self.set_size(inode, writes)
        yield Step("direct_write.landed")
        yield from self.invalidate_again(inode, writes)
        if any(write.has_failed for write in writes):
            raise KernelError(Errno.EIO, f"file {inode.file} was not written")
        return self.answer(inode, writes, range(first, first + asked))

    def map_blocks(
        self, inode: Inode, first: int, buffers: Sequence[Page]
    ) -> list[BlockWrite]:
        """Find the block for each buffer, as far as there is space.

        Raises:
            KernelError: there is none for the first.
        """
        writes: list[BlockWrite] = []
        for slot, buffer in enumerate(buffers):
            try:
                writes.append(self.map_block(inode, first + slot, buffer))
            except KernelError:
                if not writes:
                    raise
                break
        return writes

    def map_block(self, inode: Inode, index: int, buffer: Page) -> BlockWrite:
        """Find the block for one buffer, and copy it if need be."""
        stand_in = Page(NOWHERE, [], index=index)
        extent = inode.extents.get(index)
        needs_block = extent is None or self.filesystem.goes_elsewhere(extent)
        self.filesystem.space.reserve(stand_in, int(needs_block))
        try:
            copy = self.make_copy()
        except KernelError:
            self.filesystem.space.unreserve(stand_in)
            raise
        block = self.filesystem.map_block(inode, stand_in)
        if copy is None:
            return BlockWrite(stand_in, block, needs_block, buffer)
        copy.words = list(self.filesystem.encrypt(block, tuple(buffer.words)))
        return BlockWrite(stand_in, block, needs_block, copy, copy)

    def make_copy(self) -> Page | None:
        """Allocate a page to copy a buffer to; None: the buffer itself is written.

        Raises:
            KernelError: ENOMEM.
        """
        traits = self.filesystem.traits
        if traits.needs_stable_pages or traits.has_encryption:
            return self.filesystem.memory.allocate()
        return None

    def submit(self, inode: Inode, write: BlockWrite) -> None:
        """Hand a block to the disk."""
        promised = tuple(write.source.words)

        def done(failed: bool) -> None:
            write.has_landed, write.has_failed = not failed, failed
            self.end_io(inode, write, promised)

        request = WriteRequest(write.block, write.source, promised, done)
        self.filesystem.disk.submit(request)

    def end_io(self, inode: Inode, write: BlockWrite, promised: Words) -> None:
        """Make a new block the file's, or give it back; called by the disk."""
        if write.is_new and write.has_landed:
            self.filesystem.data_landed(inode, write.stand_in, write.block, promised)
        elif write.is_new:
            self.filesystem.space.free(write.block)
        self.free_copy(write)

    def free_copy(self, write: BlockWrite) -> None:
        """Let go of the copy, if the write was made from one."""
        if write.copy is not None:
            self.filesystem.memory.put(write.copy)

    def wait(self, writes: Sequence[BlockWrite]) -> Stepped[None]:
        """Wait until the disk is done with all of them."""
        for write in writes:
            yield from wait_until("direct I/O", write.has_ended)

    def set_size(self, inode: Inode, writes: Sequence[BlockWrite]) -> None:
        """Let the file reach as far as all has landed; nothing stays beyond its end."""
        words_per_page = self.filesystem.geometry.words_per_page
        for write in self.landed(writes):
            end = (write.index + 1) * words_per_page
            inode.size_words = max(inode.size_words, end)
        for write in writes:
            is_outside = write.index * words_per_page >= inode.size_words
            if is_outside and write.index in inode.extents:
                self.files.free_extent(inode, write.index)
        self.filesystem.update_mtime(inode)

    def landed(self, writes: Sequence[BlockWrite]) -> Iterator[BlockWrite]:
        """Yield the writes that have landed, up to the first that has not."""
        for write in writes:
            if not write.has_landed:
                return
            yield write

    def invalidate_again(
        self, inode: Inode, writes: Sequence[BlockWrite]
    ) -> Stepped[None]:
        """Drop what readers brought in while the writes were in flight.

        A page that is dirty nevertheless is stale; whoever syncs is told.
        """
        pages = range(writes[0].index, writes[-1].index + 1)
        if not (yield from self.drop(inode, pages)):
            inode.errors += 1

    def answer(self, inode: Inode, writes: Sequence[BlockWrite], asked: range) -> int:
        """Return how many of the pages asked for the caller is told were written."""
        return len(writes)
