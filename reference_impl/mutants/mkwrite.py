"""Stacks that do not call page_mkwrite on every write to a clean page."""

from functools import partial

import attrs

from conformance.interface import Step
from reference_impl.direct_io import DirectIo
from reference_impl.dma import Devices
from reference_impl.fault import Access, Fault
from reference_impl.filesystem import Filesystem
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants.mkwrite_fault import FAULT_MUTANTS
from reference_impl.mutants.mkwrite_space import SPACE_MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- MKW-EVERY --------------------------------------------------------------------


class _MapsAgainWithoutAsking(Fault):
    """A page that was prepared once is made writable again without page_mkwrite."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        if not page.has_buffers:
            yield from super().map_for_write(vma, address, page, access)
            return
        index = vma.index_of(address)
        waits = access.for_device, access.nowait
        if (yield from self.filesystem.lock_for_write(vma.inode, page, index, *waits)):
            yield from self.finish_mkwrite(vma, address, page)


@attrs.define(eq=False)
class _AsksOncePerIndex(Filesystem):
    """A page that comes back after its index left the cache is not prepared again."""

    gone: set[tuple[int, int]] = attrs.field(factory=set[tuple[int, int]])

    def page_mkwrite(
        self,
        inode: Inode,
        page: Page,
        index: int,
        *,
        for_device: bool = False,
        nowait: bool = False,
    ) -> Stepped[bool]:
        if (inode.file, index) in self.gone:
            waits = for_device, nowait
            return (yield from self.lock_for_write(inode, page, index, *waits))
        return (
            yield from super().page_mkwrite(
                inode, page, index, for_device=for_device, nowait=nowait
            )
        )

    def orphan(self, inode: Inode, page: Page) -> None:
        self.gone.add((inode.file, page.index))
        super().orphan(inode, page)


class _MissesEveryFourth(Filesystem):
    """Every fourth write fault of a file gets by without page_mkwrite."""

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
        if ready and inode.mkwrites % 4 == 0:
            inode.mkwrites -= 1
            inode.mtime -= 1
        return ready


class _LoadsMapWritable(Fault):
    """A read fault makes the entry writable if only the mapping is."""

    def map_page(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        yield from super().map_page(vma, address, page, access)
        pte = vma.process.ptes.get(address)
        if vma.is_writable and pte is not None and not pte.is_writable:
            self.tables.set_pte(vma.process, address, Pte(pte.page, is_writable=True))


# --- MKW-DEVICE -------------------------------------------------------------------


class _PinSpeaksForItsDevice(Writeback):
    """What page_mkwrite said to the pin holds for as long as the pin does."""

    def may_clear_dirty(self, *, is_pinned: bool) -> bool:
        return True


class _CleansPinnedWithoutLooking(Writeback):
    """Writeback does not ask whether a page is pinned, as Linux does not."""

    def maybe_pinned(self, page: Page) -> bool:
        return False


@attrs.define(eq=False)
class _CleansAtTheSecondWriteback(Writeback):
    """A pinned page is kept dirty by the first writeback, and by no later one."""

    seen: set[int] = attrs.field(factory=set[int])
    is_again: bool = False

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        self.is_again = page.pfn in self.seen
        yield from super().write_page(inode, page, is_integrity=is_integrity)
        self.seen.add(page.pfn)

    def may_clear_dirty(self, *, is_pinned: bool) -> bool:
        return not is_pinned or self.is_again


@attrs.define(eq=False)
class _KnowsPinnedOrNot(Memory):
    """A page is pinned or not, however often: the first put ends it."""

    pinned: set[int] = attrs.field(factory=set[int])

    def maybe_dma_pinned(self, page: Page) -> bool:
        return page.head.pfn in self.pinned

    def pin(self, page: Page) -> None:
        self.pinned.add(page.head.pfn)
        super().pin(page)

    def unpin(self, page: Page) -> None:
        self.pinned.discard(page.head.pfn)
        super().unpin(page)


class _ReadsOnForTheSecondPage(GupFast):
    """Without locks, only the first page of a request must be mapped writable."""

    first = 0

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        self.first = addresses.start
        yield from super().get(process, addresses, flags, granted)

    def try_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page | None]:
        write = flags.write and address == self.first
        looked_for = attrs.evolve(flags, write=write)
        return (yield from super().try_page(process, address, looked_for))


class _TransfersIntoReadPins(DirectIo):
    """The RDMA-like driver asks for pages to read, and writes to them."""

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        flags = GupFlags(write=False)
        pin = yield from self.devices.get(process, mapping, page, pages, flags)
        yield Step("transfer.pinned")
        for buffer in pin.pages:
            if buffer is not None:
                self.fill(buffer, (value,) * len(buffer.words))
        yield from self.put(pin)
        return len(pin.pages)


# --- MKW-MTIME --------------------------------------------------------------------


@attrs.define(eq=False)
class _KeepsTheTime(Filesystem):
    """page_mkwrite does everything but move the modification time."""

    def page_mkwrite(
        self,
        inode: Inode,
        page: Page,
        index: int,
        *,
        for_device: bool = False,
        nowait: bool = False,
    ) -> Stepped[bool]:
        is_kept = self.keeps_time(page, for_device=for_device)
        ready = yield from super().page_mkwrite(
            inode, page, index, for_device=for_device, nowait=nowait
        )
        if ready and is_kept:
            inode.mtime -= 1
        return ready

    def keeps_time(self, page: Page, *, for_device: bool) -> bool:
        """Tell whether this call leaves the time alone."""
        return True


class _KeepsTheTimeLater(_KeepsTheTime):
    """The modification time moves when a page is dirtied first, and not again."""

    def keeps_time(self, page: Page, *, for_device: bool) -> bool:
        return page.has_buffers


class _KeepsTheTimeForDevices(_KeepsTheTime):
    """The modification time moves for CPUs, not for get_user_pages."""

    def keeps_time(self, page: Page, *, for_device: bool) -> bool:
        return for_device


# --- MKW-RO-GUP -------------------------------------------------------------------


class _FaultsForWriting(GupSlow):
    """get_user_pages takes a write fault wherever the mapping allows one."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        vma = process.find_vma(address)
        write = flags.write or (vma is not None and vma.is_writable)
        yield from super().fault_in(process, address, attrs.evolve(flags, write=write))


