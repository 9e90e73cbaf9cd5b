"""Stacks whose content changes on its way to the disk."""

from functools import partial

import attrs

from conformance.interface import Step
from conformance.interface.events import BounceCaptured
from reference_impl.blockdev import Words, WriteRequest
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- CPUs -------------------------------------------------------------------------


class _LosesTheStableFlag(Filesystem):
    """The disk's demand for stable content does not reach the filesystem."""

    def must_wait_for_writeback(self, page: Page, *, for_device: bool) -> bool:
        return for_device and page.is_under_writeback


@attrs.define(eq=False)
class _LosesTheStableFlagAfterAPin(Filesystem):
    """A page that was once faulted in for a device is not waited for by CPUs."""

    lent: set[int] = attrs.field(factory=set[int])

    def must_wait_for_writeback(self, page: Page, *, for_device: bool) -> bool:
        if for_device:
            self.lent.add(page.pfn)
        is_awaited = for_device or page.pfn not in self.lent
        must_wait = super().must_wait_for_writeback(page, for_device=for_device)
        return is_awaited and must_wait


class _WaitsForTheFirstPageOnly(Filesystem):
    """Only the first page of a file is kept stable, as on a disk of many parts."""

    def must_wait_for_writeback(self, page: Page, *, for_device: bool) -> bool:
        must_wait = super().must_wait_for_writeback(page, for_device=for_device)
        return must_wait and (for_device or page.index == 0)


# --- devices ----------------------------------------------------------------------


class _WritesThePinnedPageItself(Writeback):
    """No copy is made of a pinned page."""

    def make_bounce(self, *, is_pinned: bool) -> Page | None:
        return super().make_bounce(is_pinned=False)


@attrs.define(eq=False)
class _CopiesTheFirstPinnedPageOnly(Writeback):
    """A sync has one bounce page; the second pinned page is written itself."""

    copies: int = 0

    def fsync(self, inode: Inode) -> Stepped[None]:
        self.copies = 0
        yield from super().fsync(inode)

    def make_bounce(self, *, is_pinned: bool) -> Page | None:
        self.copies += is_pinned
        return super().make_bounce(is_pinned=is_pinned and self.copies == 1)


class _ChecksumsThePageItself(Writeback):
    """The copy is written; the checksum is made of the page, a little later."""

    def checksum(self, page: Page, source: Page) -> Words:
        if self.filesystem.traits.has_encryption:
            return super().checksum(page, source)
        return self.filesystem.cut(self.owner(page), page.index, tuple(page.words))

    def owner(self, page: Page) -> Inode:
        """Find the file of a page that is being written."""
        return next(i for i in self.filesystem.inodes if i.space is page.mapping)


class _WritesThePageAndChecksumsTheCopy(Writeback):
    """Checksum and parity are made of the copy; the disk is given the page."""

    def submit(self, inode: Inode, page: Page, source: Page, block: int) -> None:
        promised = self.checksum(page, source)
        is_plain = not self.filesystem.traits.has_encryption

        def done(failed: bool) -> None:
            self.end_io(inode, page, source, block, promised, failed=failed)

        given = page if is_plain else source
        self.filesystem.disk.submit(WriteRequest(block, given, promised, done))


# --- the copy ---------------------------------------------------------------------


class _RefreshesTheCopy(Writeback):
    """The copy is brought up to date before it is submitted."""

    def capture(
        self, inode: Inode, page: Page, bounce: Page | None, block: int
    ) -> Stepped[Page]:
        source = yield from super().capture(inode, page, bounce, block)
        if bounce is not None:
            words = self.filesystem.cut(inode, page.index, tuple(page.words))
            bounce.words = list(self.filesystem.encrypt(block, words))
        return source


class _CopiesTwice(Writeback):
    """A copy is taken for the checksum, and another one for the disk."""

    def capture(
        self, inode: Inode, page: Page, bounce: Page | None, block: int
    ) -> Stepped[Page]:
        yield from super().capture(inode, page, bounce, block)
        return (yield from super().capture(inode, page, bounce, block))


