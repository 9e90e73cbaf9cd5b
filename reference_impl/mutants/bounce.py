"""Stacks that lie about bounce pages."""

from functools import partial

import attrs

from conformance.interface.events import BounceCaptured
from reference_impl.blockdev import Words
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants import stable
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped, wait_until
from reference_impl.writeback import Writeback

# --- dirty as long as pinned ------------------------------------------------------


class _CleansPinnedPages(Writeback):
    """A pinned page is clean when its copy is written."""

    def may_clear_dirty(self, *, is_pinned: bool) -> bool:
        return True


class _CleansTheSecondPinnedPage(Writeback):
    """When the copy of any page but the first has landed, the page is clean."""

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
        is_wrong = source is not page and page.index > 0 and not failed
        if is_wrong and page.is_dirty:
            self.filesystem.cache.clear_dirty_for_io(page)
        super().end_io(inode, page, source, block, promised, failed=failed)


class _CleansPinnedPagesItSkips(Writeback):
    """A pinned page that memory cleaning leaves alone is called clean."""

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        yield from super().write_page(inode, page, is_integrity=is_integrity)
        if self.maybe_pinned(page) and self.skips_pinned(is_integrity=is_integrity):
            self.filesystem.cache.clear_dirty_for_io(page)
            self.filesystem.space.unreserve(page)


# --- syncs ------------------------------------------------------------------------


class _SkipsPinnedPages(Writeback):
    """A sync leaves pinned pages alone, as memory cleaning does."""

    def skips_pinned(self, *, is_integrity: bool) -> bool:
        return True


@attrs.define(eq=False)
class _WritesAPinnedPageOnce(Writeback):
    """A sync skips a pinned page that an earlier sync has written."""

    written: set[int] = attrs.field(factory=set[int])

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        is_pinned = self.maybe_pinned(page)
        if not is_pinned:
            self.written.discard(page.pfn)
        if page.pfn not in self.written:
            yield from super().write_page(inode, page, is_integrity=is_integrity)
        if is_pinned and is_integrity:
            self.written.add(page.pfn)


class _WaitsForPins(Writeback):
    """A sync waits until a page is no longer pinned."""

    def lock_for_writing(self, page: Page, *, is_integrity: bool) -> Stepped[None]:
        if is_integrity:
            yield from wait_until("pins", lambda: not self.maybe_pinned(page))
        yield from super().lock_for_writing(page, is_integrity=is_integrity)


# --- space ------------------------------------------------------------------------


class _ReservesForOneWrite(Filesystem):
    """page_mkwrite on a hole promises one block, which the first copy spends."""

    def blocks_wanted(self, inode: Inode, index: int) -> int:
        return min(super().blocks_wanted(inode, index), 1)


class _GivesTheOldBlockAway(Filesystem):
    """The block that a copy replaces is free for all, not promised to the page."""

    def data_landed(
        self, inode: Inode, page: Page, block: int, checksum: Words
    ) -> None:
        was_dirty, page.is_dirty = page.is_dirty, False
        super().data_landed(inode, page, block, checksum)
        page.is_dirty = was_dirty


# --- the end of the file ----------------------------------------------------------


class _CopiesBeyondTheEnd(Writeback):
    """The copy has what the page has beyond the end of the file."""

    def capture(
        self, inode: Inode, page: Page, bounce: Page | None, block: int
    ) -> Stepped[Page]:
        if bounce is None:
            return (yield from super().capture(inode, page, bounce, block))
        words = tuple(page.words)
        bounce.words = list(self.filesystem.encrypt(block, words))
        if self.tell is not None:
            self.tell(BounceCaptured(page.key, page.pfn, words))
        return bounce


class _TrustsTheDisk(Files):
    """A page that is not in memory is zero beyond the end, for so it was written."""

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        words_per_page = self.filesystem.geometry.words_per_page
        if inode.size_words // words_per_page in inode.space.pages:
            yield from super().zero_last_page(inode)


# --- errors -----------------------------------------------------------------------


class _BadEnd(Writeback):
    """Does something wrong when a copy could not be written."""

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
        if failed and source is not page:
            self.before_end(source)
        super().end_io(inode, page, source, block, promised, failed=failed)
        if failed and source is not page:
            self.after_end(inode, page)

    def before_end(self, source: Page) -> None:
        """Do it before the writeback has ended."""

    def after_end(self, inode: Inode, page: Page) -> None:
        """Do it after the writeback has ended."""


class _LeaksTheCopyOnError(_BadEnd):
    """A copy that could not be written is never let go of."""

    def before_end(self, source: Page) -> None:
        self.filesystem.memory.get(source)


class _CleansOnError(_BadEnd):
    """A pinned page whose copy could not be written is clean."""

    def after_end(self, inode: Inode, page: Page) -> None:
        if page.is_dirty:
            self.filesystem.cache.clear_dirty_for_io(page)
            self.filesystem.space.unreserve(page)


class _HidesTheErrorOfACopy(_BadEnd):
    """A sync is not told that a copy could not be written."""

    def after_end(self, inode: Inode, page: Page) -> None:
        inode.errors -= 1


class _CountsAFailedCopyForEver(_BadEnd):
    """A page whose copy could not be written stays in the account of writeback."""

    def after_end(self, inode: Inode, page: Page) -> None:
        self.filesystem.cache.counters.under_writeback += 1


class _CountsTheEndOfACopyTwice(Writeback):
    """The end of the copy's write and the end of the page's are both counted."""

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
        super().end_io(inode, page, source, block, promised, failed=failed)
        is_bounced = source is not page and not self.filesystem.traits.has_encryption
        self.filesystem.cache.counters.under_writeback -= is_bounced


