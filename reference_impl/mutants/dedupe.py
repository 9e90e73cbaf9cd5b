"""Stacks that share blocks of pages that are not equal, or do not stay so."""

from functools import partial

from conformance.interface import Step
from reference_impl.clone import Pair, Sharing
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped


class _ComparesTheFirstPage(Sharing):
    """Ranges are equal if their first pages are."""

    def are_equal(self, pairs: list[Pair]) -> bool:
        return super().are_equal(pairs[:1])


class _ComparesOnce(Sharing):
    """Ranges are compared in memory first; what devices do later goes unnoticed."""

    def dedupe_locked(self, inodes: list[Inode], pairs: list[Pair]) -> Stepped[int]:
        is_equal = yield from self.are_equal_in_memory(pairs)
        yield Step("dedupe.compared")
        for inode in inodes:
            yield from self.write(inode)
        if not is_equal:
            return 0
        for pair in pairs:
            self.share(pair)
        return len(pairs)

    def are_equal_in_memory(self, pairs: list[Pair]) -> Stepped[bool]:
        """Compare what the pages hold now."""
        is_equal = True
        for pair in pairs:
            found = []
            for inode, index in pair.ends:
                page = yield from self.find(inode, index)
                found.append(tuple(page.words) if page is not None else ())
            is_equal &= found[0] == found[1]
        return is_equal

    def find(self, inode: Inode, index: int) -> Stepped[Page | None]:
        """Return a page of a locked file, if it is in memory."""
        yield from ()
        return inode.space.pages.get(index)


class _DropsTheOtherPages(Sharing):
    """The cached pages of the range that is replaced are dropped, pinned or not."""

    def refuse_busy(self, pairs: list[Pair]) -> None:
        pass

    def dedupe_locked(self, inodes: list[Inode], pairs: list[Pair]) -> Stepped[int]:
        shared = yield from super().dedupe_locked(inodes, pairs)
        for pair in pairs[:shared]:
            yield from self.drop(pair.other, pair.other_index)
        return shared

    def drop(self, inode: Inode, index: int) -> Stepped[None]:
        """Take a page from its file."""
        page = inode.space.pages.get(index)
        if page is None:
            return
        self.filesystem.memory.get(page)
        yield from self.files.lock_quiet(page, "dedupe")
        if self.filesystem.cache.belongs(page, inode.space, index):
            yield from self.files.rmap.unmap_page(inode.space, page)
            self.filesystem.orphan(inode, page)
        self.files.release(page)


def _mutant(
    name: str, violates: tuple[str, ...], parts: Parts, lie: str, origin: str = ""
) -> Mutant:
    return Mutant(
        f"snapshots.{name}", violates, partial(boot, parts=parts), lie, origin
    )


DEDUPE_MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "compares_the_first_page",
        ("SNAP-DEDUPE",),
        Parts(make_sharing=_ComparesTheFirstPage),
        "ranges are equal if their first pages are",
    ),
    _mutant(
        "compares_once",
        ("SNAP-DEDUPE",),
        Parts(make_sharing=_ComparesOnce),
        "ranges are compared in memory before they are written, and not again",
        "vfs_dedupe_file_range_compare looks at pages that a device may still write",
    ),
    _mutant(
        "drops_the_other_pages",
        ("SNAP-DEDUPE", "MKW-DEVICE", "DRT-FSYNC", "DRT-SKIP-IF-DIRTY"),
        Parts(make_sharing=_DropsTheOtherPages),
        "the cached pages of the range that is replaced are dropped, pinned or not",
        "remap_file_range drops the cached pages of its destination",
    ),
)
