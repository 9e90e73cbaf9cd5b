"""A stack: the running kernel with one filesystem, booted for one program.

The parts say what they do: `files.py`, `sharing.py`, `memory.py`, `processes.py`,
`pressure.py`, `pinning.py`, `storage.py`, `mounts.py`, `observing.py`. What is missing
there, this machinery cannot reach: plain references (`tracked=False`),
get_user_pages that does not wait, or with FOLL_FORCE, put apart from the device's
answer, a device that reads or writes a word when told to, a device that follows the
page table, a volatile cache of the disk. What only some kernels and filesystems can
do is found out first (`offers.py`), and then is a method, or is not.
"""

from functools import cache

from conformance.interface import Feature, Geometry
from pytest_gup.adapters.linux import offers
from pytest_gup.adapters.linux.bench import Bench
from pytest_gup.adapters.linux.files import Files
from pytest_gup.adapters.linux.filesystems import Filesystem
from pytest_gup.adapters.linux.memory import Memory, SecretMemory
from pytest_gup.adapters.linux.mounts import Mounts
from pytest_gup.adapters.linux.observing import Counters, Observing
from pytest_gup.adapters.linux.pinning import Pins
from pytest_gup.adapters.linux.pressure import (
    Advice,
    Merging,
    Moving,
    Noticing,
    Splitting,
)
from pytest_gup.adapters.linux.processes import Processes
from pytest_gup.adapters.linux.sharing import Sharing
from pytest_gup.adapters.linux.stealing import Stealing
from pytest_gup.adapters.linux.storage import Storage


class MemoryStack(Memory, Processes, Advice, Pins, Files, Observing):
    """A filesystem without a disk (tmpfs)."""

    def __init__(self, bench: Bench, before: dict[str, int]) -> None:
        self.bench = bench
        self.counters = Counters.begin(before)
        self._seen: dict[int, list[int | None] | None] = {}
        self._waiting = {}

    @property
    def geometry(self) -> Geometry:
        """The sizes in force."""
        return self.bench.geometry

    @property
    def features_fixed(self) -> frozenset[Feature]:
        """What this filesystem always has."""
        return self.bench.filesystem.fixed

    @property
    def features_offered(self) -> frozenset[Feature]:
        """What this filesystem can be given."""
        return self.bench.filesystem.offered

    def close(self) -> None:
        """Take everything down that boot put up."""
        self.bench.close()


class DiskStack(Storage, Mounts, Stealing, MemoryStack):
    """A filesystem on a disk."""


PARTS: dict[str, type] = {
    offers.SECRET: SecretMemory,
    offers.NOTICING: Noticing,
    offers.MOVING: Moving,
    offers.MERGING: Merging,
    offers.SHARING: Sharing,
    offers.LARGE: Splitting,
}
"""What each thing that a machine may offer adds to a stack."""


@cache
def stack_class(filesystem: Filesystem, offered: frozenset[str]) -> type[MemoryStack]:
    """Return the class of the stacks of a filesystem on this machine."""
    base = DiskStack if filesystem.make else MemoryStack
    parts = [part for name, part in PARTS.items() if name in offered]
    return type(base.__name__, (*parts, base), {})