class _NeverEndsAFailedCopy(Writeback):
    """A page whose copy fails stays under writeback; a sync does not wait for it."""

    def wait_pages(self, inode: Inode) -> Stepped[None]:
        before = inode.errors

        def has_ended(page: Page) -> bool:
            return not page.is_under_writeback or inode.errors > before

        for page in list(inode.space.pages.values()):
            yield from wait_until("writeback", partial(has_ended, page))

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
        if not failed or source is page:
            super().end_io(inode, page, source, block, promised, failed=failed)
            return
        self.filesystem.memory.put(source)
        self.filesystem.data_lost(inode, page, block)


def _writeback(
    name: str, violates: tuple[str, ...], kind: type[Writeback], lie: str, origin: str
) -> Mutant:
    faulty = partial(boot, parts=Parts(make_writeback=kind))
    return Mutant(f"bounce.{name}", violates, faulty, lie, origin)


MUTANTS: tuple[Mutant, ...] = (
    *stable.MUTANTS,
    _writeback(
        "cleans_pinned_pages",
        ("BNC-KEEPDIRTY", "MKW-DEVICE", "BNC-RESERVE", "SNAP-RESERVE"),
        _CleansPinnedPages,
        "a pinned page is clean when its copy is written",
        "Linux to this day: a device writes to a clean page",
    ),
    _writeback(
        "cleans_the_second_pinned_page",
        ("BNC-KEEPDIRTY", "MKW-DEVICE", "BNC-RESERVE"),
        _CleansTheSecondPinnedPage,
        "when the copy of any page but the first has landed, the page is clean",
        "",
    ),
    _writeback(
        "cleans_pinned_pages_it_skips",
        ("BNC-KEEPDIRTY", "MKW-DEVICE", "WB-SKIP", "BNC-FSYNC"),
        _CleansPinnedPagesItSkips,
        "a pinned page that memory cleaning leaves alone is called clean",
        "",
    ),
    _writeback(
        "skips_pinned_pages",
        (
            "BNC-FSYNC",
            "MKW-DEVICE",
            "WB-PTEDIRTY",
            "BNC-KEEPDIRTY",
            "BNC-ERR",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FSYNC",
            "DRT-FLUSH",
            "REF-FALSEPOS",
        ),
        _SkipsPinnedPages,
        "a sync leaves pinned pages alone, as memory cleaning does",
        "Chinner's objection of 2019 to pages that are never clean",
    ),
    _writeback(
        "writes_a_pinned_page_once",
        (
            "BNC-FSYNC",
            "MKW-DEVICE",
            "WB-PTEDIRTY",
            "BNC-KEEPDIRTY",
            "BNC-ERR",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FSYNC",
            "REF-FALSEPOS",
        ),
        _WritesAPinnedPageOnce,
        "a sync skips a pinned page that an earlier sync has written",
        "",
    ),
    _writeback(
        "waits_for_pins",
        (
            "BNC-FSYNC",
            "REF-FALSEPOS",
            "LIVE-GUP",
            "LIVE-SYNC",
            "SNAP-FALSEPOS",
            "DIO-SELF",
            "LIVE-UMOUNT",
        ),
        _WaitsForPins,
        "a sync waits until a page is no longer pinned",
        "",
    ),
    Mutant(
        "bounce.reserves_for_one_write",
        ("BNC-RESERVE", "MKW-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_filesystem=_ReservesForOneWrite)),
        "page_mkwrite on a hole promises one block, which the first copy spends",
        "Chinner and Hellwig, February 2023: just leaving a page dirty is wrong",
    ),
    Mutant(
        "bounce.gives_the_old_block_away",
        ("BNC-RESERVE",),
        partial(boot, parts=Parts(make_filesystem=_GivesTheOldBlockAway)),
        "the block that a copy replaces is free for all, not promised to the page",
    ),
    Mutant(
        "bounce.copies_beyond_the_end",
        ("BNC-EOF", "MKW-RANGE"),
        partial(
            boot,
            parts=Parts(make_writeback=_CopiesBeyondTheEnd, make_files=_TrustsTheDisk),
        ),
        "the copy has what the page has beyond the end, and growing trusts the disk",
    ),
    _writeback(
        "leaks_the_copy_on_error",
        ("BNC-ERR", "REF-FREE"),
        _LeaksTheCopyOnError,
        "a copy that could not be written is never let go of",
        "Z40 (5991bfa3f88e)",
    ),
    _writeback(
        "cleans_on_error",
        ("BNC-ERR", "MKW-DEVICE"),
        _CleansOnError,
        "a pinned page whose copy could not be written is clean",
        "",
    ),
    _writeback(
        "hides_the_error_of_a_copy",
        ("BNC-ERR", "WB-PTEDIRTY", "WB-ERROR"),
        _HidesTheErrorOfACopy,
        "a sync is not told that a copy could not be written",
        "",
    ),
    _writeback(
        "counts_a_failed_copy_for_ever",
        ("BNC-COMPLETE",),
        _CountsAFailedCopyForEver,
        "a page whose copy could not be written stays in the account of writeback",
        "",
    ),
    _writeback(
        "counts_the_end_of_a_copy_twice",
        ("BNC-COMPLETE",),
        _CountsTheEndOfACopyTwice,
        "the end of the copy's write and the end of the page's are both counted",
        "",
    ),
    _writeback(
        "never_ends_a_failed_copy",
        ("BNC-COMPLETE", "BNC-FSYNC", "LIVE-SYNC"),
        _NeverEndsAFailedCopy,
        "a page whose copy fails stays under writeback; a sync does not wait for it",
        "",
    ),
)
