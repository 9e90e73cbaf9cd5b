"""Unmounting, and mounting again.

umount(2) refuses while a file is mapped or open, so both are given up first, as a
machine that goes down has its processes end first. Pins are no obstacle: they hold
pages, and neither the file nor the filesystem. Where it is refused after all, every
mapping and file is put back where it was.
"""

import os
from collections.abc import Generator

from conformance.interface import Done
from pytest_gup.adapters.linux.bench import Bench, Call, Chain, Mapping, checked
from pytest_gup.adapters.linux.memory import map_arguments

MS_NOATIME = 1024


class Mounts:
    """What a filesystem on a disk offers as a whole."""

    bench: Bench

    def umount(self) -> Chain:
        """Unmount, after all that is mapped or open of it was let go."""
        return Chain(self._umount())

    def mount(self) -> Chain:
        """Mount it again, and open the files that have a name."""
        self.bench.mounting = Chain(self._mount())
        return self.bench.mounting

    def _umount(self) -> Generator[Call, Done, None]:
        bench = self.bench
        mapped = {
            key: mapping
            for key, mapping in bench.in_use().items()
            if mapping.file is not None
        }
        for (process, number), mapping in mapped.items():
            size = mapping.pages * bench.geometry.page_size_bytes
            worker = bench.processes[process]
            checked((yield bench.begin(worker, "munmap", mapping.address, size)))
            del bench.mappings[process, number]
        yield bench.begin(bench.shell, "close_all", [bench.root, *bench.files.values()])
        ended = yield bench.begin(bench.shell, "unmount", bench.path)
        if ended.error is not None:
            yield from self._open()
            yield from self._map(mapped)
        checked(ended)

    def _mount(self) -> Generator[Call, Done, None]:
        bench = self.bench
        system = bench.filesystem
        checked(
            (
                yield bench.begin(
                    *(bench.shell, "mount", bench.device, bench.path, system.name),
                    *(MS_NOATIME, system.options),
                )
            )
        )
        checked((yield bench.begin(bench.shell, "warm_up", bench.path)))
        yield from self._open()

    def _open(self) -> Generator[Call, Done, None]:
        """Open the root, and every file under its old number."""
        bench = self.bench
        flags = os.O_RDONLY | os.O_CLOEXEC
        ended = yield bench.begin(
            bench.shell, "open", bench.path, flags, then=lambda found: found
        )
        checked(ended)
        bench.root = int(str(ended.result))
        for file in list(bench.files):
            path, flags = bench.file_path(file), os.O_RDWR | os.O_CLOEXEC
            ended = yield bench.begin(
                bench.shell, "open", path, flags, then=lambda found: found
            )
            checked(ended)
            bench.files[file] = int(str(ended.result))

    def _map(
        self, mapped: dict[tuple[int, int], Mapping]
    ) -> Generator[Call, Done, None]:
        bench = self.bench
        for key, mapping in mapped.items():
            worker = bench.processes[key[0]]
            arguments = map_arguments(bench, mapping)
            checked((yield bench.begin(worker, "map", *arguments)))
            bench.mappings[key] = mapping
