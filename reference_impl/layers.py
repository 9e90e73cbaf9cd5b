"""The layers, wired together.

Only this file makes layers. Each is made by a `make_*` field of `Parts`, so that
a variant replaces one class and nothing else. Where a lower layer has to call a
higher one (the end of I/O that frees a deleted file), it is handed a callable.

Interface:
  * `Layers(setup, parts)` has every layer as an attribute, and process 0, file 0
    and mapping 0.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Feature, Geometry, Setup
from reference_impl.advice import Advice
from reference_impl.anon import make_zero_page
from reference_impl.blockdev import Disk
from reference_impl.clone import Sharing
from reference_impl.counters import Counters
from reference_impl.cow import Cow
from reference_impl.direct_io import DirectIo
from reference_impl.direct_write import DirectWrites
from reference_impl.dirty import Dirty
from reference_impl.dma import Devices
from reference_impl.fault import Fault
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.folio import Folios
from reference_impl.fork import ForkCopy
from reference_impl.gup import Grab, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.ksm import Ksm
from reference_impl.memory import Memory
from reference_impl.migrate import Migration
from reference_impl.mirror import Mirrors
from reference_impl.mm import Cpu, Mm
from reference_impl.mounts import Mounts
from reference_impl.notifier import Notifiers
from reference_impl.pagecache import PageCache
from reference_impl.pagetable import PageTables, Process, Vma
from reference_impl.reclaim import Reclaim
from reference_impl.rmap import Rmap
from reference_impl.space import Journal, Space
from reference_impl.steal import Thief
from reference_impl.swap import Swap
from reference_impl.throttle import Throttle
from reference_impl.traits import Traits
from reference_impl.writeback import Writeback


@attrs.frozen(kw_only=True)
class Parts:
    """Which class each layer is made of."""

    make_memory: Callable[..., Memory] = Memory
    make_counters: Callable[..., Counters] = Counters
    make_disk: Callable[..., Disk] = Disk
    make_cache: Callable[..., PageCache] = PageCache
    make_notifiers: Callable[..., Notifiers] = Notifiers
    make_tables: Callable[..., PageTables] = PageTables
    make_rmap: Callable[..., Rmap] = Rmap
    make_journal: Callable[..., Journal] = Journal
    make_space: Callable[..., Space] = Space
    make_filesystem: Callable[..., Filesystem] = Filesystem
    make_folios: Callable[..., Folios] = Folios
    make_files: Callable[..., Files] = Files
    make_writeback: Callable[..., Writeback] = Writeback
    make_reclaim: Callable[..., Reclaim] = Reclaim
    make_sharing: Callable[..., Sharing] = Sharing
    make_cow: Callable[..., Cow] = Cow
    make_fault: Callable[..., Fault] = Fault
    make_fork_copy: Callable[..., ForkCopy] = ForkCopy
    make_mm: Callable[..., Mm] = Mm
    make_cpu: Callable[..., Cpu] = Cpu
    make_advice: Callable[..., Advice] = Advice
    make_swap: Callable[..., Swap] = Swap
    make_ksm: Callable[..., Ksm] = Ksm
    make_mounts: Callable[..., Mounts] = Mounts
    make_grab: Callable[..., Grab] = Grab
    make_gup_slow: Callable[..., GupSlow] = GupSlow
    make_gup_fast: Callable[..., GupFast] = GupFast
    make_dirty: Callable[..., Dirty] = Dirty
    make_devices: Callable[..., Devices] = Devices
    make_direct_writes: Callable[..., DirectWrites] = DirectWrites
    make_direct_io: Callable[..., DirectIo] = DirectIo
    make_mirrors: Callable[..., Mirrors] = Mirrors
    make_throttle: Callable[..., Throttle] = Throttle
    make_migration: Callable[..., Migration] = Migration
    make_thief: Callable[..., Thief] = Thief


def geometry_in_force(setup: Setup) -> Geometry:
    """Return the sizes of a stack; limits are as today's unless small ones are due."""
    asked = setup.geometry
    if setup.has(Feature.SMALL_LIMITS):
        return asked
    usual = Geometry()
    return attrs.evolve(asked, refcount_max=usual.refcount_max, pin_bias=usual.pin_bias)


