"""Stealing a page from the page cache, as splice does to move it to another owner.

The thief takes a clean page that nobody but the cache holds. It finds that out before
it touches anything: a page that is mapped, pinned or dirty stays, with all that
writeback needs of it.

Interface:
  * `steal` is the operation.
"""

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.stepping import Stepped

CACHE_AND_OURS = 2
"""References of a page that is held by the page cache and the thief alone."""


@attrs.define(eq=False)
class Thief:
    """Takes pages out of the page cache for others."""

    filesystem: Filesystem

    def steal(self, inode: Inode, index: int) -> Stepped[None]:
        """Take a page of a file out of the page cache.

        Raises:
            KernelError: EBUSY, if somebody else holds it; EINVAL, if it is not there,
                or if memory is all that the file has.
        """
        page = inode.space.pages.get(index)
        if page is None or not inode.space.is_tracked:
            raise KernelError(Errno.EINVAL, f"page {index} cannot be stolen")
        self.filesystem.memory.get(page)
        try:
            yield from self.take(inode, page)
        finally:
            self.filesystem.memory.put(page)

    def take(self, inode: Inode, page: Page) -> Stepped[None]:
        """Take one page, if that may be.

        Context: the caller has a reference.
        """
        cache = self.filesystem.cache
        yield from cache.lock(page, "steal")
        yield Step("steal.page_locked")
        is_ours = cache.belongs(page, inode.space, page.index)
        if not is_ours or not self.may_steal(page):
            cache.unlock(page)
            raise KernelError(Errno.EBUSY, f"page {page.pfn} is in use")
        self.filesystem.orphan(inode, page)
        cache.unlock(page)
        yield Step("steal.page_removed")

    def may_steal(self, page: Page) -> bool:
        """Tell whether a locked page is clean, and nobody's but the cache's."""
        is_clean = not page.is_dirty and not page.is_under_writeback
        return is_clean and not page.is_large and not self.is_held(page)

    def is_held(self, page: Page) -> bool:
        """Tell whether anybody else has a reference, a pin for instance."""
        return page.refcount != CACHE_AND_OURS
