"""What system calls do to files: create, read, write, truncate, punch, unlink.

A write enters through the gate, so that a freeze finds no write under way. Blocks
leave a file under the invalidate lock, when no page can come in over them and no
write to them is in flight; the pages that go are orphans, whether or not a device
has pinned them. A folio that goes in part is split before, if it can be; pages of a
pinned one go one by one, and what their device writes is seen by nobody.

Interface:
  * The methods are the operations; `open` and `close` surround every use of a
    file, and the last user of a file without a name ends it.
"""

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.filesystem import Filesystem
from reference_impl.folio import Folios
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.pagecache import AddressSpace
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Files:
    """The names of the filesystem, and the operations on files."""

    filesystem: Filesystem
    rmap: Rmap
    folios: Folios
    names: dict[int, Inode] = attrs.field(factory=dict[int, Inode])
    """By handle of the file."""

    # --- names --------------------------------------------------------------------

    def open(self, file: int, errno: Errno = Errno.EIO) -> Inode:
        """Find a file by its handle and become one of its users.

        Raises:
            KernelError: as asked for, if there is no such file or no filesystem.
        """
        inode = self.names.get(file)
        if inode is None or not self.filesystem.is_mounted:
            raise KernelError(errno, f"file {file} is not there")
        inode.users += 1
        return inode

    def close(self, inode: Inode) -> None:
        """End one use of a file."""
        inode.users -= 1
        self.forget_if_unused(inode)

    def forget_if_unused(self, inode: Inode) -> None:
        """End a file without name and users, unless a page of it is busy."""
        if inode.is_linked or inode.users > 0:
            return
        pages = list(inode.space.pages.values())
        if any(page.is_locked or page.is_under_writeback for page in pages):
            return
        for page in pages:
            page.locked_by = "evict"
            self.filesystem.orphan(inode, page)
            page.locked_by = None
        for index in list(inode.extents):
            self.free_extent(inode, index)
        if inode in self.filesystem.inodes:
            self.filesystem.inodes.remove(inode)

    def make(self, file: int) -> Inode:
        """Make an empty file and give it a name."""
        inode = Inode(AddressSpace(file, self.filesystem.traits.is_tracked))
        self.names[file] = inode
        self.filesystem.inodes.append(inode)
        return inode

    def create(self, file: int) -> Stepped[None]:
        """Make an empty file."""
        if file in self.names or not self.filesystem.is_mounted:
            raise KernelError(Errno.EIO, f"file {file} cannot be created")
        yield from self.enter()
        self.make(file)
        self.filesystem.gate.leave()

    def unlink(self, file: int) -> Stepped[None]:
        """Remove the name of a file; mappings and pins of it live on."""
        inode = self.open(file)
        try:
            yield from self.enter()
            if inode.is_linked:
                inode.is_linked = False
                del self.names[file]
            self.filesystem.gate.leave()
        finally:
            self.close(inode)

    # --- content ------------------------------------------------------------------

    def read(self, file: int, page: int) -> Stepped[tuple[int, ...]]:
        """Read one page; answer its words, cut at the end of the file."""
        words_per_page = self.filesystem.geometry.words_per_page
        inode = self.open(file)
        try:
            if page * words_per_page >= inode.size_words:
                return ()
            found = yield from self.filesystem.find_page(inode, page)
            yield Step("read.page_found")
            words = tuple(found.words)
            self.filesystem.memory.put(found)
            inside = inode.size_words - page * words_per_page
            return words[: max(inside, 0)]
        finally:
            self.close(inode)

    def write(self, file: int, page: int, word: int, value: int) -> Stepped[None]:
        """Write one word; extend the file if need be."""
        inode = self.open(file)
        try:
            yield from self.begin_write(inode, "write")
            try:
                yield from self.write_words(inode, page, {word: value})
            finally:
                self.end_write(inode)
        finally:
            self.close(inode)

    def begin_write(self, inode: Inode, who: str) -> Stepped[None]:
        """Enter the gate and lock the file."""
        yield from self.enter()
        yield from inode.lock.acquire(who)

    def enter(self) -> Stepped[None]:
        """Enter the gate, if there is a filesystem behind it then."""
        yield from self.filesystem.gate.enter()
        if not self.filesystem.is_mounted:
            self.filesystem.gate.leave()
            raise KernelError(Errno.EIO, "the filesystem is not mounted")

    def end_write(self, inode: Inode) -> None:
        """Unlock the file and leave the gate."""
        inode.lock.release()
        self.filesystem.gate.leave()

    def write_words(
        self, inode: Inode, index: int, words: dict[int, int]
    ) -> Stepped[None]:
        """Write words of one page through the page cache.

        Context: the file is locked.
        """
        size = index * self.filesystem.geometry.words_per_page + max(words) + 1
        if size > inode.size_words:
            yield from self.zero_last_page(inode)
        page = yield from self.lock_to_dirty(inode, index, "write")
        yield Step("write.prepared")
        for word, value in words.items():
            page.words[word] = value
        inode.size_words = max(inode.size_words, size)
        self.filesystem.cache.mark_dirty(page)
        self.filesystem.update_mtime(inode)
        yield Step("write.copied")
        self.release(page)

    def lock_to_dirty(self, inode: Inode, index: int, who: str) -> Stepped[Page]:
        """Return a page with a reference, locked, ready to be written and dirtied."""
        filesystem = self.filesystem
        while True:
            page = yield from filesystem.find_page(inode, index)
            yield from filesystem.cache.lock(page, who)
            yield Step("write.page_locked")
            if not filesystem.cache.belongs(page, inode.space, index):
                self.release(page)
                continue
            if filesystem.must_wait_for_writeback(page, for_device=False):
                self.release(page)
                yield from filesystem.cache.wait_writeback(page)
                continue
            try:
                filesystem.prepare_dirty(inode, page)
            except KernelError:
                self.release(page)
                raise
            return page

    def release(self, page: Page) -> None:
        """Unlock a page and drop the reference of a lookup."""
        self.filesystem.cache.unlock(page)
        self.filesystem.memory.put(page)

    # --- size -----------------------------------------------------------------------

    def truncate(self, file: int, words: int) -> Stepped[None]:
        """Set the size of a file."""
        inode = self.open(file)
        try:
            yield from self.begin_write(inode, "truncate")
            try:
                if words >= inode.size_words:
                    yield from self.zero_last_page(inode)
                    inode.size_words = words
                    yield Step("truncate.size_set")
                else:
                    yield from self.shrink(inode, words)
                self.filesystem.update_mtime(inode)
            finally:
                self.end_write(inode)
        finally:
            self.close(inode)

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        """Zero what becomes visible of the last page when the file grows.

        There may be anything: what a mapping or a device left beyond the end of
        the file, or what was on the disk before the file was cut.
        """
        words_per_page = self.filesystem.geometry.words_per_page
        index, inside = divmod(inode.size_words, words_per_page)
        is_somewhere = index in inode.space.pages or index in inode.extents
        if inside == 0 or not is_somewhere:
            return
        page = yield from self.lock_to_dirty(inode, index, "truncate")
        page.words[inside:] = [0] * (words_per_page - inside)
        self.filesystem.cache.mark_dirty(page)
        self.release(page)

    def shrink(self, inode: Inode, words: int) -> Stepped[None]:
        """Cut a file; the pages beyond its end become orphans, their blocks free."""
        words_per_page = self.filesystem.geometry.words_per_page
        first_gone = -(-words // words_per_page)
        yield from inode.space.invalidate_lock.acquire_write("truncate")
        inode.size_words = words
        inode.size_on_disk = min(inode.size_on_disk, words)
        yield Step("truncate.size_set")
        yield from self.rmap.unmap_range(inode.space, first_gone, None)
        yield Step("truncate.unmapped")
        yield from self.folios.split_edge(inode, first_gone)
        yield from self.remove_pages(inode, first_gone, None)
        yield from self.clear_tail(inode)
        inode.space.invalidate_lock.release_write()

    def clear_tail(self, inode: Inode) -> Stepped[None]:
        """Zero the part of the new last page that was cut off, if it is cached."""
        words_per_page = self.filesystem.geometry.words_per_page
        index, inside = divmod(inode.size_words, words_per_page)
        page = inode.space.pages.get(index)
        if page is None or inside == 0:
            return
        self.filesystem.memory.get(page)
        yield from self.lock_quiet(page, "truncate")
        page.words[inside:] = [0] * (words_per_page - inside)
        self.release(page)

    def lock_quiet(self, page: Page, who: str) -> Stepped[None]:
        """Lock a page while it is not under writeback."""
        cache = self.filesystem.cache
        yield from cache.lock(page, who)
        while page.is_under_writeback:
            cache.unlock(page)
            yield from cache.wait_writeback(page)
            yield from cache.lock(page, who)

    def remove_pages(self, inode: Inode, first: int, end: int | None) -> Stepped[None]:
        """Orphan the cached pages of a range and free its blocks.

        Context: the invalidate lock is held alone.
        """
        in_range = [
            (index, page)
            for index, page in sorted(inode.space.pages.items())
            if index >= first and (end is None or index < end)
        ]
        for _, page in in_range:
            self.filesystem.memory.get(page)
        for index, page in in_range:
            yield from self.lock_quiet(page, "truncate")
            if self.filesystem.cache.belongs(page, inode.space, index):
                yield from self.rmap.unmap_page(inode.space, page)
                self.filesystem.orphan(inode, page)
            self.release(page)
            yield Step("truncate.page_removed")
        for index in sorted(inode.extents):
            if index >= first and (end is None or index < end):
                self.free_extent(inode, index)

    def free_extent(self, inode: Inode, index: int) -> None:
        """Make a page of a file a hole."""
        extent = inode.extents.pop(index)
        self.filesystem.space.free(extent.block)

    def punch_hole(self, file: int, page: int, pages: int) -> Stepped[None]:
        """Make pages of a file a hole; its size stays."""
        inode = self.open(file)
        try:
            yield from self.begin_write(inode, "punch_hole")
            try:
                yield from inode.space.invalidate_lock.acquire_write("punch_hole")
                yield from self.rmap.unmap_range(inode.space, page, page + pages)
                yield Step("truncate.unmapped")
                yield from self.folios.split_edge(inode, page)
                yield from self.folios.split_edge(inode, page + pages)
                yield from self.remove_pages(inode, page, page + pages)
                inode.space.invalidate_lock.release_write()
                self.filesystem.update_mtime(inode)
            finally:
                self.end_write(inode)
        finally:
            self.close(inode)
