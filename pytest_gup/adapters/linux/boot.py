"""From `linux:FS` to a booted stack.

Interface:
  * `missing(filesystem)` says what this machine lacks, or None.
  * `boot_for(filesystem)` returns the factory.
"""

import os
import platform
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs

from conformance.interface import Boot, Feature, Geometry, Setup
from pytest_gup.adapters.linux import lab
from pytest_gup.adapters.linux.bench import FIRST_ADDRESS, Bench, Mapping
from pytest_gup.adapters.linux.calls import Process
from pytest_gup.adapters.linux.filesystems import FILESYSTEMS, Filesystem
from pytest_gup.adapters.linux.memory import map_arguments
from pytest_gup.adapters.linux.observing import FOLIO_PAGES_MAX, read_vmstat
from pytest_gup.adapters.linux.offers import LARGE
from pytest_gup.adapters.linux.stack import MemoryStack, stack_class
from pytest_gup.adapters.linux.stillness import measured_pace
from pytest_gup.adapters.linux.touch import MACHINES
from pytest_gup.adapters.linux.volume import PAGE_BYTES, TOOL_PATH

FILES_NEEDED = ("/dev/fuse", "/dev/loop-control", "/proc/kpageflags")


def missing(filesystem: str) -> str | None:
    """Say what this machine lacks for a filesystem, and what to do about it."""
    return next(_lacking(FILESYSTEMS[filesystem]), None)


def _lacking(system: Filesystem) -> Iterator[str]:
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        yield f"the running kernel can be checked on Linux on {', '.join(MACHINES)}"
    if os.geteuid() != 0:
        yield "the running kernel can be checked by root only; run pytest as root"
    for path in FILES_NEEDED:
        if not Path(path).exists():
            yield f"{path} is missing; load the kernel module behind it"
    if system.make and shutil.which(system.make[0], path=TOOL_PATH) is None:
        yield f"{system.make[0]} is missing; install {system.package}"


def boot_for(filesystem: str) -> Boot:
    """Return the factory for a filesystem."""
    lab.prepare()
    return partial(boot, FILESYSTEMS[filesystem])


def boot(filesystem: Filesystem, setup: Setup) -> MemoryStack:
    """Mount the filesystem, start process 0 and map file 0 into it."""
    here = lab.the_lab()
    offered = here.offers(filesystem.name)
    geometry = attrs.evolve(
        setup.geometry,
        page_size_bytes=PAGE_BYTES,
        disk_blocks=filesystem.size_bytes // PAGE_BYTES,
        folio_pages=_folio_pages(setup.geometry, offered),
        movable_pages=0,
    )
    size = geometry.file_pages * PAGE_BYTES
    # They begin while the filesystem is being mounted.
    sockets = [here.spawn(), here.spawn()]
    try:
        place = here.boot(
            filesystem.name, size, stable_writes=setup.has(Feature.STABLE_WRITES)
        )
        counters = read_vmstat()
        processes = [Process.join(each) for each in sockets]
        bench = _bench(here, filesystem, place, geometry, *processes)
        return stack_class(filesystem, offered)(bench, counters)
    except BaseException:
        here.unboot()
        raise


def _folio_pages(asked: Geometry, offered: frozenset[str]) -> int:
    """Tell how large folios get: as large as the file, where any are asked for."""
    if asked.folio_pages == 1 or LARGE not in offered:
        return 1
    return min(1 << asked.file_pages.bit_length() - 1, FOLIO_PAGES_MAX)


def _bench(
    here: lab.Lab,
    filesystem: Filesystem,
    place: tuple[str, str],
    geometry: Geometry,
    shell: Process,
    process: Process,
) -> Bench:
    path, device = place
    root = shell.ask("open", path, os.O_RDONLY | os.O_CLOEXEC)
    bench = Bench(
        *(here, filesystem, path, device, geometry, shell, int(str(root))),
        processes={0: process},
    )
    file = shell.ask("open", bench.file_path(0), os.O_RDWR | os.O_CLOEXEC)
    bench.files[0] = int(str(file))
    mapping = Mapping(FIRST_ADDRESS, geometry.file_pages, 0)
    process.ask("map", *map_arguments(bench, mapping))
    bench.mappings[0, 0] = mapping
    bench.still_seconds = measured_pace(shell)
    return bench
