"""Stacks in which a call waits for what never comes."""

from functools import partial

from conformance.interface import Errno, KernelError
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mounts import Mounts
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process
from reference_impl.reclaim import Reclaim
from reference_impl.stack import boot
from reference_impl.stepping import Stepped, wait_until
from reference_impl.throttle import Throttle
from reference_impl.writeback import Writeback


class _WaitsForPins(Writeback):
    """fsync and sync wait until no page of the file is pinned."""

    def wait_pages(self, inode: Inode) -> Stepped[None]:
        yield from super().wait_pages(inode)
        for page in list(inode.space.pages.values()):
            yield from wait_until("pins", partial(self.is_let_go, page))

    def is_let_go(self, page: Page) -> bool:
        return not self.maybe_pinned(page)


class _WaitsForTheSecondPin(Writeback):
    """fsync and sync wait while a page has two pins."""

    def wait_pages(self, inode: Inode) -> Stepped[None]:
        yield from super().wait_pages(inode)
        for page in list(inode.space.pages.values()):
            yield from wait_until("pins", partial(self.has_one_pin_at_most, page))

    def has_one_pin_at_most(self, page: Page) -> bool:
        return page.refcount < 2 * self.filesystem.memory.geometry.pin_bias


class _UmountWaitsForPins(Mounts):
    """umount waits until the last device has let go."""

    def drop_page(self, inode: Inode, index: int) -> Stepped[None]:
        page = inode.space.pages[index]
        memory = self.filesystem.memory
        yield from wait_until("pins", lambda: not memory.maybe_dma_pinned(page))
        yield from super().drop_page(inode, index)


class _WaitsForAGoodWrite(GupSlow):
    """get_user_pages waits for a writeback that succeeds."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        yield from super().fault_in(process, address, flags)
        vma = process.find_vma(address)
        inode = None if vma is None else vma.backing
        if inode is not None:
            yield from wait_until("good writeback", lambda: not inode.errors)


class _WaitsUntilClean(GupSlow):
    """get_user_pages waits until a page that was under writeback is clean."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        pte = process.ptes.get(address)
        if pte is not None and pte.page.is_under_writeback:
            page = pte.page
            yield from wait_until(
                "clean page",
                lambda: not page.is_dirty and not page.is_under_writeback,
                nowait=flags.nowait,
            )
        yield from super().fault_in(process, address, flags)


class _NeverEndsAFailedWrite(Writeback):
    """A page whose write failed stays under writeback."""

    def end_io(
        self,
        inode: Inode,
        page: Page,
        source: Page,
        block: int,
        promised: tuple[int, ...],
        *,
        failed: bool,
    ) -> None:
        if failed:
            inode.errors += 1
            return
        super().end_io(inode, page, source, block, promised, failed=failed)


class _UmountIsBusy(Mounts):
    """umount is refused while a page of a file is pinned."""

    def umount(self) -> Stepped[None]:
        memory = self.filesystem.memory
        for inode in self.filesystem.inodes:
            if any(map(memory.maybe_dma_pinned, inode.space.pages.values())):
                raise KernelError(Errno.EBUSY, "a page is pinned")
        yield from super().umount()


class _CountsPinnedPages(Throttle):
    """Pinned pages count against the dirty limit, though none can be made clean."""

    def counts(self, page: Page) -> bool:
        return True


class _ReclaimWaitsForPins(Reclaim):
    """Reclaim waits for the last put of a page that it would free."""

    def try_free(self, inode: Inode, page: Page) -> Stepped[None]:
        memory = self.filesystem.memory
        yield from wait_until("pins", lambda: not memory.maybe_dma_pinned(page))
        yield from super().try_free(inode, page)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "liveness.umount_is_busy",
        ("LIVE-UMOUNT",),
        partial(boot, parts=Parts(make_mounts=_UmountIsBusy)),
        "umount is refused while a page of a file is pinned",
    ),
    Mutant(
        "liveness.throttles_for_pinned_pages",
        ("LIVE-THROTTLE", "LIVE-GUP"),
        partial(boot, parts=Parts(make_throttle=_CountsPinnedPages)),
        "pinned pages count against the dirty limit, though none can be made clean",
        "Z13: after cc5095747edf the account of dirty pages leaked, and writers hung",
    ),
    Mutant(
        "liveness.reclaim_waits_for_pins",
        ("LIVE-RECLAIM", "LIVE-SYNC"),
        partial(boot, parts=Parts(make_reclaim=_ReclaimWaitsForPins)),
        "reclaim waits for the last put of a page that it would free",
    ),
    Mutant(
        "liveness.waits_for_a_good_write",
        ("LIVE-GUP",),
        partial(boot, parts=Parts(make_gup_slow=_WaitsForAGoodWrite)),
        "get_user_pages waits for a writeback that succeeds",
    ),
    Mutant(
        "liveness.waits_until_clean",
        ("LIVE-GUP",),
        partial(boot, parts=Parts(make_gup_slow=_WaitsUntilClean)),
        "get_user_pages waits until a page that was under writeback is clean",
    ),
    Mutant(
        "liveness.waits_for_pins",
        (
            "LIVE-SYNC",
            "REF-FALSEPOS",
            "BNC-FSYNC",
            "LIVE-UMOUNT",
            "SNAP-FALSEPOS",
        ),
        partial(boot, parts=Parts(make_writeback=_WaitsForPins)),
        "fsync and sync wait until no page of the file is pinned",
        "Chinner 2019: a pinned page that is never clean must not break fsync",
    ),
    Mutant(
        "liveness.waits_for_the_second_pin",
        ("LIVE-SYNC", "BNC-FSYNC"),
        partial(boot, parts=Parts(make_writeback=_WaitsForTheSecondPin)),
        "fsync and sync wait while a page has two pins",
    ),
    Mutant(
        "liveness.umount_waits_for_pins",
        ("LIVE-SYNC", "INV-PINWAIT", "LIVE-UMOUNT"),
        partial(boot, parts=Parts(make_mounts=_UmountWaitsForPins)),
        "umount waits until the last device has let go",
    ),
    Mutant(
        "liveness.never_ends_a_failed_write",
        ("LIVE-SYNC", "BNC-FSYNC"),
        partial(boot, parts=Parts(make_writeback=_NeverEndsAFailedWrite)),
        "a page whose write failed stays under writeback",
        "Z44: 0c58a97f919c, sync waits for a server that will not write",
    ),
)