class Layers:
    """Every layer of one stack."""

    def __init__(self, setup: Setup, parts: Parts) -> None:
        self.geometry = geometry_in_force(setup)
        self._make_storage(setup, parts)
        self._make_files(setup, parts)
        self._make_processes(parts)
        self._make_paging(setup, parts)
        self._make_gup(setup, parts)
        self._make_mirrors(setup, parts)
        self._boot_file()

    def _make_storage(self, setup: Setup, parts: Parts) -> None:
        """Make memory and disk."""
        tell = setup.tell
        self.memory = parts.make_memory(self.geometry, tell)
        self.counters = parts.make_counters()
        self.disk = parts.make_disk(
            self.geometry,
            has_cache=setup.has(Feature.VOLATILE_CACHE),
            has_parity=setup.has(Feature.PARITY),
            tell=tell,
        )
        self.cache = parts.make_cache(self.memory, self.counters, tell)
        self.notifiers = parts.make_notifiers(tell)
        self.tables = parts.make_tables(self.memory, self.cache, tell, self.notifiers)
        self.rmap = parts.make_rmap(self.tables)

    def _make_files(self, setup: Setup, parts: Parts) -> None:
        """Make the filesystem and writeback."""
        self.journal = parts.make_journal(self.disk)
        self.space = parts.make_space(
            self.geometry.disk_blocks, self.disk, self.journal
        )
        self.filesystem = parts.make_filesystem(
            self.geometry,
            Traits.of(setup),
            self.memory,
            self.cache,
            self.disk,
            self.space,
            self.journal,
            setup.tell,
        )
        self.folios = parts.make_folios(self.filesystem, self.rmap, setup.tell)
        self.files = parts.make_files(self.filesystem, self.rmap, self.folios)
        self.write_back = parts.make_writeback(
            self.filesystem, self.rmap, self.files.forget_if_unused, setup.tell
        )
        self.throttle = parts.make_throttle(
            self.filesystem, self.write_back, self.counters
        )
        self.pressure = parts.make_reclaim(self.filesystem, self.rmap, self.write_back)
        self.sharing = parts.make_sharing(self.filesystem, self.files, self.write_back)

    def _make_processes(self, parts: Parts) -> None:
        """Make processes and their CPUs."""
        zero_page = make_zero_page(self.geometry.words_per_page)
        self.cow = parts.make_cow(self.filesystem, self.tables, zero_page)
        self.fault = parts.make_fault(self.filesystem, self.tables, self.cow)
        fork_copy = parts.make_fork_copy(self.memory, self.tables)
        self.mm = parts.make_mm(self.files, self.rmap, self.tables, fork_copy)
        self.cpu = parts.make_cpu(self.mm, self.fault, self.tables)
        self.mounts = parts.make_mounts(
            self.filesystem, self.files, self.rmap, self.mm, self.write_back
        )

    def _make_paging(self, setup: Setup, parts: Parts) -> None:
        """Make what takes pages of processes away, or shares them."""
        where = self.memory, self.rmap, self.tables
        self.advice = parts.make_advice(self.mm, *where)
        self.ksm = parts.make_ksm(self.mm, *where)
        self.migration = parts.make_migration(
            self.mm, self.memory, self.cache, self.rmap, self.tables, setup.tell
        )
        self.thief = parts.make_thief(self.filesystem)
        self.swap = parts.make_swap(
            self.mm, self.memory, self.cache, self.rmap, self.tables, self.pressure
        )

    def _make_gup(self, setup: Setup, parts: Parts) -> None:
        """Make get_user_pages and the devices that use it."""
        self.grab = parts.make_grab(self.memory, self.counters, setup.tell)
        self.gup_slow = parts.make_gup_slow(self.grab, self.fault)
        self.gup_fast = parts.make_gup_fast(self.grab, self.gup_slow)
        self.dirty = parts.make_dirty(self.filesystem)
        self.devices = parts.make_devices(
            self.mm,
            self.gup_slow,
            self.gup_fast,
            self.grab,
            self.dirty,
            self.migration,
        )
        self.direct_writes = parts.make_direct_writes(
            self.filesystem, self.files, self.rmap, self.write_back
        )
        self.drivers = parts.make_direct_io(
            self.devices, self.files, self.write_back, self.direct_writes
        )

    def _make_mirrors(self, setup: Setup, parts: Parts) -> None:
        """Make the devices that need no get_user_pages."""
        self.mirrors = parts.make_mirrors(self.mm, self.fault, self.tables, setup.tell)

    def _boot_file(self) -> None:
        """Make file 0, durable, process 0, and mapping 0 of the whole file."""
        pages = self.geometry.file_pages
        inode = self.files.make(0)
        inode.size_words = inode.size_on_disk = pages * self.geometry.words_per_page
        self.journal.commit(inode)
        process = Process(0)
        self.mm.processes[0] = process
        inode.users += 1
        start = process.take_addresses(pages)
        vma = Vma(process, 0, inode, 0, pages, start, is_writable=True)
        self.mm.add_vma(vma)
