"""The filesystem: files, their pages, and what of them is durable.

Everything that dirties a page comes through `dirty`, which reserves the block that
the page will be written to, and waits before that until the page is not under
writeback and the filesystem is not frozen. So a write of a page never lacks space,
and what is being written does not change.

On the disk a page of a file changes when a write of it has ended, and the size when
everything below it has been written: by fsync, sync or freeze.

Interface:
  * To get at a page, call `page`; to make it writable, call `page_mkwrite` first.
  * A call that raises WouldBlock or KernelError has changed nothing and may be made
    again; `begin_commit` raises neither, and its result is for `settle`.
"""

import zlib
from collections.abc import Collection
from enum import Enum, auto

import attrs

from conformance.interface import (
    UNREADABLE,
    Errno,
    Feature,
    FileImage,
    KernelError,
    Setup,
    WouldBlock,
)

from .disk import Disk, DiskWrite, Space, Words
from .things import Extent, File, Memory, Page


class Frost(Enum):
    """Whether the filesystem is frozen."""

    THAWED = auto()
    FREEZING = auto()
    """Nobody may dirty a page; what is dirty is being written."""
    FROZEN = auto()


@attrs.frozen
class Commit:
    """A file that is being made durable."""

    file: File
    size: int
    shrink_count: int
    """To notice a truncate that came between."""
    write_errors: int
    """The commit fails if there are more than these when it is settled."""
    writes: tuple[DiskWrite, ...]
    """All that it waits for."""


