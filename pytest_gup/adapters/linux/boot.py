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
from pytest_gup.adapters.linux.filesystems import FILESYSTEMS, Filesystem
from pytest_gup.adapters.linux.stack import DiskStack, MemoryStack
from pytest_gup.adapters.linux.stillness import measured_pace
from pytest_gup.adapters.linux.touch import MACHINES
from pytest_gup.adapters.linux.volume import PAGE_BYTES, TOOL_PATH

FILES_NEEDED = ("/dev/fuse", "/dev/loop-control", "/proc/kpageflags")
MAP_SHARED, READ_WRITE = 1, 3


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
    geometry = attrs.evolve(
        setup.geometry,
        page_size_bytes=PAGE_BYTES,
        disk_blocks=filesystem.size_bytes // PAGE_BYTES,
    )
    here = lab.the_lab()
    size = geometry.file_pages * PAGE_BYTES
    path = here.boot(
        filesystem.name, size, stable_writes=setup.has(Feature.STABLE_WRITES)
    )
    try:
        bench = _bench(here, filesystem, path, geometry)
        return DiskStack(bench) if filesystem.make else MemoryStack(bench)
    except BaseException:
        here.unboot()
        raise


def _bench(
    here: lab.Lab, filesystem: Filesystem, path: str, geometry: Geometry
) -> Bench:
    shell, process = here.spawn(), here.spawn()
    root = shell.ask("open", path, os.O_RDONLY | os.O_CLOEXEC)
    bench = Bench(here, filesystem, path, geometry, shell, int(str(root)), {0: process})
    file = shell.ask("open", bench.file_path(0), os.O_RDWR | os.O_CLOEXEC)
    bench.files[0] = int(str(file))
    size = geometry.file_pages * PAGE_BYTES
    arguments = (bench.file_path(0), FIRST_ADDRESS, size, READ_WRITE, MAP_SHARED, 0)
    process.ask("map", *arguments)
    bench.mappings[0, 0] = Mapping(FIRST_ADDRESS, geometry.file_pages, 0)
    bench.still_seconds = measured_pace(shell)
    return bench
