"""The stack: operations and observations under the names of the contract.

Interface:
  * `boot(setup)` returns a stack with process 0, file 0 and mapping 0. A variant
    is booted with other `Parts`.
"""

from conformance.interface import Errno, Feature, HoldPoint, PowerCutImage, Setup
from reference_impl.gup import GupFlags
from reference_impl.layers import Parts
from reference_impl.power_cut import read_image
from reference_impl.shown import Shown
from reference_impl.stepping import Stepped

FEATURES = frozenset(Feature)
"""Every feature can be switched on, and none is always there."""


def boot(setup: Setup, parts: Parts = Parts()) -> "Stack":
    """Start a stack with process 0, file 0 and mapping 0."""
    return Stack(setup, parts)


class Stack(Shown):
    """A page cache, a filesystem, a disk, devices and get_user_pages."""

    features_offered = FEATURES
    features_fixed: frozenset[Feature] = frozenset()

    # --- file -----------------------------------------------------------------

    def create(self, file: int) -> Stepped[None]:
        """Make an empty file."""
        return self.files.create(file)

    def read(self, file: int = 0, page: int = 0) -> Stepped[tuple[int, ...]]:
        """Read one page of a file."""
        return self.files.read(file, page)

    def write(
        self, file: int = 0, page: int = 0, word: int = 0, value: int = 1
    ) -> Stepped[None]:
        """Write one word of a file."""
        yield from self.files.write(file, page, word, value)
        yield from self.throttle.balance()

    def truncate(self, file: int = 0, words: int = 0) -> Stepped[None]:
        """Set the size of a file."""
        return self.files.truncate(file, words)

    def punch_hole(self, file: int = 0, page: int = 0, pages: int = 1) -> Stepped[None]:
        """Make pages of a file a hole."""
        return self.files.punch_hole(file, page, pages)

    def clone(self, file: int = 0, clone: int = 1) -> Stepped[None]:
        """Make a new file that shares content and blocks of another."""
        return self.sharing.clone(file, clone)

    def dedupe(
        self,
        file: int = 0,
        page: int = 0,
        other: int = 1,
        other_page: int = 0,
        pages: int = 1,
    ) -> Stepped[int]:
        """Let two ranges of files share blocks if they hold the same."""
        return self.sharing.dedupe(file, page, other, other_page, pages)

    def fsync(self, file: int = 0) -> Stepped[None]:
        """Make one file durable."""
        inode = self.files.open(file)
        try:
            yield from self.write_back.fsync(inode)
        finally:
            self.files.close(inode)

    def sync(self) -> Stepped[None]:
        """Make every file durable."""
        return self.write_back.sync()

    def writeback(self, file: int = 0) -> Stepped[None]:
        """Write dirty pages of a file to clean memory."""
        inode = self.files.open(file)
        try:
            yield from self.write_back.clean(inode)
        finally:
            self.files.close(inode)

    def evict(self, file: int = 0) -> None:
        """Drop the clean, unused pages of a file."""
        inode = self.files.open(file, Errno.EBUSY)
        self.pressure.evict(inode)
        self.files.close(inode)

    def unlink(self, file: int = 0) -> Stepped[None]:
        """Remove the name of a file."""
        return self.files.unlink(file)

    def umount(self) -> Stepped[None]:
        """Write everything once and unmount."""
        return self.mounts.umount()

    def mount(self) -> None:
        """Mount what was unmounted."""
        self.mounts.mount()

    def freeze(self) -> Stepped[None]:
        """Bring the filesystem to rest."""
        return self.mounts.freeze()

    def thaw(self) -> None:
        """End a freeze."""
        self.mounts.thaw()

    def fill_disk(self) -> None:
        """Take all free blocks."""
        self.space.fill()

    def free_disk(self) -> None:
        """Give back what `fill_disk` took."""
        self.space.give_back()

    # --- memory ---------------------------------------------------------------

    def mmap(
        self,
        process: int = 0,
        mapping: int = 1,
        file: int | None = 0,
        page: int = 0,
        pages: int = 4,
        shared: bool = True,
        writable: bool = True,
        secret: bool = False,
    ) -> Stepped[None]:
        """Map pages of a file, or anonymous memory, into a process."""
        return self.mm.mmap(
            process, mapping, file, page, pages, writable, shared=shared, secret=secret
        )

    def munmap(self, process: int = 0, mapping: int = 0) -> Stepped[None]:
        """Remove a mapping."""
        return self.mm.munmap(process, mapping)

    def mprotect(
        self, process: int = 0, mapping: int = 0, writable: bool = False
    ) -> Stepped[None]:
        """Make a mapping writable, or read-only."""
        return self.mm.mprotect(process, mapping, writable)

    def mremap(self, process: int = 0, mapping: int = 0) -> Stepped[None]:
        """Move a mapping to other addresses."""
        return self.mm.mremap(process, mapping)

    def dontneed(
        self, process: int = 0, mapping: int = 0, page: int = 0, pages: int = 1
    ) -> Stepped[None]:
        """Give up what pages of a mapping hold."""
        return self.advice.dontneed(process, mapping, page, pages)

    def clear_refs(self, process: int = 0) -> Stepped[None]:
        """Have the next write to each page of a process noticed."""
        return self.advice.clear_refs(process)

    def load(
        self, process: int = 0, mapping: int = 0, page: int = 0, word: int = 0
    ) -> Stepped[int]:
        """Read one word by a CPU load."""
        return self.cpu.load(process, mapping, page, word)

    def store(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        word: int = 0,
        value: int = 1,
    ) -> Stepped[None]:
        """Write one word by a CPU store."""
        yield from self.cpu.store(process, mapping, page, word, value)
        yield from self.throttle.balance()

    def fork(self, process: int = 0, child: int = 1) -> Stepped[None]:
        """Make a child process."""
        return self.mm.fork(process, child)

    def exit(self, process: int = 0) -> Stepped[None]:
        """End a process."""
        return self.mm.exit(process)

    # --- get_user_pages -------------------------------------------------------

    def get_user_pages(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        pages: int = 1,
        pin: int = 0,
        write: bool = True,
        longterm: bool = False,
        nowait: bool = False,
        tracked: bool = True,
        force: bool = False,
    ) -> Stepped[int]:
        """Pin pages of a mapping for a device."""
        flags = GupFlags(write, longterm, nowait, tracked, force)
        granted = yield from self.devices.get(process, mapping, page, pages, flags)
        return self.devices.keep(pin, granted)

    def get_user_pages_fast(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        pages: int = 1,
        pin: int = 0,
        write: bool = True,
        longterm: bool = False,
        nowait: bool = False,
        tracked: bool = True,
        force: bool = False,
    ) -> Stepped[int]:
        """Pin pages of a mapping for a device, trying without locks first."""
        flags = GupFlags(write, longterm, nowait, tracked, force)
        granted = yield from self.devices.get_fast(process, mapping, page, pages, flags)
        return self.devices.keep(pin, granted)

    def put_user_page(self, pin: int = 0, page: int = 0) -> None:
        """Put one page of a pin."""
        self.devices.put_user_page(pin, page)

    def put_user_pages(
        self, pin: int = 0, first: int = 0, pages: int | None = None
    ) -> Stepped[None]:
        """Put pages of a pin."""
        return self.devices.put_pages(pin, first, pages)

    def put_user_pages_dirty(
        self, pin: int = 0, first: int = 0, pages: int | None = None
    ) -> Stepped[None]:
        """Mark pages of a pin dirty without their locks, and put them."""
        return self.devices.put_pages(pin, first, pages, self.dirty.make_dirty)

    def put_user_pages_dirty_lock(
        self, pin: int = 0, first: int = 0, pages: int | None = None
    ) -> Stepped[None]:
        """Mark pages of a pin dirty under their locks, and put them."""
        return self.devices.put_pages(pin, first, pages, self.dirty.make_dirty_lock)

    def put_page(self, pin: int = 0, page: int = 0) -> None:
        """Put one plain reference."""
        self.devices.put_page(pin, page)

    def set_page_dirty_lock(self, pin: int = 0, page: int = 0) -> Stepped[None]:
        """Mark one page of a pin dirty under its lock."""
        found = self.devices.find(pin, page)
        if found is not None:
            yield from self.dirty.set_page_dirty_lock(found)

    # --- device ---------------------------------------------------------------

    def device_write(
        self, pin: int = 0, page: int = 0, word: int = 0, value: int = 1
    ) -> None:
        """Write one word of a pinned page, past all page tables."""
        self.devices.write_word(pin, page, word, value)

    def device_read(self, pin: int = 0, page: int = 0, word: int = 0) -> int | None:
        """Read one word of a pinned page."""
        return self.devices.read_word(pin, page, word)

    def direct_read(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        file: int = 1,
        file_page: int = 0,
        pages: int = 1,
    ) -> Stepped[int]:
        """Read pages of a file from the disk into a mapping."""
        return self.drivers.direct_read(process, mapping, page, file, file_page, pages)

    def direct_write(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        file: int = 1,
        file_page: int = 0,
        pages: int = 1,
    ) -> Stepped[int]:
        """Write pages of a file to the disk from a mapping."""
        return self.drivers.direct_write(process, mapping, page, file, file_page, pages)

    def device_transfer(
        self,
        process: int = 0,
        mapping: int = 0,
        page: int = 0,
        pages: int = 1,
        value: int = 1,
    ) -> Stepped[int]:
        """Fill pages of a mapping with one stamp."""
        return self.drivers.device_transfer(process, mapping, page, pages, value)

    def attach(
        self, process: int = 0, mapping: int = 0, device: int = 0
    ) -> Stepped[None]:
        """Let a device share the page table of a mapping."""
        return self.mirrors.attach(process, mapping, device)

    def detach(self, device: int = 0) -> Stepped[None]:
        """End what `attach` began."""
        return self.mirrors.detach(device)

    def mirror_write(
        self, device: int = 0, page: int = 0, word: int = 0, value: int = 1
    ) -> Stepped[None]:
        """Write one word of its mapping by an attached device."""
        return self.mirrors.write_word(device, page, word, value)

    def mirror_read(
        self, device: int = 0, page: int = 0, word: int = 0
    ) -> Stepped[int]:
        """Read one word of its mapping by an attached device."""
        return self.mirrors.read_word(device, page, word)

    # --- disk and memory pressure ---------------------------------------------

    def hold(self, at: HoldPoint = HoldPoint.AFTER_CAPTURE) -> None:
        """Make the disk stop at a point."""
        self.disk.held_at = at

    def release(self) -> None:
        """Let the disk go on."""
        self.disk.held_at = None

    def fail_next(self, write: bool = True) -> None:
        """Make the disk fail the next write, or read."""
        if write:
            self.disk.fails_next_write = True
        else:
            self.disk.fails_next_read = True

    def power_cut(self) -> PowerCutImage:
        """Copy the disk as it stands, and read all files on the copy."""
        return read_image(self.filesystem)

    def flush_disk(self) -> None:
        """Empty the volatile cache of the disk."""
        self.disk.flush()

    def reclaim(self, file: int = 0) -> Stepped[None]:
        """Unmap, clean and free as many pages of a file as can be."""
        inode = self.files.open(file)
        try:
            yield from self.pressure.reclaim(inode)
        finally:
            self.files.close(inode)

    def pageout(
        self, process: int = 0, mapping: int = 0, page: int = 0, pages: int = 1
    ) -> Stepped[None]:
        """Move pages of a mapping out of memory."""
        return self.swap.pageout(process, mapping, page, pages)

    def merge(self, process: int = 0, mapping: int = 0) -> Stepped[None]:
        """Share equal pages of a mapping of anonymous memory."""
        return self.ksm.merge(process, mapping)

    def split(self, file: int = 0, page: int = 0) -> Stepped[None]:
        """Split the large folio that a page of a file belongs to."""
        inode = self.files.open(file)
        try:
            yield from self.folios.split(inode, page)
        finally:
            self.files.close(inode)

    # --- moving pages ---------------------------------------------------------

    def migrate(
        self, process: int = 0, mapping: int = 0, page: int = 0, pages: int = 1
    ) -> Stepped[None]:
        """Move pages of a mapping to other frames."""
        return self.migration.migrate(process, mapping, page, pages)

    def steal(self, file: int = 0, page: int = 0) -> Stepped[None]:
        """Take a page of a file out of the page cache for another owner."""
        inode = self.files.open(file, Errno.EINVAL)
        try:
            yield from self.thief.steal(inode, page)
        finally:
            self.files.close(inode)
