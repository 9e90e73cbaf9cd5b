"""What the stack shows of itself: views of pages, and a fingerprint of its state.

Interface:
  * `show_page` is the claim about one page.
  * `fingerprint` is equal for states that act alike: it leaves out the counters
    that only grow.
"""

from collections.abc import Hashable

from conformance.interface import PageView
from reference_impl.anon import AnonVma, is_zero
from reference_impl.blockdev import Disk, WriteRequest
from reference_impl.dma import Devices
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Memory, Page
from reference_impl.mirror import MirrorDevice, Mirrors
from reference_impl.mm import Mm
from reference_impl.pagetable import Process
from reference_impl.rmap import Rmap
from reference_impl.space import Space


def show_page(memory: Memory, rmap: Rmap, page: Page) -> PageView:
    """Show one page; of the zero page, which nobody counts, next to nothing."""
    if is_zero(page):
        return PageView(frame=page.pfn, refcount=page.refcount)
    entries = [pte for _, _, pte in rmap.entries_of(page)]
    is_private = isinstance(page.anon, AnonVma) and not page.anon.is_shared
    return PageView(
        is_cached=page.mapping is not None,
        is_dirty=page.is_dirty,
        is_under_writeback=page.is_under_writeback,
        is_locked=page.is_locked,
        is_uptodate=page.is_uptodate,
        has_buffers=page.has_buffers,
        maybe_pinned=memory.maybe_dma_pinned(page),
        refcount=page.refcount,
        writable_ptes=sum(pte.is_writable for pte in entries),
        dirty_ptes=sum(pte.is_dirty for pte in entries),
        frame=page.pfn,
        head_frame=page.head.pfn,
        pin_count=page.head.pin_count if page.is_large else None,
        is_exclusive=page.is_exclusive if is_private else None,
        is_movable=memory.is_in_zone(page.pfn),
    )


def fingerprint(
    filesystem: Filesystem, mm: Mm, devices: Devices, rmap: Rmap
) -> Hashable:
    """Return a value that is equal for states that act alike."""
    gate = filesystem.gate
    return (
        tuple(print_page(page) for page in filesystem.memory.pages),
        tuple(filesystem.memory.free),
        tuple(print_inode(inode, rmap) for inode in filesystem.inodes),
        tuple(print_process(process) for process in mm.processes.values()),
        print_anon(mm, rmap),
        tuple(
            (handle, pin.flags, tuple(_pfn(page) for page in pin.pages))
            for handle, pin in devices.pins.items()
        ),
        print_disk(filesystem.disk),
        print_space(filesystem.space),
        (gate.is_closed, gate.is_frozen, gate.writers, filesystem.is_mounted),
    )


def print_page(page: Page) -> Hashable:
    """Return all that matters of a page."""
    return (
        page.own_count,
        (page.head.pfn, page.pin_count, page.is_frozen),
        tuple(page.words),
        page.key,
        page.locked_by,
        page.is_dirty,
        page.is_under_writeback,
        page.is_uptodate,
        page.has_buffers,
        page.blocks_reserved,
        (page.anon is not None, page.is_exclusive),
    )


def print_inode(inode: Inode, rmap: Rmap) -> Hashable:
    """Return all that matters of a file."""
    invalidate = inode.space.invalidate_lock
    return (
        inode.file,
        inode.size_words,
        inode.size_on_disk,
        tuple(
            sorted((index, e.block, e.checksum) for index, e in inode.extents.items())
        ),
        inode.lock.held_by,
        (inode.errors, inode.errors_told_to_fsync, inode.errors_told_to_sync),
        inode.users,
        inode.is_linked,
        tuple(sorted(inode.direct_writes)),
        (invalidate.readers, invalidate.writer, inode.is_being_shared),
        rmap.of(inode.space).lock.held_by,
    )


def print_process(process: Process) -> Hashable:
    """Return all that matters of a process."""
    lock = process.mmap_lock
    return (
        process.pid,
        (lock.readers, lock.writer),
        tuple(
            (vma.mapping, vma.start, vma.first_page, vma.pages, vma.is_writable)
            for vma in process.vmas.values()
        ),
        tuple(
            sorted(
                (
                    address,
                    pte.page.pfn,
                    (pte.is_writable, pte.is_dirty, pte.is_accessed),
                )
                for address, pte in process.ptes.items()
            )
        ),
        tuple(sorted((at, slot.words) for at, slot in process.swapped.items())),
        (process.write_protect_seq, process.next_address),
    )


def print_anon(mm: Mm, rmap: Rmap) -> Hashable:
    """Return all that matters of anonymous memory, but for its pages."""
    vmas = [vma for process in mm.processes.values() for vma in process.vmas.values()]
    owners = list(dict.fromkeys(vma.anon for vma in vmas if vma.anon is not None))
    return (
        tuple(
            (
                vma.backing and vma.backing.file,
                vma.anon and owners.index(vma.anon),
                vma.is_private,
                vma.is_secret,
            )
            for vma in vmas
        ),
        tuple(
            (
                rmap.of(owner).lock.held_by,
                tuple((i, page.pfn) for i, page in sorted(owner.pages.items())),
            )
            for owner in owners
        ),
    )


def print_mirrors(mirrors: Mirrors) -> Hashable:
    """Return all that matters of attached devices, and of changes under way."""
    return (
        tuple(print_mirror(device) for device in mirrors.devices.values()),
        tuple(
            (change.owner.pid, change.addresses, change.only_protects)
            for change in mirrors.notifiers.changes
        ),
    )


def print_mirror(device: MirrorDevice) -> Hashable:
    """Return all that matters of one attached device."""
    return (
        device.handle,
        (device.vma.process.pid, device.vma.mapping, device.interval.addresses),
        (device.interval.sequence, device.lock.held_by, device.is_attached),
        tuple(
            (page, e.page.pfn, e.is_writable, e.is_dirty, e.readers, e.writers)
            for page, e in sorted(device.entries.items())
        ),
    )


def print_disk(disk: Disk) -> Hashable:
    """Return all that matters of the disk."""
    return (
        tuple(sorted(disk.medium.items())),
        tuple(sorted(disk.cache.items())),
        tuple(sorted(disk.parity.items())),
        tuple(sorted(disk.parity_cache.items())),
        tuple(print_request(request) for request in disk.queue),
        tuple(print_request(request) for request in disk.captured),
        (disk.held_at, disk.fails_next_write, disk.fails_next_read),
    )


def print_request(request: WriteRequest) -> Hashable:
    """Return all that matters of a write in flight."""
    return (request.block, request.source.pfn, request.promised, request.captured)


def print_space(space: Space) -> Hashable:
    """Return all that matters of free space and journal."""
    records = tuple(
        (
            file,
            record.size_words,
            tuple(sorted(e.block for e in record.extents.values())),
        )
        for file, record in sorted(space.journal.records.items())
    )
    users = tuple(sorted(space.users.items()))
    return (tuple(sorted(space.used)), users, space.reserved, space.taken, records)


def _pfn(page: Page | None) -> int | None:
    """Return the pfn of a page of a pin; None: it has been put."""
    return None if page is None else page.pfn
