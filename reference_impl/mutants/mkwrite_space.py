"""Stacks that get the space wrong that page_mkwrite promises."""

from functools import partial

from conformance.interface import KernelError
from reference_impl.fault import Access, Fault
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Vma
from reference_impl.reclaim import Reclaim
from reference_impl.space import Space
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- MKW-FAIL ---------------------------------------------------------------------


class _MapsDespiteRefusal(Fault):
    """A page is mapped and dirtied although page_mkwrite has failed."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        try:
            yield from super().map_for_write(vma, address, page, access)
        except KernelError:
            if access.nowait:
                raise
            yield from self.go_on(vma, address, page, access)

    def go_on(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        """Act as if page_mkwrite had succeeded."""
        filesystem = self.filesystem
        index = vma.index_of(address)
        waits = access.for_device, access.nowait
        if (yield from filesystem.lock_for_write(vma.inode, page, index, *waits)):
            yield from self.finish_mkwrite(vma, address, page)


class _MapsDevicesDespiteRefusal(_MapsDespiteRefusal):
    """The same for get_user_pages; a store ends in SIGBUS."""

    def go_on(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        if not access.for_device:
            yield from self.filesystem.page_mkwrite(
                vma.inode, page, vma.index_of(address)
            )
        yield from super().go_on(vma, address, page, access)


class _DirtiesBeforeAsking(Fault):
    """A page is marked dirty before page_mkwrite is asked, and stays so."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        try:
            yield from super().map_for_write(vma, address, page, access)
        except KernelError:
            if not access.nowait:
                self.filesystem.cache.mark_dirty(page)
            raise


