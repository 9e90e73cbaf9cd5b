"""A correct stack that keeps a pinned folio whole where a file is cut inside it.

The reference lets the pages of the range go one by one. Here they stay in the file,
as in Linux where a split fails on a dirty folio: what was cut off is zeroed, and dirty
under the pin. What a device writes there beyond the end of the file is zeroed again
when the file grows. So the pin stays one of the file's page.
"""

from functools import partial

from conformance.interface import KernelError, Step
from reference_impl.files import Files
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.stack import boot as boot_reference
from reference_impl.stepping import Stepped


class WholeFolios(Files):
    """What system calls do to files, where folios stay whole while they are pinned."""

    def remove_pages(self, inode: Inode, first: int, end: int | None) -> Stepped[None]:
        """Keep pages of pinned folios of which a part stays; orphan the others."""
        kept = [
            (index, page)
            for index, page in sorted(inode.space.pages.items())
            if index >= first
            and (end is None or index < end)
            and self.is_kept(page, first, end)
        ]
        for index, page in kept:
            if (yield from self.clear_page(inode, index, page)):
                yield from super().remove_pages(inode, first, index)
                first = index + 1
        yield from super().remove_pages(inode, first, end)

    def is_kept(self, page: Page, first: int, end: int | None) -> bool:
        """Tell whether a page is part of a pinned folio that goes in part only."""
        stays = (
            part.index < first or (end is not None and part.index >= end)
            for part in page.cached_parts
        )
        is_pinned = self.filesystem.memory.maybe_dma_pinned(page)
        return page.is_large and is_pinned and any(stays)

    def clear_page(self, inode: Inode, index: int, page: Page) -> Stepped[bool]:
        """Make a page a dirty one of zeros over a hole; tell whether there is space."""
        filesystem = self.filesystem
        filesystem.memory.get(page)
        yield from self.lock_quiet(page, "truncate")
        try:
            if not filesystem.cache.belongs(page, inode.space, index):
                return True
            yield from self.rmap.unmap_page(inode.space, page)
            try:
                filesystem.prepare_dirty(inode, page)
            except KernelError:
                return False
            if index in inode.extents:
                self.free_extent(inode, index)
                filesystem.prepare_dirty(inode, page)
            page.words = list(filesystem.disk.zeros)
            filesystem.cache.mark_dirty(page)
            yield Step("truncate.page_removed")
            return True
        finally:
            self.release(page)

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        """Zero what becomes visible when the file grows, kept pages among it."""
        yield from super().zero_last_page(inode)
        first_beyond = -(-inode.size_words // self.filesystem.geometry.words_per_page)
        for index, page in sorted(inode.space.pages.items()):
            if index >= first_beyond:
                yield from self.clear_page(inode, index, page)
        for index in sorted(inode.extents):
            if index >= first_beyond and index not in inode.space.pages:
                self.free_extent(inode, index)


boot = partial(boot_reference, parts=Parts(make_files=WholeFolios))
"""Boot such a stack."""
