"""Memory pressure: taking pages of files out of memory.

A page that may be pinned is left alone, with all that is attached to it: it would
be dirtied later, and writeback would miss its buffers. As everywhere, the entries
are changed first and pins are asked for after that, under the page lock.

Interface:
  * `reclaim` unmaps, writes and frees; `evict` drops only what is clean and unused.
"""

import attrs

from conformance.interface import KernelError, Step
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

CACHE_AND_OURS = 2
"""References of a page that only the cache and the one who looked it up hold."""


@attrs.define(eq=False)
class Reclaim:
    """Frees pages of files."""

    filesystem: Filesystem
    rmap: Rmap
    writeback: Writeback

    def evict(self, inode: Inode) -> None:
        """Drop the pages of a file that are clean and that nobody uses."""
        if not inode.space.is_tracked:
            return
        for page in list(inode.space.pages.values()):
            is_used = page.refcount > 1 or page.is_locked
            if not is_used and self.is_clean(page):
                self.remove(inode, page)

    def reclaim(self, inode: Inode) -> Stepped[None]:
        """Unmap, clean and free as many pages of a file as can be."""
        if not inode.space.is_tracked:
            return
        for _, page in sorted(inode.space.pages.items()):
            if not self.filesystem.hold_page(inode, page):
                continue
            yield Step("reclaim.page_found")
            yield from self.clean(inode, page)
            yield from self.try_free(inode, page)
            self.filesystem.memory.put(page)

    def clean(self, inode: Inode, page: Page) -> Stepped[None]:
        """Write a dirty page that is not pinned, and wait for the disk."""
        try:
            yield from self.writeback.write_if_dirty(inode, page, is_integrity=False)
        except KernelError:
            return
        yield from self.filesystem.cache.wait_writeback(page)

    def try_free(self, inode: Inode, page: Page) -> Stepped[None]:
        """Unmap a page and free it, if nobody else holds it.

        Context: the caller has a reference.
        """
        cache = self.filesystem.cache
        yield from cache.lock(page, "reclaim")
        if cache.belongs(page, inode.space, page.index):
            yield from self.rmap.unmap_page(inode.space, page)
            yield Step("reclaim.unmapped")
            if self.may_strip(page):
                cache.release_buffers(page)
                yield Step("reclaim.buffers_released")
            if self.may_free(page):
                self.remove(inode, page)
        cache.unlock(page)
        yield Step("reclaim.page_freed")

    def may_strip(self, page: Page) -> bool:
        """Tell whether the buffers of a page may go."""
        return page.has_buffers and self.may_free(page)

    def may_free(self, page: Page) -> bool:
        """Tell whether a locked, unmapped page may leave the cache."""
        return self.is_clean(page) and not self.is_held(page)

    def is_clean(self, page: Page) -> bool:
        """Tell whether the disk has all that the page has."""
        return page.is_uptodate and not page.is_dirty and not page.is_under_writeback

    def is_held(self, page: Page) -> bool:
        """Tell whether anybody else has a reference, a pin for instance."""
        return page.refcount != CACHE_AND_OURS

    def remove(self, inode: Inode, page: Page) -> None:
        """Take a page out of the cache."""
        self.filesystem.orphan(inode, page)