@attrs.define(eq=False)
class Volume:
    """One mounted filesystem on its disk, with its page cache."""

    setup: Setup
    disk: Disk
    space: Space
    memory: Memory
    files: list[File] = attrs.field(factory=list[File])
    """Those that live, with a name or without."""
    frost: Frost = Frost.THAWED
    _clock: int = 0

    @property
    def words_per_page(self) -> int:
        """Words in a page."""
        return self.setup.geometry.words_per_page

    # --- pages ----------------------------------------------------------------

    def page(self, file: File, index: int) -> Page:
        """Give a page of a file, read from the disk if need be."""
        if index not in file.pages:
            self.make_room(1)
            words = list(self._words_on_disk(file, index))
            self._clear(words, file.size - index * self.words_per_page)
            file.pages[index] = Page(self.memory.take(), index, words, file)
        return file.pages[index]

    def page_mkwrite(self, page: Page) -> None:
        """Get ready for writes to a page: the gate of stores and of devices."""
        # REFUSE
        self.wait_for(page)
        assert page.file is not None, f"page_mkwrite of the orphan {page.index}"
        assert page.index * self.words_per_page < page.file.size, "beyond end of file"
        # CHANGE
        self.dirty(page)
        self.touch(page.file)
        page.file.mkwrite_count += 1

    def wait_for(self, page: Page) -> None:
        """Sleep while the page may not be written to."""
        if page.file is not None:
            self.wait(page.file, (page.index,))
        elif page.is_under_writeback:
            raise WouldBlock("writeback")

    def wait(self, file: File, indices: Collection[int] = ()) -> None:
        """Sleep while these pages of a file may not be written to."""
        if reason := self.reason_to_wait(file, indices):
            raise WouldBlock(reason)

    def wait_for_thaw(self) -> None:
        """Sleep while the filesystem is frozen."""
        if self.frost is not Frost.THAWED:
            raise WouldBlock("frozen")

    def reason_to_wait(self, file: File, indices: Collection[int]) -> str | None:
        """Say why pages of a file may not be written to now; None: they may."""
        if self.frost is not Frost.THAWED:
            return "frozen"
        pages = (file.pages.get(index) for index in indices)
        if any(page is not None and page.is_under_writeback for page in pages):
            return "writeback"
        return None

    def dirty(self, page: Page) -> None:
        """Mark a page dirty, with a block reserved for it; ENOSPC: there is none."""
        assert not page.is_under_writeback, f"page {page.index} is not stable"
        if not page.is_dirty:
            self.space.reserve()
            page.is_dirty = True

    def make_room(self, frames: int) -> None:
        """See to it that frames are unused; ENOMEM: it cannot be done."""
        for file in self.files:
            if len(self.memory.unused) < frames:
                self.evict(file)
        if len(self.memory.unused) < frames:
            raise KernelError(Errno.ENOMEM, f"fewer than {frames} frames can be freed")

    def evict(self, file: File) -> None:
        """Drop the pages of a file that are clean and not pinned."""
        for page in list(file.pages.values()):
            if not (page.is_dirty or page.is_under_writeback or page.grants):
                self._orphan(file, page)

    def free_if_unused(self, page: Page) -> None:
        """Give back the frame of a page that nobody holds any more."""
        if page.references == 0:
            self.memory.give_back(page.frame)

    def touch(self, file: File) -> None:
        """Set the modification time."""
        self._clock += 1
        file.mtime = self._clock

    def _orphan(self, file: File, page: Page) -> None:
        """Remove a page from its file, and take back what was promised for it."""
        del file.pages[page.index]
        page.file = None
        page.writers.clear()
        promises = page.is_dirty + sum(g.shadow is not None for g in page.grants)
        page.is_dirty = False
        for _ in range(promises):
            self.space.unreserve()
        self.free_if_unused(page)

    def _words_on_disk(self, file: File, index: int) -> Words:
        """Give the words of a page as they are on the disk, or fail with EIO."""
        if (extent := file.extents.get(index)) is None:
            return (0,) * self.words_per_page
        words = self.disk.read(extent.block)
        if not self._is_intact(extent, words):
            raise KernelError(Errno.EIO, f"checksum of block {extent.block}")
        return words

    def _is_intact(self, extent: Extent, words: Words) -> bool:
        if not self.setup.has(Feature.CHECKSUMS):
            return True
        return zlib.crc32(bytes(words)) == extent.checksum

    @staticmethod
    def _clear(words: list[int], start: int) -> None:
        """Clear the words of a page from `start` on: those beyond end of file."""
        start = max(start, 0)
        words[start:] = [0] * len(words[start:])

    # --- files ----------------------------------------------------------------

    def create(self, size: int = 0) -> File:
        """Make a file, all holes, that is there after a power cut."""
        file = File(size, durable_size=size, mtime=0)
        self.files.append(file)
        self.touch(file)
        return file

    def clone(self, source: File) -> File:
        """Make a file of the blocks of another; sleep until all of it is written."""
        self._wait_until_clean(source)
        file = File(source.size, durable_size=source.durable_size, mtime=0)
        file.extents = dict(source.extents)
        for extent in file.extents.values():
            self.space.share(extent.block)
        self.files.append(file)
        self.touch(file)
        return file

    def _wait_until_clean(self, file: File) -> None:
        """Sleep until no page of a file is dirty, writing those that are."""
        pages = list(file.pages.values())
        for page in pages:
            if page.is_dirty and not page.is_under_writeback:
                self._start_writeback(page)
        if any(page.is_dirty for page in pages):
            raise KernelError(Errno.EIO, "a write failed")
        if any(page.is_under_writeback for page in pages):
            raise WouldBlock("writeback")

    def read(self, file: File, index: int) -> Words:
        """Give the words of a page that lie below the end of the file."""
        count = min(file.size - index * self.words_per_page, self.words_per_page)
        return tuple(self.page(file, index).words[:count]) if count > 0 else ()

    def write(self, file: File, index: int, word: int, value: int) -> None:
        """Write one word, and extend the file if need be."""
        if file.is_gone:  # while the call was asleep: as if it had been in time
            return
        end = index * self.words_per_page + word + 1
        touched = {index} | (self._split_page(file.size) if end > file.size else set())
        # REFUSE
        self.wait(file, touched)
        self._prepare(file, touched)
        # CHANGE
        if end > file.size:
            self._grow(file, end)
        page = file.pages[index]
        self.dirty(page)
        page.words[word] = value
        self.touch(file)

    def truncate(self, file: File, size: int) -> None:
        """Set the size of a file; pages beyond it become orphans."""
        if file.is_gone:
            return
        touched = self._split_page(min(size, file.size))
        # REFUSE
        self.wait(file, touched)
        if size > file.size:
            self._prepare(file, touched)
        # CHANGE
        if size > file.size:
            self._grow(file, size)
        else:
            self._shrink(file, size)
        self.touch(file)

    def drop_if_unused(self, file: File) -> None:
        """Remove a file that has lost its name, its last mapping and its last user."""
        if file.has_name or file.mappings or file.users or file.is_gone:
            return
        file.is_gone = True
        self._shrink(file, 0)
        self.files.remove(file)

    def _split_page(self, size: int) -> set[int]:
        """Give the page that a size ends in the middle of, if any."""
        return {size // self.words_per_page} if size % self.words_per_page else set()

    def _prepare(self, file: File, indices: set[int]) -> None:
        """Have pages in memory, and space for what of them is clean."""
        dirty = {index for index in indices if index in file.pages}
        dirty = {index for index in dirty if file.pages[index].is_dirty}
        self.space.require(len(indices - dirty))
        self.make_room(len(indices))
        for index in sorted(indices):
            self.page(file, index)

    def _grow(self, file: File, size: int) -> None:
        """Extend a file; what a mapping left beyond its end must not show.

        The page is written again: the disk may still have what a truncate cut off.
        """
        for index in self._split_page(file.size):
            page = file.pages[index]
            self.dirty(page)
            self._clear(page.words, file.size % self.words_per_page)
        file.size = size

    def _shrink(self, file: File, size: int) -> None:
        """Cut a file off. Blocks on their way to the disk are not the file's yet."""
        kept = -(-size // self.words_per_page)
        for page in list(file.pages.values()):
            if page.index >= kept:
                self._orphan(file, page)
            else:
                self._clear(page.words, size - page.index * self.words_per_page)
        for index in [index for index in file.extents if index >= kept]:
            self.space.unallocate(file.extents.pop(index).block)
        file.size = size
        file.durable_size = min(file.durable_size, size)
        file.shrink_count += 1

    # --- writing to the disk --------------------------------------------------

    def clean_memory(self, file: File) -> None:
        """Start writing dirty pages, but for those that will be dirtied again."""
        for page in list(file.pages.values()):
            if page.is_dirty and not page.is_pinned_for_write:
                self._start_writeback(page)

    def begin_commit(self, file: File, write_errors: int) -> Commit:
        """Start writing all dirty pages of a file, pinned or not."""
        pages = list(file.pages.values())
        for page in pages:
            if page.is_dirty:
                self._start_writeback(page)
        writes = tuple(page.flight for page in pages if page.flight is not None)
        return Commit(file, file.size, file.shrink_count, write_errors, writes)

    def begin_commits(self) -> list[Commit]:
        """Do the same for every file; errors of the past do not count."""
        return [self.begin_commit(file, file.write_errors) for file in self.files]

    def settle(self, commits: list[Commit]) -> None:
        """Sleep until all that was begun has been written, then make sizes durable.

        Raises:
            KernelError: EIO if a write failed; its page is dirty still.
        """
        for number, commit in enumerate(commits):
            self._wait_for_writes(commit)
            if commit.shrink_count != commit.file.shrink_count:
                # A truncate came between: what was written may be from before it.
                again = self.begin_commit(commit.file, commit.write_errors)
                commits[number] = again
                self._wait_for_writes(again)
        good = [c for c in commits if c.file.write_errors == c.write_errors]
        for commit in good:
            file = commit.file
            file.durable_size = max(file.durable_size, commit.size)
        if len(good) < len(commits):
            raise KernelError(Errno.EIO, "a write failed")

    def image(self, file: File) -> FileImage:
        """Read a file on a copy of the disk as it stands."""
        words: list[int] = []
        for index in range(-(-file.durable_size // self.words_per_page)):
            extent = file.extents.get(index)
            if extent is None:
                words += [0] * self.words_per_page
            elif self._is_intact(extent, block := self.disk.blocks[extent.block]):
                words += block
            else:
                words += [UNREADABLE] * self.words_per_page
        return FileImage(tuple(words[: file.durable_size]))

    @staticmethod
    def _wait_for_writes(commit: Commit) -> None:
        if not all(write.is_ended for write in commit.writes):
            raise WouldBlock("writeback")

    def _start_writeback(self, page: Page) -> None:
        """Take the page from its writers, then give it to the disk."""
        file = page.file
        assert file is not None, f"writeback of the orphan {page.index}"
        assert not page.is_under_writeback, f"page {page.index} is written twice"
        length = file.size - page.index * self.words_per_page

        def content() -> Words:
            words = list(page.words)
            self._clear(words, length)
            return tuple(words)

        def end(succeeded: bool) -> None:
            self._end_writeback(page, extent, succeeded)

        page.writers.clear()
        page.is_dirty = False
        extent = Extent(self.space.allocate(), zlib.crc32(bytes(content())))
        page.flight = DiskWrite(extent.block, content, end)
        self.disk.submit(page.flight)

    def _end_writeback(self, page: Page, extent: Extent, succeeded: bool) -> None:
        """Switch the file to the new block; or keep the page dirty."""
        page.flight = None
        file = page.file
        unneeded: Extent | None = extent
        if file is not None and succeeded:
            unneeded = file.extents.get(page.index)
            file.extents[page.index] = extent
        if unneeded is not None:
            self.space.unallocate(unneeded.block)
        if file is not None and not succeeded:
            self.dirty(page)
            file.write_errors += 1
        self.free_if_unused(page)
