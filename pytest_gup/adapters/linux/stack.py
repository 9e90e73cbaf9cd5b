"""A stack: the running kernel with one filesystem, booted for one program.

The parts say what they do: `files.py`, `memory.py`, `pinning.py`, `storage.py`,
`observing.py`. What is missing there, this machinery cannot reach: plain references
(`tracked=False`), get_user_pages that does not wait, put apart from the device's
answer, a device that reads when told to, exit with pins outstanding, a volatile
cache of the disk.
"""

from conformance.interface import Feature, Geometry
from pytest_gup.adapters.linux.bench import Bench
from pytest_gup.adapters.linux.files import Files
from pytest_gup.adapters.linux.memory import Memory
from pytest_gup.adapters.linux.observing import Counters, Observing
from pytest_gup.adapters.linux.pinning import Pins
from pytest_gup.adapters.linux.storage import Storage


class MemoryStack(Memory, Pins, Files, Observing):
    """A filesystem without a disk (tmpfs)."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.counters = Counters.begin()
        self._seen: dict[int, list[int | None] | None] = {}

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


class DiskStack(Storage, MemoryStack):
    """A filesystem on a disk."""
