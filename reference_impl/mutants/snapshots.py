"""Stacks that lie about clones, and about whom pins concern."""

from functools import partial

import attrs

from conformance.interface import Errno, KernelError
from reference_impl.clone import Pair, Sharing
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Extent, Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants.dedupe import DEDUPE_MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.space import Space
from reference_impl.stack import boot
from reference_impl.stepping import Stepped, wait_until

# --- isolation --------------------------------------------------------------------


class _WritesSharedBlocks(Filesystem):
    """A block is written in place although another file refers to it."""

    def goes_elsewhere(self, extent: Extent) -> bool:
        return self.traits.is_copy_on_write


class _WritesSharedBlocksOfPinnedPages(Filesystem):
    """The copy of a pinned page goes to where the page lies, shared or not."""

    def map_block(self, inode: Inode, page: Page) -> int:
        extent = inode.extents.get(page.index)
        if extent is not None and self.memory.maybe_dma_pinned(page):
            return extent.block
        return super().map_block(inode, page)


class _FreesSharedBlocks(Space):
    """The first user that leaves a shared block frees it.

    Who shares it again takes it as it is, also if somebody else has it by then.
    """

    def free(self, block: int) -> None:
        self.users.pop(block, None)
        self.used.discard(block)

    def share(self, block: int) -> None:
        self.used.add(block)
        super().share(block)


class _ForgetsDurableRecords(Space):
    """A block has one user left when the others have left it in memory."""

    def unshare(self, block: int) -> None:
        left = self.users.pop(block) - 1
        if left > 1:
            self.users[block] = left


class _ClonesTheDisk(Sharing):
    """A clone is of what the disk has; dirty pages are left alone."""

    def write(self, inode: Inode) -> Stepped[None]:
        yield from ()

    def is_settled(self, page: Page) -> bool:
        return True


class _SharesPinnedPages(Sharing):
    """The page that a device has pinned is seen in the clone, too."""

    def copy(self, inode: Inode, page: Page, made: Inode) -> None:
        super().copy(inode, page, made)
        made.space.pages[page.index].words = page.words


class _CopiesAreClean(Sharing):
    """The copy of a pinned page is not dirty, as if the disk had it."""

    def copy(self, inode: Inode, page: Page, made: Inode) -> None:
        super().copy(inode, page, made)
        copied = made.space.pages[page.index]
        self.filesystem.cache.clear_dirty_for_io(copied)
        self.filesystem.space.unreserve(copied)


# --- space ------------------------------------------------------------------------


class _PromisesNothingForSharedBlocks(Filesystem):
    """page_mkwrite takes a page that has a block for one that needs no other."""

    def blocks_wanted(self, inode: Inode, index: int) -> int:
        page = inode.space.pages.get(index)
        is_first = page is not None and not page.is_dirty and index in inode.extents
        if is_first and self.traits.is_tracked:
            return 1 if self.traits.is_copy_on_write else 0
        return super().blocks_wanted(inode, index)


class _PromisesOneForSharedBlocks(Filesystem):
    """A page that shares its block is promised one, though it frees none."""

    def blocks_wanted(self, inode: Inode, index: int) -> int:
        wanted = super().blocks_wanted(inode, index)
        return min(wanted, 1) if index in inode.extents else wanted


class _SharesBlocksOfPinnedPages(Sharing):
    """The block of a page that is dirty for its pin is shared like the others."""

    def is_settled(self, page: Page) -> bool:
        return not page.is_under_writeback


class _LetsWritersIn(Sharing):
    """page_mkwrite is not kept waiting while blocks are being shared."""

    def lock(self, inodes: list[Inode], who: str) -> Stepped[None]:
        yield from super().lock(inodes, who)
        for inode in inodes:
            inode.is_being_shared = False


# --- whom it concerns -------------------------------------------------------------


