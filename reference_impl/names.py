"""Names of things of the stack, for those who compare suspended calls.

A thing is named by what stays as it is while a call may hold it: a page by its frame,
a process by its number, a file by its handle. What is no longer found where it belongs
has no name, and layers need none.

Interface:
  * `Names(...).name_of(thing)`; the name tells nothing of the thing's state.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import attrs

from reference_impl.anon import AnonVma
from reference_impl.blockdev import Disk, WriteRequest
from reference_impl.dma import Devices, Pin
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.mirror import MirrorDevice, Mirrors
from reference_impl.mm import Mm
from reference_impl.notifier import Change, Interval
from reference_impl.pagecache import AddressSpace
from reference_impl.pagetable import Process, Vma
from reference_impl.rmap import Mappings, Rmap
from reference_impl.stepping import Lock, SharedLock


@attrs.define(eq=False)
class Names:
    """Where the things of one stack are found."""

    filesystem: Filesystem
    mm: Mm
    devices: Devices
    rmap: Rmap
    mirrors: Mirrors
    disk: Disk

    def name_of(self, thing: object) -> Hashable | None:
        """Return the name of a thing; None: it has none."""
        for kind in type(thing).__mro__:
            name_it = NAMED.get(kind)
            if name_it is not None:
                return name_it(self, thing)
        return None

    def name_page(self, page: Page) -> Hashable:
        """Name a page."""
        return ("page", page.pfn)

    def name_process(self, process: Process) -> Hashable | None:
        """Name a process."""
        is_known = self.mm.processes.get(process.pid) is process
        return ("process", process.pid) if is_known else None

    def name_vma(self, vma: Vma) -> Hashable | None:
        """Name a mapping."""
        pid = vma.process.pid
        is_known = vma.process.vmas.get(vma.mapping) is vma
        return ("mapping", pid, vma.mapping) if is_known else None

    def name_anon(self, anon: AnonVma) -> Hashable | None:
        """Name the owner of anonymous pages, by a mapping that shows them."""
        for pid, process in self.mm.processes.items():
            for mapping, vma in process.vmas.items():
                if vma.anon is anon:
                    return ("anonymous", pid, mapping)
        return None

    def name_inode(self, inode: Inode) -> Hashable | None:
        """Name a file; one without a name in the filesystem may have a namesake."""
        namesakes = [i for i in self.filesystem.inodes if i.file == inode.file]
        if inode not in namesakes:
            return None
        return ("file", inode.file, namesakes.index(inode))

    def name_space(self, space: AddressSpace) -> Hashable | None:
        """Name the page cache of a file."""
        for inode in self.filesystem.inodes:
            if inode.space is space:
                return ("space", self.name_inode(inode))
        return None

    def name_mappings(self, mappings: Mappings) -> Hashable | None:
        """Name who maps pages of an owner."""
        for owner, known in self.rmap.mappings.items():
            if known is mappings:
                return ("mappings", self.name_of(owner))
        return None

    def name_lock(self, lock: object) -> Hashable | None:
        """Name a lock by what it is for."""
        return next((name for name, each in self.locks() if each is lock), None)

    def locks(self) -> Iterator[tuple[Hashable, object]]:
        """Yield every lock and its name."""
        for owner, mappings in self.rmap.mappings.items():
            yield ("rmap lock", self.name_of(owner)), mappings.lock
        for pid, process in self.mm.processes.items():
            yield ("mmap lock", pid), process.mmap_lock
        for handle, device in self.mirrors.devices.items():
            yield ("mirror lock", handle), device.lock
        for inode in self.filesystem.inodes:
            name = self.name_inode(inode)
            yield ("file lock", name), inode.lock
            yield ("invalidate lock", name), inode.space.invalidate_lock

    def name_change(self, change: Change) -> Hashable:
        """Name a change of page table entries; two of the same are alike.

        One that is over is not looked at again by who began it.
        """
        if not any(change is each for each in self.mirrors.notifiers.changes):
            return ("past change",)
        return ("change", change.owner.pid, change.addresses, change.only_protects)

    def name_interval(self, interval: Interval) -> Hashable | None:
        """Name what an attached device follows."""
        for handle, device in self.mirrors.devices.items():
            if device.interval is interval:
                return ("interval", handle)
        return None

    def name_mirror(self, device: MirrorDevice) -> Hashable | None:
        """Name an attached device."""
        is_known = self.mirrors.devices.get(device.handle) is device
        return ("mirror", device.handle) if is_known else None

    def name_pin(self, pin: Pin) -> Hashable | None:
        """Name what a device was granted."""
        for handle, known in self.devices.pins.items():
            if known is pin:
                return ("pin", handle)
        return None

    def name_request(self, request: WriteRequest) -> Hashable | None:
        """Name a write in flight; a page is written once at a time."""
        is_known = any(request is each for each in self.disk.in_flight())
        return ("write", request.block, request.source.pfn) if is_known else None


NAMED: dict[type, Callable[[Names, Any], Hashable | None]] = {
    Page: Names.name_page,
    Process: Names.name_process,
    Vma: Names.name_vma,
    AnonVma: Names.name_anon,
    Inode: Names.name_inode,
    AddressSpace: Names.name_space,
    Mappings: Names.name_mappings,
    Lock: Names.name_lock,
    SharedLock: Names.name_lock,
    Change: Names.name_change,
    Interval: Names.name_interval,
    MirrorDevice: Names.name_mirror,
    Pin: Names.name_pin,
    WriteRequest: Names.name_request,
}
"""How things are named, by their kind."""
