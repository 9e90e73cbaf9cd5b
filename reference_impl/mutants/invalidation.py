"""Stacks that mind the pins of pages that leave their mapping or their file."""

from functools import partial

import attrs

from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mm import Mm
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped, wait_until


class _DropsPinnedPages(Mm):
    """The pinned pages of a mapping that goes are taken from their file."""

    def remove_vma(self, vma: Vma) -> Stepped[None]:
        pages = [pte.page for pte in vma.process.ptes.values()]
        yield from super().remove_vma(vma)
        for page in pages:
            yield from self.drop(vma.backing, page)

    def drop(self, inode: Inode | None, page: Page) -> Stepped[None]:
        """Take a pinned page from its file, if nobody is at it."""
        filesystem = self.files.filesystem
        if inode is None or not filesystem.memory.maybe_dma_pinned(page):
            return
        yield from self.rmap.unmap_page(inode.space, page)
        is_busy = page.is_locked or page.is_under_writeback
        if page.mapping is inode.space and not is_busy:
            filesystem.orphan(inode, page)


class _DropsMovedPages(_DropsPinnedPages):
    """The pinned pages of a mapping that is moved are taken from their file."""

    def remove_vma(self, vma: Vma) -> Stepped[None]:
        return Mm.remove_vma(self, vma)

    def mremap(self, process: int, mapping: int) -> Stepped[None]:
        yield from super().mremap(process, mapping)
        vma = self.find_vma(process, mapping)
        for pte in list(vma.process.ptes.values()):
            yield from self.drop(vma.backing, pte.page)


class _MunmapWaits(Mm):
    """munmap waits until the pages of the mapping are not pinned any more."""

    def munmap(self, process: int, mapping: int) -> Stepped[None]:
        memory = self.files.filesystem.memory
        for pte in list(self.find_vma(process, mapping).process.ptes.values()):
            is_let_go = partial(_is_let_go, memory, pte.page)
            yield from wait_until("pins", is_let_go)
        yield from super().munmap(process, mapping)


def _is_let_go(memory: Memory, page: Page) -> bool:
    return not memory.maybe_dma_pinned(page)


class _TruncateWaits(Files):
    """truncate and punch_hole wait until the pages that go are not pinned."""

    def lock_quiet(self, page: Page, who: str) -> Stepped[None]:
        if who == "truncate":
            is_let_go = partial(_is_let_go, self.filesystem.memory, page)
            yield from wait_until("pins", is_let_go)
        yield from super().lock_quiet(page, who)


class _KeepsPinnedPages(Filesystem):
    """A pinned page that is cut off is zeroed and stays where it is."""

    def orphan(self, inode: Inode, page: Page) -> None:
        if not self.memory.maybe_dma_pinned(page) or not self.is_mounted:
            super().orphan(inode, page)
            return
        if page.is_dirty:
            self.cache.clear_dirty_for_io(page)
        self.space.unreserve(page)
        page.words = list(self.disk.zeros)


@attrs.define(eq=False)
class _TakesBack(Filesystem):
    """A pinned page that was cut off comes back when its place is filled again."""

    cut_off: dict[tuple[int, int], Page] = attrs.field(
        factory=dict[tuple[int, int], Page]
    )
    """By file and index."""

    def orphan(self, inode: Inode, page: Page) -> None:
        self.cut_off[inode.space.file, page.index] = page
        Filesystem.orphan(self, inode, page)

    def bring_in(self, inode: Inode, index: int, *, nowait: bool) -> Stepped[None]:
        old = self.cut_off.pop((inode.space.file, index), None)
        is_nobodys = old is not None and old.mapping is None
        if old is None or not is_nobodys or not self.memory.maybe_dma_pinned(old):
            yield from Filesystem.bring_in(self, inode, index, nowait=nowait)
            return
        self.memory.get(old)
        self.cache.insert(inode.space, index, old)
        old.words = list(self.read_block(inode, index))
        old.is_uptodate = True


@attrs.define(eq=False)
class _ReusesPinnedPages(Memory):
    """A page that nothing but pins holds is given to the next who wants one."""

    nobodys: list[Page] = attrs.field(factory=list[Page])
    """Pages with nothing but pins."""

    def drop(self, page: Page, count: int) -> None:
        super().drop(page, count)
        if count == 1 and page.refcount > 0 and page.mapping is None:
            is_nobodys = page.refcount % self.geometry.pin_bias == 0
            if is_nobodys and page not in self.nobodys:
                self.nobodys.append(page)

    def allocate(self, *, stays: bool = False) -> Page:
        while self.nobodys:
            page = self.nobodys.pop()
            is_nobodys = page.refcount > 0 and page.mapping is None
            if is_nobodys and page.refcount % self.geometry.pin_bias == 0:
                page.words = [0] * self.geometry.words_per_page
                page.is_uptodate = page.has_buffers = False
                self.get(page)
                return page
        return super().allocate(stays=stays)


