"""Clone and dedupe: pages of files that refer to the same blocks.

The blocks of a file can be shared when they hold what the file holds. So the file is
locked against writes, page_mkwrite is kept waiting, every dirty page is
write-protected and written, and the disk waited for. Each page is clean then, and
stays so, but for one that a device may have pinned: it stays the file's page, and
dirty, and its block is not shared. The clone gets a copy of it instead, captured at
the moment at which all the other blocks are shared, with blocks of its own promised
before. So the file keeps the promise that it has, and there is one moment at which
the clone and the file held the same.

Two ranges that are to be deduplicated cannot be helped by a copy; there, a page that
may be pinned means a refusal.

A shared block is never written in place: see `Filesystem.goes_elsewhere`. A page of
it that is written to later needs two blocks promised, as a hole does.

Interface:
  * `clone` and `dedupe` are the operations. What refuses them has changed nothing.
"""

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.blockdev import Words
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback


@attrs.frozen
class Pair:
    """Two pages of files that may come to share a block."""

    source: Inode
    index: int
    other: Inode
    other_index: int

    @property
    def ends(self) -> tuple[tuple[Inode, int], tuple[Inode, int]]:
        """Both pages, each as file and index."""
        return (self.source, self.index), (self.other, self.other_index)


@attrs.define(eq=False)
class Sharing:
    """Makes files share blocks."""

    filesystem: Filesystem
    files: Files
    writeback: Writeback

    # --- clone ------------------------------------------------------------------------

    def clone(self, file: int, clone: int) -> Stepped[None]:
        """Make a file that holds what another holds at one moment of the call.

        Raises:
            KernelError: EOPNOTSUPP; EIO; ENOSPC or ENOMEM, if there is none for the
                copies of pinned pages.
        """
        self.refuse_untracked()
        inode = self.files.open(file)
        try:
            yield from self.files.enter()
            try:
                yield from self.lock([inode], "clone")
                try:
                    yield from self.clone_locked(inode, clone)
                finally:
                    self.unlock([inode])
            finally:
                self.filesystem.gate.leave()
        finally:
            self.files.close(inode)

    def clone_locked(self, inode: Inode, clone: int) -> Stepped[None]:
        """Write the file, and make the clone.

        Context: the file is locked against writers.
        """
        yield Step("clone.locked")
        yield from self.write(inode)
        yield Step("clone.written")
        unsettled = self.make_clone(inode, clone)
        for _ in unsettled:
            yield Step("clone.page_captured")
        yield Step("clone.extent_shared")

    def make_clone(self, inode: Inode, clone: int) -> list[Page]:
        """Make the clone at this moment; return the pages that were copied for it.

        Raises:
            KernelError: nothing has changed.
        """
        if clone in self.files.names:
            raise KernelError(Errno.EIO, f"file {clone} exists")
        unsettled = self.pages_to_copy(inode)
        made = self.files.make(clone)
        made.size_words = inode.size_words
        try:
            for page in unsettled:
                self.copy(inode, page, made)
        except KernelError:
            made.is_linked = False
            del self.files.names[clone]
            self.files.forget_if_unused(made)
            raise
        for index in inode.extents:
            if index not in made.space.pages:
                self.share(Pair(inode, index, made, index))
        return unsettled

    def pages_to_copy(self, inode: Inode) -> list[Page]:
        """Return the pages of which the disk may not have what they hold now."""
        pages = sorted(inode.space.pages.items())
        return [page for _, page in pages if not self.is_settled(page)]

    def is_settled(self, page: Page) -> bool:
        """Tell whether the disk has what a page holds, and nobody can change that.

        A page that is dirty after it was written may be pinned. A clean one is not
        pinned for writing; page_mkwrite sees to that.
        """
        return not page.is_dirty and not page.is_under_writeback

    def copy(self, inode: Inode, page: Page, made: Inode) -> None:
        """Give a clone a page of its own, dirty, with what a page holds now.

        Raises:
            KernelError: ENOMEM, ENOSPC; the clone has a page that is of no use.
        """
        copied = self.filesystem.memory.allocate()
        copied.locked_by = "clone"
        self.filesystem.cache.insert(made.space, page.index, copied)
        copied.words = list(self.capture(inode, page))
        copied.is_uptodate = True
        try:
            self.filesystem.prepare_dirty(made, copied)
            self.filesystem.cache.mark_dirty(copied)
        finally:
            self.filesystem.cache.unlock(copied)

    def capture(self, inode: Inode, page: Page) -> Words:
        """Return what a page holds, as far as it is inside of the file."""
        return self.filesystem.cut(inode, page.index, tuple(page.words))

    # --- dedupe -----------------------------------------------------------------------

    def dedupe(
        self, file: int, page: int, other: int, other_page: int, pages: int
    ) -> Stepped[int]:
        """Let two ranges share blocks if they hold the same; answer how many pages.

        Raises:
            KernelError: EOPNOTSUPP; EINVAL, if the ranges overlap or are not whole
                pages of the files; EBUSY, if a page may be pinned; EIO, ENOSPC.
        """
        self.refuse_untracked()
        inodes = self.open_both(file, other)
        try:
            yield from self.files.enter()
            both = sorted(set(inodes), key=lambda inode: inode.file)
            try:
                yield from self.lock(both, "dedupe")
                try:
                    pairs = self.pair_up(inodes, page, other_page, pages)
                    return (yield from self.dedupe_locked(both, pairs))
                finally:
                    self.unlock(both)
            finally:
                self.filesystem.gate.leave()
        finally:
            for inode in inodes:
                self.files.close(inode)

    def open_both(self, file: int, other: int) -> tuple[Inode, Inode]:
        """Open two files, or none."""
        inode = self.files.open(file)
        try:
            return inode, self.files.open(other)
        except KernelError:
            self.files.close(inode)
            raise

    def pair_up(
        self, inodes: tuple[Inode, Inode], page: int, other_page: int, pages: int
    ) -> list[Pair]:
        """Return the pages that are to share blocks.

        The last page of a file, if it is not whole, may have anything beyond its end;
        it shares no block with a page that reaches further.
        """
        source, other = inodes
        words_per_page = self.filesystem.geometry.words_per_page
        for inode, first in ((source, page), (other, other_page)):
            if (first + pages) * words_per_page > inode.size_words:
                raise KernelError(Errno.EINVAL, f"file {inode.file} ends before that")
        if source is other and abs(page - other_page) < pages:
            raise KernelError(Errno.EINVAL, "the ranges overlap")
        return [Pair(source, page + i, other, other_page + i) for i in range(pages)]

    def dedupe_locked(self, inodes: list[Inode], pairs: list[Pair]) -> Stepped[int]:
        """Write both files, compare, and share.

        Comparing and sharing are one step: in between, whoever holds plain
        references, which nobody knows of, could dirty a page.

        Context: both files are locked against writers.
        """
        yield Step("dedupe.locked")
        for inode in inodes:
            yield from self.write(inode)
        self.refuse_busy(pairs)
        is_equal = self.are_equal(pairs)
        yield Step("dedupe.compared")
        self.refuse_busy(pairs)
        if not is_equal or not self.are_equal(pairs):
            return 0
        for pair in pairs:
            self.share(pair)
        yield Step("dedupe.extent_shared")
        return len(pairs)

    def refuse_busy(self, pairs: list[Pair]) -> None:
        """Refuse if any of the pages may be written by a device."""
        for inode, index in (end for pair in pairs for end in pair.ends):
            page = inode.space.pages.get(index)
            if page is not None and self.is_busy(page):
                raise KernelError(
                    Errno.EBUSY, f"page {index} of file {inode.file} may be pinned"
                )

    def is_busy(self, page: Page) -> bool:
        """Tell whether a page may be pinned; its yes may be wrong."""
        is_pinned = self.filesystem.memory.maybe_dma_pinned(page)
        return is_pinned or not self.is_settled(page)

    def are_equal(self, pairs: list[Pair]) -> bool:
        """Compare pages as the disk has them.

        Raises:
            KernelError: EIO.
        """
        return all(
            self.filesystem.read_block(*pair.ends[0])
            == self.filesystem.read_block(*pair.ends[1])
            for pair in pairs
        )

    # --- both -------------------------------------------------------------------------

    def refuse_untracked(self) -> None:
        """Refuse where files have no blocks."""
        if not self.filesystem.traits.is_tracked:
            raise KernelError(Errno.EOPNOTSUPP, "files have no blocks to share")

    def lock(self, inodes: list[Inode], who: str) -> Stepped[None]:
        """Keep writes, truncates and page_mkwrite out of files, in one order."""
        for inode in inodes:
            yield from inode.lock.acquire(who)
        for inode in inodes:
            yield from inode.space.invalidate_lock.acquire_write(who)
        for inode in inodes:
            inode.is_being_shared = True

    def unlock(self, inodes: list[Inode]) -> None:
        """Let writers in again."""
        for inode in inodes:
            inode.is_being_shared = False
            inode.space.invalidate_lock.release_write()
            inode.lock.release()

    def write(self, inode: Inode) -> Stepped[None]:
        """Write-protect and write the dirty pages of a file, and wait for the disk.

        Raises:
            KernelError: a page could not be written; EIO, if the disk failed.
        """
        seen = inode.errors
        refusal = yield from self.writeback.write_pages(inode)
        yield from self.writeback.wait_pages(inode)
        if refusal is not None:
            raise refusal
        if inode.errors > seen:
            raise KernelError(Errno.EIO, f"file {inode.file} was not written")

    def share(self, pair: Pair) -> None:
        """Have the other page refer to the block of the source, hole or not."""
        space = self.filesystem.space
        old = pair.other.extents.pop(pair.other_index, None)
        extent = pair.source.extents.get(pair.index)
        if extent is not None:
            space.share(extent.block)
            pair.other.extents[pair.other_index] = extent
        if old is not None:
            space.free(old.block)
