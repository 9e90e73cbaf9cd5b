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
            parts = page.cached_parts
            is_used = page.refcount > len(parts) or any(p.is_locked for p in parts)
            if not is_used and all(self.is_clean(part) for part in parts):
                for part in parts:
                    self.remove(inode, part)

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
        """Unmap a page and free it, if nobody else holds it; its folio goes with it.

        Context: the caller has a reference.
        """
        cache = self.filesystem.cache
        yield from cache.lock(page, "reclaim")
        parts = self.lock_parts(inode, page)
        if parts:
            yield from self.free_parts(inode, parts)
        for part in parts or [page]:
            cache.unlock(part)
        yield Step("reclaim.page_freed")

    def free_parts(self, inode: Inode, parts: list[Page]) -> Stepped[None]:
        """Unmap the pages of a folio and free all of them, or none.

        Context: they are locked.
        """
        for part in parts:
            yield from self.rmap.unmap_page(inode.space, part)
        yield Step("reclaim.unmapped")
        for part in parts:
            if self.may_strip(part):
                self.filesystem.cache.release_buffers(part)
                yield Step("reclaim.buffers_released")
        if all(self.may_free(part) for part in parts):
            for part in parts:
                self.remove(inode, part)

    def lock_parts(self, inode: Inode, page: Page) -> list[Page]:
        """Lock the other pages of a locked page's folio, if they can be had at once.

        Returns:
            All of them that the file has; none, if the folio has to be left alone.
        """
        parts = page.cached_parts
        is_free = all(part is page or not part.is_locked for part in parts)
        if not self.filesystem.cache.belongs(page, inode.space, page.index):
            return []
        if not is_free:
            return []
        for part in parts:
            part.locked_by = page.locked_by
        return parts

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
        others = len(page.cached_parts) - 1
        return page.refcount != CACHE_AND_OURS + others

    def remove(self, inode: Inode, page: Page) -> None:
        """Take a page out of the cache."""
        self.filesystem.orphan(inode, page)