@attrs.define(eq=False)
class _CopiesBeforeProtecting(Writeback):
    """The copy of a pinned page is taken before its writers are stopped."""

    early: Words = ()

    def protect(self, inode: Inode, page: Page) -> Stepped[None]:
        self.early = ()
        if self.maybe_pinned(page):
            self.early = self.filesystem.cut(inode, page.index, tuple(page.words))
            if self.tell is not None:
                self.tell(BounceCaptured(page.key, page.pfn, self.early))
        yield from super().protect(inode, page)

    def capture(
        self, inode: Inode, page: Page, bounce: Page | None, block: int
    ) -> Stepped[Page]:
        if bounce is None or not self.early:
            return (yield from super().capture(inode, page, bounce, block))
        bounce.words = list(self.filesystem.encrypt(block, self.early))
        yield Step("writeback.bounce_captured")
        return bounce


class _CopiesAllBeforeProtecting(_CopiesBeforeProtecting):
    """The copy of any page is taken before its writers are stopped."""

    def maybe_pinned(self, page: Page) -> bool:
        is_copied = self.filesystem.traits.has_encryption and not self.early
        return is_copied or super().maybe_pinned(page)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "bounce.loses_the_stable_flag",
        ("STB-CPU",),
        partial(boot, parts=Parts(make_filesystem=_LosesTheStableFlag)),
        "the disk's demand for stable content does not reach the filesystem",
        "Z34 (762321dab9a7, 1898efcdbed3): a flag that was lost on the way up",
    ),
    Mutant(
        "bounce.loses_the_stable_flag_after_a_pin",
        ("STB-CPU",),
        partial(boot, parts=Parts(make_filesystem=_LosesTheStableFlagAfterAPin)),
        "a page that was once faulted in for a device is not waited for by CPUs",
    ),
    Mutant(
        "bounce.waits_for_the_first_page_only",
        ("STB-CPU",),
        partial(boot, parts=Parts(make_filesystem=_WaitsForTheFirstPageOnly)),
        "only the first page of a file is kept stable",
        "Z34: the flag followed one of several devices",
    ),
    Mutant(
        "bounce.writes_the_pinned_page_itself",
        ("STB-PINNED",),
        partial(boot, parts=Parts(make_writeback=_WritesThePinnedPageItself)),
        "no copy is made of a pinned page",
        "Linux to this day, seen on btrfs",
    ),
    Mutant(
        "bounce.copies_the_first_pinned_page_only",
        ("STB-PINNED",),
        partial(boot, parts=Parts(make_writeback=_CopiesTheFirstPinnedPageOnly)),
        "a sync copies one pinned page; the second is written itself",
    ),
    Mutant(
        "bounce.checksums_the_page_itself",
        ("STB-PINNED",),
        partial(boot, parts=Parts(make_writeback=_ChecksumsThePageItself)),
        "the copy is written; the checksum is made of the page",
        "Z33 (968f19c5b1b7): a checksum of a buffer that changes",
    ),
    Mutant(
        "bounce.writes_the_page_and_checksums_the_copy",
        ("STB-PINNED",),
        partial(boot, parts=Parts(make_writeback=_WritesThePageAndChecksumsTheCopy)),
        "checksum and parity are made of the copy; the disk is given the page",
    ),
    Mutant(
        "bounce.refreshes_the_copy",
        ("STB-CAPTURE-ONCE",),
        partial(boot, parts=Parts(make_writeback=_RefreshesTheCopy)),
        "the copy is brought up to date before it is submitted",
    ),
    Mutant(
        "bounce.copies_twice",
        ("STB-CAPTURE-ONCE",),
        partial(boot, parts=Parts(make_writeback=_CopiesTwice)),
        "a copy is taken for the checksum, and another one for the disk",
    ),
    Mutant(
        "bounce.copies_all_before_protecting",
        ("STB-CAPTURE-ONCE",),
        partial(boot, parts=Parts(make_writeback=_CopiesAllBeforeProtecting)),
        "the copy of any page is taken before its writers are stopped",
        "BNC-CAPTURE",
    ),
    Mutant(
        "bounce.copies_before_protecting",
        ("STB-CAPTURE-ONCE",),
        partial(boot, parts=Parts(make_writeback=_CopiesBeforeProtecting)),
        "the copy of a pinned page is taken before its writers are stopped",
    ),
)
