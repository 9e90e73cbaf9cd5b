"""Stacks whose writeback writes what it should not, or loses what it cannot write."""

from functools import partial

from conformance.interface import KernelError
from reference_impl.blockdev import Words, WriteRequest
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants import cleaning
from reference_impl.mutants.mutant import Mutant
from reference_impl.reclaim import CACHE_AND_OURS, Reclaim
from reference_impl.stack import boot
from reference_impl.writeback import Writeback

# --- pinned pages -------------------------------------------------------------------


class _CleansPinnedPages(Writeback):
    """Writeback to clean memory writes pinned pages, too."""

    def skips_pinned(self, *, is_integrity: bool) -> bool:
        return False


class _StripsPinnedPages(Reclaim):
    """Reclaim takes the buffers of a page that it then cannot free."""

    def may_strip(self, page: Page) -> bool:
        return page.has_buffers


class _StripsUnmappedPages(Reclaim):
    """Reclaim takes the buffers of a pinned page that nobody maps and one pin holds."""

    def may_strip(self, page: Page) -> bool:
        bias = self.filesystem.memory.geometry.pin_bias
        return page.has_buffers and page.refcount == CACHE_AND_OURS + bias


class _FreesPinnedPages(Reclaim):
    """Reclaim counts the references of a page, and not its pins."""

    def may_free(self, page: Page) -> bool:
        memory = self.filesystem.memory
        is_pinned = memory.maybe_dma_pinned(page) and not page.is_under_writeback
        is_lone = page.refcount % memory.geometry.pin_bias == CACHE_AND_OURS
        return (is_pinned and is_lone) or super().may_free(page)


class _EvictsPinnedPages(Reclaim):
    """Evicting counts references, and takes a page that a pin keeps dirty for clean."""

    def evict(self, inode: Inode) -> None:
        memory = self.filesystem.memory
        bias = memory.geometry.pin_bias
        for page in list(inode.space.pages.values()):
            is_lone = page.refcount % bias == 1 and not page.is_locked
            is_pinned = memory.maybe_dma_pinned(page) and not page.is_under_writeback
            if inode.space.is_tracked and is_lone and is_pinned:
                self.remove(inode, page)
        super().evict(inode)


# --- errors -----------------------------------------------------------------------


class _SwallowsErrors(Writeback):
    """A failed write of a page that is not pinned ends like one that succeeded."""

    def end_io(
        self,
        inode: Inode,
        page: Page,
        source: Page,
        block: int,
        promised: Words,
        *,
        failed: bool,
    ) -> None:
        errors = inode.errors
        super().end_io(inode, page, source, block, promised, failed=failed)
        if failed and source is page:
            inode.errors = errors
            self.filesystem.cache.clear_dirty_for_io(page)
            self.filesystem.space.unreserve(page)


class _SwallowsErrorsOfRewrites(Filesystem):
    """A failed write of a block that was written before is not counted."""

    def data_lost(self, inode: Inode, page: Page, block: int) -> None:
        errors = inode.errors
        super().data_lost(inode, page, block)
        if page.index in inode.extents:
            inode.errors = errors


class _WritesWhatItCouldNotRead(Filesystem):
    """A page that could not be read in is found dirty, and written."""

    def fill_or_drop(self, inode: Inode, page: Page, index: int) -> None:
        self.memory.get(page)
        try:
            super().fill_or_drop(inode, page, index)
        except KernelError:
            block = inode.extents[index].block
            zeros = self.disk.zeros
            request = WriteRequest(block, page, zeros, lambda _: self.memory.put(page))
            self.disk.submit(request)
            raise
        self.memory.put(page)


MUTANTS: tuple[Mutant, ...] = (
    *cleaning.MUTANTS,
    Mutant(
        "writeback.cleans_pinned_pages",
        ("WB-SKIP",),
        partial(boot, parts=Parts(make_writeback=_CleansPinnedPages)),
        "Writeback to clean memory writes pinned pages, too",
    ),
    Mutant(
        "writeback.strips_pinned_pages",
        ("WB-RECLAIM", "DRT-BUFFERS"),
        partial(boot, parts=Parts(make_reclaim=_StripsPinnedPages)),
        "Reclaim takes the buffers of a page that it then cannot free",
        "Z11, Z14: Kara's report of 2018, fixed by d824ec2a1546",
    ),
    Mutant(
        "writeback.strips_unmapped_pages",
        ("WB-RECLAIM", "DRT-BUFFERS"),
        partial(boot, parts=Parts(make_reclaim=_StripsUnmappedPages)),
        "Reclaim takes the buffers of a pinned page that nobody maps and one pin holds",
        "Z14: d824ec2a1546",
    ),
    Mutant(
        "writeback.frees_pinned_pages",
        (
            "WB-RECLAIM",
            "MKW-DEVICE",
            "BNC-KEEPDIRTY",
            "DRT-SKIP-IF-DIRTY",
            "DRT-BUFFERS",
            "DRT-FSYNC",
            "REF-QUERY",
            "LT-NOMOVE",
        ),
        partial(boot, parts=Parts(make_reclaim=_FreesPinnedPages)),
        "Reclaim counts the references of a page, and not its pins",
    ),
    Mutant(
        "writeback.evicts_pinned_pages",
        (
            "WB-RECLAIM",
            "MKW-DEVICE",
            "BNC-KEEPDIRTY",
            "DRT-SKIP-IF-DIRTY",
            "DRT-BUFFERS",
            "DRT-FSYNC",
            "REF-QUERY",
            "LT-NOMOVE",
        ),
        partial(boot, parts=Parts(make_reclaim=_EvictsPinnedPages)),
        "Evicting counts references, and takes a page that a pin keeps dirty for clean",
    ),
    Mutant(
        "writeback.swallows_errors",
        (
            "WB-ERROR",
            "MKW-EVERY",
            "MKW-DEVICE",
            "WB-PTEDIRTY",
            "WB-LOCK",
            "WB-SINGLE",
            "BNC-KEEPDIRTY",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FSYNC",
        ),
        partial(boot, parts=Parts(make_writeback=_SwallowsErrors)),
        "A failed write of a page that is not pinned ends like one that succeeded",
    ),
    Mutant(
        "writeback.swallows_errors_of_rewrites",
        ("WB-ERROR", "WB-PTEDIRTY", "WB-SINGLE", "BNC-KEEPDIRTY", "DRT-FSYNC"),
        partial(boot, parts=Parts(make_filesystem=_SwallowsErrorsOfRewrites)),
        "A failed write of a block that was written before is not counted",
    ),
    Mutant(
        "writeback.writes_what_it_could_not_read",
        (
            "WB-UPTODATE",
            "MKW-EVERY",
            "WB-PTEDIRTY",
            "WB-LOCK",
            "WB-SINGLE",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FSYNC",
        ),
        partial(boot, parts=Parts(make_filesystem=_WritesWhatItCouldNotRead)),
        "A page that could not be read in is found dirty, and written",
        "Z9: c2fda5fed81e and its fix",
    ),
)