class _PutsEveryPageDirty(Devices):
    """Whoever puts a page has written to it."""

    def release(self, page: Page) -> None:
        self.dirty.set_page_dirty(page)
        super().release(page)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "mkwrite.maps_again_without_asking",
        (
            "MKW-EVERY",
            "MKW-DEVICE",
            "MKW-RESERVE",
            "MKW-MTIME",
            "MKW-FAIL",
            "SNAP-RESERVE",
        ),
        partial(boot, parts=Parts(make_fault=_MapsAgainWithoutAsking)),
        "A page that was dirty once is made writable again without page_mkwrite",
    ),
    Mutant(
        "mkwrite.asks_once_per_index",
        ("MKW-EVERY", "MKW-DEVICE", "MKW-MTIME", "DRT-BUFFERS"),
        partial(boot, parts=Parts(make_filesystem=_AsksOncePerIndex)),
        "page_mkwrite is skipped for a page whose index was truncated before",
    ),
    Mutant(
        "mkwrite.misses_every_fourth",
        ("MKW-EVERY", "MKW-MTIME"),
        partial(boot, parts=Parts(make_filesystem=_MissesEveryFourth)),
        "Every fourth write fault of a file gets by without page_mkwrite",
    ),
    Mutant(
        "mkwrite.loads_map_writable",
        ("MKW-ORDER", "MKW-EVERY", "MKW-MTIME", "MKW-DEVICE", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_fault=_LoadsMapWritable)),
        "A load maps a clean page writable if the mapping is",
    ),
    Mutant(
        "mkwrite.pin_speaks_for_its_device",
        ("MKW-DEVICE", "BNC-KEEPDIRTY", "BNC-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_writeback=_PinSpeaksForItsDevice)),
        "Having called page_mkwrite at the pin is taken as leave for all of its life",
        "MKW-FIRST-NOT-ENOUGH; S11",
    ),
    Mutant(
        "mkwrite.cleans_pinned_without_looking",
        (
            "MKW-DEVICE",
            "WB-SKIP",
            "STB-PINNED",
            "BNC-KEEPDIRTY",
            "BNC-RESERVE",
            "SNAP-RESERVE",
        ),
        partial(boot, parts=Parts(make_writeback=_CleansPinnedWithoutLooking)),
        "Writeback cleans pinned pages like any other; unpin dirties them out of band",
        "cc5095747edf: process_vm_writev dirties pages without page_mkwrite",
    ),
    Mutant(
        "mkwrite.cleans_at_the_second_writeback",
        ("MKW-DEVICE", "BNC-RESERVE", "SNAP-RESERVE"),
        partial(boot, parts=Parts(make_writeback=_CleansAtTheSecondWriteback)),
        "A pinned page is kept dirty by its first writeback only",
    ),
    Mutant(
        "mkwrite.knows_pinned_or_not",
        ("MKW-DEVICE", "REF-QUERY"),
        partial(boot, parts=Parts(make_memory=_KnowsPinnedOrNot)),
        "Of two pins of a page the first put ends both, for writeback",
    ),
    Mutant(
        "mkwrite.reads_on_for_the_second_page",
        ("MKW-DEVICE",),
        partial(boot, parts=Parts(make_gup_fast=_ReadsOnForTheSecondPage)),
        "The fast path asks for write permission at the first page of a request only",
    ),
    Mutant(
        "mkwrite.transfers_into_read_pins",
        ("MKW-DEVICE",),
        partial(boot, parts=Parts(make_direct_io=_TransfersIntoReadPins)),
        "A driver writes to pages that it pinned for reading",
    ),
    *FAULT_MUTANTS,
    *SPACE_MUTANTS,
    Mutant(
        "mkwrite.keeps_the_time",
        ("MKW-MTIME",),
        partial(boot, parts=Parts(make_filesystem=_KeepsTheTime)),
        "page_mkwrite does not move the modification time",
    ),
    Mutant(
        "mkwrite.keeps_the_time_later",
        ("MKW-MTIME",),
        partial(boot, parts=Parts(make_filesystem=_KeepsTheTimeLater)),
        "The modification time moves at the first clean-to-dirty of a page only",
    ),
    Mutant(
        "mkwrite.keeps_the_time_for_devices",
        ("MKW-MTIME",),
        partial(boot, parts=Parts(make_filesystem=_KeepsTheTimeForDevices)),
        "get_user_pages does not move the modification time",
    ),
    Mutant(
        "mkwrite.faults_for_writing",
        ("MKW-RO-GUP", "MKW-UNRESERVE"),
        partial(boot, parts=Parts(make_gup_slow=_FaultsForWriting)),
        "get_user_pages for reading takes write faults where the mapping is writable",
    ),
    Mutant(
        "mkwrite.puts_every_page_dirty",
        ("MKW-RO-GUP", "MKW-UNRESERVE", "DRT-READPIN"),
        partial(boot, parts=Parts(make_devices=_PutsEveryPageDirty)),
        "Every put marks its page dirty, also of a pin for reading",
    ),
)
