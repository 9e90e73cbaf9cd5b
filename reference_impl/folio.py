"""Large folios: splitting one into single pages.

Only a folio that nobody holds but its file can be split: a reference or a pin is one
of the whole folio, and nobody could tell to which of the pages it should go. So the
folio is unmapped, then its count is *frozen*, if it is what the file alone accounts
for, and only then its pages part. A reference that GUP-fast takes meanwhile is seen
by the one or the other: either the count is not as expected, or there is none to take.

Interface:
  * `split` splits the folio of a page, or refuses.
  * `split_edge` does it where a range of a file begins or ends within a folio; if it
    cannot be done, the pages of the range leave one by one, and their memory is free
    when the whole folio is.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, Event, KernelError, Step
from conformance.interface.events import FolioSplit
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Folios:
    """Splits large folios."""

    filesystem: Filesystem
    rmap: Rmap
    tell: Callable[[Event], None] | None = None

    def split(self, inode: Inode, index: int) -> Stepped[None]:
        """Split the folio that a page of a file belongs to.

        Raises:
            KernelError: EBUSY, if somebody holds it; EINVAL, if the page is not there.
        """
        page = inode.space.pages.get(index)
        if page is None:
            raise KernelError(Errno.EINVAL, f"page {index} is not cached")
        if not (yield from self.try_split(inode, page)):
            raise KernelError(Errno.EBUSY, f"the folio of page {page.pfn} is in use")

    def split_edge(self, inode: Inode, edge: int) -> Stepped[None]:
        """Try to split the folio that has pages on both sides of an index."""
        for index, page in sorted(inode.space.pages.items()):
            if index >= edge and any(part.index < edge for part in page.cached_parts):
                yield from self.try_split(inode, page)
                return

    def try_split(self, inode: Inode, page: Page) -> Stepped[bool]:
        """Split the folio of a page; tell whether the page is single now."""
        if not page.is_large:
            return True
        self.filesystem.memory.get(page)
        parts = page.cached_parts
        if not self.may_split(page) or not self.lock_all(parts):
            self.filesystem.memory.put(page)
            return False
        for part in parts:
            yield from self.rmap.unmap_page(inode.space, part)
        is_frozen = self.freeze(page)
        if is_frozen:
            yield Step("split.folio_frozen")
            self.break_up(page)
        for part in parts:
            self.filesystem.cache.unlock(part)
        self.filesystem.memory.put(page)
        yield Step("split.folio_split")
        return is_frozen

    def may_split(self, page: Page) -> bool:
        """Tell whether it makes sense to begin: nobody seems to use the folio."""
        is_written = any(part.is_under_writeback for part in page.parts)
        return not is_written and not self.filesystem.memory.maybe_dma_pinned(page)

    def lock_all(self, parts: list[Page]) -> bool:
        """Lock all pages of a folio; if one is locked, none."""
        if any(part.is_locked for part in parts):
            return False
        for part in parts:
            part.locked_by = "split"
        return True

    def freeze(self, page: Page) -> bool:
        """Freeze the count, if there are just the references of the file and ours."""
        return self.filesystem.memory.freeze(page, len(page.cached_parts) + 1)

    def break_up(self, page: Page) -> None:
        """Make single pages of a frozen folio."""
        head = page.head
        self.filesystem.memory.break_up(page)
        if self.tell is not None:
            self.tell(FolioSplit(head.pfn))