class _LeavesThePteWritable(Fault):
    """page_mkwrite is refused, and the entry has been made writable already."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        try:
            yield from super().map_for_write(vma, address, page, access)
        except KernelError:
            if not access.nowait:
                self.set_writable(vma, address, page)
            raise


# --- MKW-RESERVE ------------------------------------------------------------------


class _PromisesNothing(Filesystem):
    """page_mkwrite looks whether there is space, and does not set it aside."""

    def page_mkwrite(
        self,
        inode: Inode,
        page: Page,
        index: int,
        *,
        for_device: bool = False,
        nowait: bool = False,
    ) -> Stepped[bool]:
        ready = yield from super().page_mkwrite(
            inode, page, index, for_device=for_device, nowait=nowait
        )
        if ready and self.takes_back(inode, page):
            self.space.unreserve(page)
        return ready

    def takes_back(self, inode: Inode, page: Page) -> bool:
        """Tell whether the promise is not kept."""
        return True


class _PromisesHolesOnly(_PromisesNothing):
    """A page that has a block is promised none, although it is not written there."""

    def takes_back(self, inode: Inode, page: Page) -> bool:
        return page.index in inode.extents


class _PromisesTheFirstPageOnly(_PromisesNothing):
    """Only the first page of a file is promised what it needs."""

    def takes_back(self, inode: Inode, page: Page) -> bool:
        return page.index > 0


# --- MKW-UNRESERVE ----------------------------------------------------------------


class _KeepsPromisesOfOrphans(Filesystem):
    """What was promised to a page that leaves its file is never taken back."""

    def orphan(self, inode: Inode, page: Page) -> None:
        promised = page.blocks_reserved
        super().orphan(inode, page)
        if self.leaks(inode, page):
            self.space.reserved += promised

    def leaks(self, inode: Inode, page: Page) -> bool:
        """Tell whether the promise is lost."""
        return True


class _KeepsPromisesOfHoles(_KeepsPromisesOfOrphans):
    """The same, only for a page over a hole."""

    def leaks(self, inode: Inode, page: Page) -> bool:
        return page.index not in inode.extents


class _KeepsPromisesOfPinnedOrphans(_KeepsPromisesOfOrphans):
    """The same, only for a page that is pinned when it is cut off."""

    def leaks(self, inode: Inode, page: Page) -> bool:
        return self.memory.maybe_dma_pinned(page)


class _KeepsTheSpareBlock(Space):
    """Of two blocks promised, one goes back."""

    def unreserve(self, page: Page) -> None:
        spare = page.blocks_reserved - 1
        super().unreserve(page)
        if spare > 0:
            self.reserved += spare


# --- MKW-NOTRACK ------------------------------------------------------------------


class _EvictsTmpfs(Reclaim):
    """Pages that are not tracked are evicted like any other that is not in use."""

    def evict(self, inode: Inode) -> None:
        if inode.space.is_tracked:
            super().evict(inode)
            return
        for page in list(inode.space.pages.values()):
            if page.refcount == 1 and not page.is_locked:
                self.remove(inode, page)


class _ReclaimsTmpfs(Reclaim):
    """Memory pressure frees pages that exist nowhere else."""

    def reclaim(self, inode: Inode) -> Stepped[None]:
        if inode.space.is_tracked:
            yield from super().reclaim(inode)
            return
        for _, page in sorted(inode.space.pages.items()):
            self.filesystem.memory.get(page)
            yield from self.filesystem.cache.lock(page, "reclaim")
            yield from self.rmap.unmap_page(inode.space, page)
            if not self.is_held(page):
                self.remove(inode, page)
            self.filesystem.cache.unlock(page)
            self.filesystem.memory.put(page)


class _WantsSpaceForTmpfs(Fault):
    """A write to a page that is never written back is refused on a full disk."""

    def map_page(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        if access.write and not vma.space.is_tracked:
            self.filesystem.space.reserve(page, page.blocks_reserved + 1)
        yield from super().map_page(vma, address, page, access)


SPACE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "mkwrite.maps_despite_refusal",
        ("MKW-FAIL", "MKW-EVERY", "MKW-MTIME", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_fault=_MapsDespiteRefusal)),
        "The error of page_mkwrite is ignored, and the page is mapped and dirtied",
    ),
    Mutant(
        "mkwrite.maps_devices_despite_refusal",
        ("MKW-FAIL", "MKW-EVERY", "MKW-MTIME", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_fault=_MapsDevicesDespiteRefusal)),
        "The error of page_mkwrite is ignored for get_user_pages",
    ),
    Mutant(
        "mkwrite.dirties_before_asking",
        ("MKW-FAIL",),
        partial(boot, parts=Parts(make_fault=_DirtiesBeforeAsking)),
        "The page is dirty although page_mkwrite has refused it",
    ),
    Mutant(
        "mkwrite.leaves_the_pte_writable",
        ("MKW-FAIL", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_fault=_LeavesThePteWritable)),
        "The entry is writable although page_mkwrite has refused it",
    ),
    Mutant(
        "mkwrite.promises_nothing",
        ("MKW-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_filesystem=_PromisesNothing)),
        "page_mkwrite sees that there is space, and does not set it aside",
    ),
    Mutant(
        "mkwrite.promises_holes_only",
        ("MKW-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_filesystem=_PromisesHolesOnly)),
        "With copy-on-write, only the first write of a page is promised a block",
    ),
    Mutant(
        "mkwrite.promises_the_first_page_only",
        ("MKW-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_filesystem=_PromisesTheFirstPageOnly)),
        "Only the first page of a file is promised blocks",
    ),
    Mutant(
        "mkwrite.keeps_promises_of_orphans",
        ("MKW-UNRESERVE",),
        partial(boot, parts=Parts(make_filesystem=_KeepsPromisesOfOrphans)),
        "Blocks promised to a page that is cut off never come back",
    ),
    Mutant(
        "mkwrite.keeps_promises_of_holes",
        ("MKW-UNRESERVE",),
        partial(boot, parts=Parts(make_filesystem=_KeepsPromisesOfHoles)),
        "Blocks promised to a dirty page over a hole are lost when it is cut off",
    ),
    Mutant(
        "mkwrite.keeps_promises_of_pinned_orphans",
        ("MKW-UNRESERVE",),
        partial(boot, parts=Parts(make_filesystem=_KeepsPromisesOfPinnedOrphans)),
        "Blocks promised to a pinned page are lost when it is cut off",
    ),
    Mutant(
        "mkwrite.keeps_the_spare_block",
        ("MKW-UNRESERVE",),
        partial(boot, parts=Parts(make_space=_KeepsTheSpareBlock)),
        "The spare block promised for a bounce write never comes back",
    ),
    Mutant(
        "mkwrite.evicts_tmpfs",
        ("MKW-NOTRACK", "WB-PTEDIRTY", "WB-LOCK", "DRT-SKIP-IF-DIRTY"),
        partial(boot, parts=Parts(make_reclaim=_EvictsTmpfs)),
        "Pages that exist only in memory are evicted when nobody uses them",
    ),
    Mutant(
        "mkwrite.reclaims_tmpfs",
        ("MKW-NOTRACK", "WB-LOCK", "DRT-SKIP-IF-DIRTY"),
        partial(boot, parts=Parts(make_reclaim=_ReclaimsTmpfs)),
        "Memory pressure frees pages that exist only in memory",
    ),
    Mutant(
        "mkwrite.wants_space_for_tmpfs",
        ("MKW-NOTRACK",),
        partial(boot, parts=Parts(make_fault=_WantsSpaceForTmpfs)),
        "A store to a page that is never written back is refused on a full disk",
    ),
)