class _RefusesWhileAnythingIsPinned(Sharing):
    """No file can be cloned while any page of any file is pinned."""

    def clone_locked(self, inode: Inode, clone: int) -> Stepped[None]:
        memory = self.filesystem.memory
        if any(memory.maybe_dma_pinned(page) for page in memory.pages):
            raise KernelError(Errno.EBUSY, "pages are pinned")
        yield from super().clone_locked(inode, clone)


class _RefusesWholeFiles(Sharing):
    """No page of a file can be deduplicated while any other of it is pinned."""

    def refuse_busy(self, pairs: list[Pair]) -> None:
        super().refuse_busy(pairs)
        for inode, _ in (end for pair in pairs for end in pair.ends):
            if any(self.is_busy(page) for page in inode.space.pages.values()):
                raise KernelError(Errno.EBUSY, f"file {inode.file} is pinned")


class _CallsPinnedPagesDifferent(Sharing):
    """A dedupe of pages that may be pinned answers that they are not equal."""

    def dedupe_locked(self, inodes: list[Inode], pairs: list[Pair]) -> Stepped[int]:
        try:
            return (yield from super().dedupe_locked(inodes, pairs))
        except KernelError as error:
            if error.errno is Errno.EBUSY:
                return 0
            raise


# --- pages that only look pinned --------------------------------------------------


@attrs.define(eq=False)
class _CountsPins(Memory):
    """Memory that knows its pins one by one, beside the reference counts."""

    pins: dict[int, int] = attrs.field(factory=dict[int, int])

    def pin(self, page: Page) -> None:
        super().pin(page)
        self.pins[page.head.pfn] = self.pins.get(page.head.pfn, 0) + 1

    def unpin(self, page: Page) -> None:
        self.pins[page.head.pfn] = self.pins.get(page.head.pfn, 0) - 1
        super().unpin(page)

    def only_looks_pinned(self, page: Page) -> bool:
        """Tell whether a page has many references and no pin."""
        return self.maybe_dma_pinned(page) and not self.pins.get(page.head.pfn)


class _AsksTwice(Sharing):
    """Writeback leaves pages dirty that only look pinned; the clone knows better.

    It neither copies them nor has the disk what they hold.
    """

    def write(self, inode: Inode) -> Stepped[None]:
        for page in list(inode.space.pages.values()):
            if page.is_dirty and self.only_looks_pinned(page):
                return
        yield from super().write(inode)

    def is_settled(self, page: Page) -> bool:
        return self.only_looks_pinned(page) or super().is_settled(page)

    def only_looks_pinned(self, page: Page) -> bool:
        """Tell whether a page has many references and no pin."""
        memory = self.filesystem.memory
        assert isinstance(memory, _CountsPins), "wired with another memory"
        return memory.only_looks_pinned(page)


class _WaitsForManyReferences(Sharing):
    """A clone waits until no page of the file looks pinned without being so."""

    def clone_locked(self, inode: Inode, clone: int) -> Stepped[None]:
        yield from wait_until("references", lambda: not self.has_many(inode))
        yield from super().clone_locked(inode, clone)

    def has_many(self, inode: Inode) -> bool:
        """Tell whether any page only looks pinned."""
        memory = self.filesystem.memory
        assert isinstance(memory, _CountsPins), "wired with another memory"
        return any(map(memory.only_looks_pinned, inode.space.pages.values()))


def _mutant(
    name: str, violates: tuple[str, ...], parts: Parts, lie: str, origin: str = ""
) -> Mutant:
    return Mutant(
        f"snapshots.{name}", violates, partial(boot, parts=parts), lie, origin
    )


MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "writes_shared_blocks",
        ("SNAP-ISOLATE", "SNAP-DEDUPE"),
        Parts(make_filesystem=_WritesSharedBlocks),
        "a block is written in place although another file refers to it",
    ),
    _mutant(
        "writes_shared_blocks_of_pinned_pages",
        ("SNAP-ISOLATE",),
        Parts(make_filesystem=_WritesSharedBlocksOfPinnedPages),
        "the copy of a pinned page goes to where the page lies, shared or not",
        "writeback of a page dirtied behind the filesystem's back finds no block "
        "allocated by page_mkwrite, and takes the one that is mapped",
    ),
    _mutant(
        "frees_shared_blocks",
        ("SNAP-ISOLATE",),
        Parts(make_space=_FreesSharedBlocks),
        "the first user that leaves a shared block frees it",
    ),
    _mutant(
        "forgets_durable_records",
        ("SNAP-ISOLATE",),
        Parts(make_space=_ForgetsDurableRecords),
        "a block has one user left when the others have left it in memory",
    ),
    _mutant(
        "clones_the_disk",
        ("SNAP-ISOLATE", "SNAP-RESERVE", "SNAP-FALSEPOS"),
        Parts(make_sharing=_ClonesTheDisk),
        "a clone is of what the disk has; dirty pages are left alone",
    ),
    _mutant(
        "shares_pinned_pages",
        ("SNAP-ISOLATE", "SNAP-FALSEPOS"),
        Parts(make_sharing=_SharesPinnedPages),
        "the page that a device has pinned is seen in the clone, too",
    ),
    _mutant(
        "copies_are_clean",
        ("SNAP-ISOLATE", "SNAP-FALSEPOS"),
        Parts(make_sharing=_CopiesAreClean),
        "the copy of a pinned page is not dirty, as if the disk had it",
    ),
    _mutant(
        "promises_nothing_for_shared_blocks",
        ("SNAP-RESERVE", "MKW-FAIL", "MKW-RESERVE"),
        Parts(make_filesystem=_PromisesNothingForSharedBlocks),
        "page_mkwrite takes a page that has a block for one that needs no other",
    ),
    _mutant(
        "promises_one_for_shared_blocks",
        ("SNAP-RESERVE", "BNC-RESERVE"),
        Parts(make_filesystem=_PromisesOneForSharedBlocks),
        "a page that shares its block is promised one, though it frees none",
    ),
    _mutant(
        "shares_blocks_of_pinned_pages",
        ("SNAP-RESERVE",),
        Parts(make_sharing=_SharesBlocksOfPinnedPages),
        "the block of a page that is dirty for its pin is shared like the others",
        "remap_file_range does not look at pins",
    ),
    _mutant(
        "lets_writers_in",
        ("SNAP-RESERVE", "MKW-RESERVE"),
        Parts(make_sharing=_LetsWritersIn),
        "page_mkwrite is not kept waiting while blocks are being shared",
    ),
    _mutant(
        "refuses_while_anything_is_pinned",
        ("SNAP-INHIBIT-SCOPE",),
        Parts(make_sharing=_RefusesWhileAnythingIsPinned),
        "no file can be cloned while any page of any file is pinned",
    ),
    _mutant(
        "refuses_whole_files",
        ("SNAP-INHIBIT-SCOPE",),
        Parts(make_sharing=_RefusesWholeFiles),
        "no page of a file can be deduplicated while any other of it is pinned",
    ),
    _mutant(
        "calls_pinned_pages_different",
        ("SNAP-INHIBIT-SCOPE",),
        Parts(make_sharing=_CallsPinnedPagesDifferent),
        "a dedupe of pages that may be pinned answers that they are not equal",
    ),
    _mutant(
        "asks_twice",
        ("SNAP-FALSEPOS", "SNAP-ISOLATE"),
        Parts(make_memory=_CountsPins, make_sharing=_AsksTwice),
        "a page that only looks pinned is neither written for a clone nor copied",
    ),
    _mutant(
        "waits_for_many_references",
        ("SNAP-FALSEPOS",),
        Parts(make_memory=_CountsPins, make_sharing=_WaitsForManyReferences),
        "a clone waits until no page of the file looks pinned without being so",
    ),
    *DEDUPE_MUTANTS,
)
