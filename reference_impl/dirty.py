"""Marking pages dirty out of band: by whoever wrote to them past the page tables.

A page may have lost its file by then; dirtying an orphan does nothing. Whoever
does not hold the page lock must know by other means that the file cannot go away
under him.

Interface:
  * `set_page_dirty` marks at once, `set_page_dirty_lock` under the page lock.
  * `make_dirty` and `make_dirty_lock` do so unless the page is dirty already, as
    put_user_pages_dirty and put_user_pages_dirty_lock do. The device's last write
    comes before the question.
"""

import attrs

from conformance.interface import KernelError, Step
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Dirty:
    """Out-of-band dirtying."""

    filesystem: Filesystem

    def set_page_dirty(self, page: Page) -> None:
        """Mark a page dirty, with what writeback will need.

        A page that a device could write to has never been clean, so this is for
        pages that nobody had the right to write to. If there is no space for it,
        writeback says so.
        """
        if page.is_dirty:
            return
        inode = self.find_inode(page)
        if inode is None:
            return
        if inode.space.is_tracked:
            try:
                self.filesystem.prepare_dirty(inode, page)
            except KernelError:
                self.filesystem.cache.attach_buffers(page)
        self.filesystem.cache.mark_dirty(page)
        self.filesystem.update_mtime(inode)

    def find_inode(self, page: Page) -> Inode | None:
        """Return the file that a page belongs to; None: an orphan."""
        for inode in self.filesystem.inodes:
            if inode.space is page.mapping:
                return inode
        return None

    def set_page_dirty_lock(self, page: Page) -> Stepped[None]:
        """Mark a page dirty under its lock."""
        self.filesystem.memory.get(page)
        yield from self.filesystem.cache.lock(page, "set_page_dirty_lock")
        yield Step("dirty.page_locked")
        self.set_page_dirty(page)
        self.filesystem.cache.unlock(page)
        self.filesystem.memory.put(page)
        yield Step("dirty.flag_set")

    def make_dirty(self, page: Page) -> Stepped[None]:
        """Mark a page dirty unless it is, without its lock."""
        yield Step("put.dirty_checked")
        if not self.may_skip(page):
            self.set_page_dirty(page)

    def make_dirty_lock(self, page: Page) -> Stepped[None]:
        """Mark a page dirty unless it is, under its lock."""
        if self.may_skip(page):
            yield Step("put.dirty_checked")
        else:
            yield Step("put.dirty_checked")
            yield from self.set_page_dirty_lock(page)

    def may_skip(self, page: Page) -> bool:
        """Tell whether a page is dirty already: a later writeback has the data."""
        return page.is_dirty
