"""Names of things of the stack, for those who compare suspended calls.

A thing is named by where it is found: a page by its frame, a process by its number, a
layer by what it is to the stack. What is no longer found has no name.

Interface:
  * `Names(layers).name_of(thing)`; the name tells nothing of the thing's state.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping

import attrs

from reference_impl.blockdev import Disk
from reference_impl.dma import Devices
from reference_impl.filesystem import Filesystem
from reference_impl.memory import Page
from reference_impl.mirror import Mirrors
from reference_impl.mm import Mm
from reference_impl.notifier import Change
from reference_impl.pagetable import Process
from reference_impl.rmap import Rmap

Found = tuple[Hashable, object]
"""A name and what bears it."""


@attrs.define(eq=False)
class Names:
    """Where the things of one stack are found."""

    layers: Mapping[str, object]
    """Every layer by its name; they stay what they are."""
    filesystem: Filesystem
    mm: Mm
    devices: Devices
    rmap: Rmap
    mirrors: Mirrors
    disk: Disk
    _lasting: dict[int, Hashable] = attrs.field(factory=dict[int, Hashable])

    def __attrs_post_init__(self) -> None:
        self._lasting = {
            id(layer): ("layer", name) for name, layer in self.layers.items()
        }
        self._lasting[id(self.filesystem.gate)] = ("layer", "gate")

    def name_of(self, thing: object) -> Hashable | None:
        """Return the name of a thing; None: it has none."""
        if isinstance(thing, Page):
            return ("page", thing.pfn)
        if id(thing) in self._lasting:
            return self._lasting[id(thing)]
        if not hasattr(type(thing), "__attrs_attrs__"):
            return None
        found = next((name for name, each in self.found() if each is thing), None)
        # A change that is over is not looked at again by who began it.
        is_over = found is None and isinstance(thing, Change)
        return ("past change",) if is_over else found

    def found(self) -> Iterator[Found]:
        """Yield everything that comes and goes, with its name."""
        yield from self.found_files()
        for process in self.mm.processes.values():
            yield from self.found_in_process(process)
        yield from numbered("change", self.mirrors.notifiers.changes)
        yield from numbered("interval", self.mirrors.notifiers.intervals)
        for handle, device in self.mirrors.devices.items():
            yield ("mirror", handle), device
            yield ("mirror lock", handle), device.lock
        for handle, pin in self.devices.pins.items():
            yield ("pin", handle), pin
        for request in self.disk.in_flight():
            yield ("write", request.block, request.source.pfn), request

    def found_files(self) -> Iterator[Found]:
        """Yield files and their parts."""
        for number, inode in enumerate(self.filesystem.inodes):
            yield ("file", number), inode
            yield ("space", number), inode.space
            yield ("file lock", number), inode.lock
            yield ("invalidate lock", number), inode.space.invalidate_lock
            yield ("mappings", number), self.rmap.of(inode.space)
            yield ("rmap lock", number), self.rmap.of(inode.space).lock

    def found_in_process(self, process: Process) -> Iterator[Found]:
        """Yield a process and its mappings."""
        yield ("process", process.pid), process
        yield ("mmap lock", process.pid), process.mmap_lock
        for mapping, vma in process.vmas.items():
            where = process.pid, mapping
            yield ("mapping", *where), vma
            if vma.anon is not None:
                yield ("anonymous", *where), vma.anon
                yield ("rmap", *where), self.rmap.of(vma.anon)
                yield ("anonymous lock", *where), self.rmap.of(vma.anon).lock


def numbered(kind: str, things: Iterable[object]) -> Iterator[Found]:
    """Yield things of a list, named by their place."""
    return (((kind, number), thing) for number, thing in enumerate(things))