@attrs.define(eq=False)
class _FreesBlocksFirst(Files):
    """Blocks are free before the write that is on its way to them has ended."""

    freed: set[tuple[int, int]] = attrs.field(factory=set[tuple[int, int]])
    """Files and pages whose blocks were freed too early."""

    def remove_pages(self, inode: Inode, first: int, end: int | None) -> Stepped[None]:
        for index, extent in list(inode.extents.items()):
            page = inode.space.pages.get(index)
            is_cut = first <= index and (end is None or index < end)
            if is_cut and page is not None and page.is_under_writeback:
                self.filesystem.space.free(extent.block)
                del inode.extents[index]
                self.freed.add((inode.space.file, index))
        yield from Files.remove_pages(self, inode, first, end)

    def free_extent(self, inode: Inode, index: int) -> None:
        key = inode.space.file, index
        if key in self.freed:
            self.freed.remove(key)
            del inode.extents[index]
            return
        Files.free_extent(self, inode, index)


class _KeepsFilesWithPins(Files):
    """A file without name and users stays while a page of it is pinned."""

    def forget_if_unused(self, inode: Inode) -> None:
        memory = self.filesystem.memory
        if not any(map(memory.maybe_dma_pinned, inode.space.pages.values())):
            super().forget_if_unused(inode)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "invalidation.drops_pinned_pages_at_munmap",
        (
            "INV-UNMAP",
            "MKW-EVERY",
            "MKW-DEVICE",
            "WB-RECLAIM",
            "BNC-KEEPDIRTY",
            "DRT-SKIP-IF-DIRTY",
            "DRT-BUFFERS",
            "DRT-FSYNC",
            "REF-QUERY",
            "INV-STEAL",
        ),
        partial(boot, parts=Parts(make_mm=_DropsPinnedPages)),
        "the pinned pages of a mapping that goes are taken from their file",
    ),
    Mutant(
        "invalidation.drops_pinned_pages_at_mremap",
        ("INV-UNMAP", "MKW-DEVICE", "DRT-SKIP-IF-DIRTY", "DRT-FSYNC"),
        partial(boot, parts=Parts(make_mm=_DropsMovedPages)),
        "the pinned pages of a mapping that is moved are taken from their file",
    ),
    Mutant(
        "invalidation.munmap_waits_for_pins",
        ("INV-UNMAP", "LIVE-GUP"),
        partial(boot, parts=Parts(make_mm=_MunmapWaits)),
        "munmap waits until the pages of the mapping are not pinned any more",
    ),
    Mutant(
        "invalidation.truncate_waits_for_pins",
        ("INV-PINWAIT", "LIVE-SYNC"),
        partial(boot, parts=Parts(make_files=_TruncateWaits)),
        "truncate and punch_hole wait until the pages that go are not pinned",
    ),
    Mutant(
        "invalidation.keeps_pinned_pages",
        (
            "INV-ORPHAN",
            "MKW-EVERY",
            "MKW-RANGE",
            "DRT-ORPHAN",
            "INV-REFILL",
            "INV-REUSE",
            "INV-EVICT",
            "INV-SPLIT",
        ),
        partial(boot, parts=Parts(make_filesystem=_KeepsPinnedPages)),
        "a pinned page that is cut off is zeroed and stays where it is",
    ),
    Mutant(
        "invalidation.takes_back_what_was_cut",
        (
            "INV-REFILL",
            "INV-ORPHAN",
            "MKW-EVERY",
            "MKW-RETLOCK",
            "MKW-RANGE",
            "DRT-ORPHAN",
            "INV-REUSE",
        ),
        partial(boot, parts=Parts(make_filesystem=_TakesBack)),
        "a pinned page that was cut off comes back when its place is filled again",
    ),
    Mutant(
        "invalidation.reuses_pinned_pages",
        (
            "INV-REUSE",
            "MKW-EVERY",
            "MKW-RETLOCK",
            "MKW-RANGE",
            "WB-LOCK",
            "WB-SINGLE",
            "DRT-ORPHAN",
            "REF-NOTINTERCHANGEABLE",
            "ANON-ISOLATION",
            "ANON-DONTNEED",
            "DIO-ASYNC-LIFETIME",
            "INV-ORPHAN",
            "INV-REFILL",
        ),
        partial(boot, parts=Parts(make_memory=_ReusesPinnedPages)),
        "a page that nothing but pins holds is given to the next who wants one",
        "Z30: CVE-2018-18281, eb66ae030829, a page that was written after its reuse",
    ),
    Mutant(
        "invalidation.frees_blocks_first",
        ("INV-BLOCKREUSE",),
        partial(boot, parts=Parts(make_files=_FreesBlocksFirst)),
        "blocks are free before the write that is on its way to them has ended",
        "Z31: CVE-2015-8839, ea3d7209ca01",
    ),
    Mutant(
        "invalidation.keeps_files_with_pins",
        ("INV-EVICT",),
        partial(boot, parts=Parts(make_files=_KeepsFilesWithPins)),
        "a file without name and users stays while a page of it is pinned",
    ),
)
