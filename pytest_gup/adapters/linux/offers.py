"""What this machine, and a filesystem on it, can do beyond what all can: tried out.

Interface:
  * `of_machine` tries the kernel; once for each lab.
  * `of_filesystem` tries a filesystem that is mounted, and leaves nothing there.
"""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from pytest_gup.adapters.linux import kernel, ksm, tasks
from pytest_gup.adapters.linux.uffd import Notice

SECRET, NOTICING, MOVING, MERGING = "secret", "noticing", "moving", "merging"
SHARING, LARGE = "sharing", "large"
FOLIO_HEAD = 15
LARGE_PAGES = 4


def of_machine() -> frozenset[str]:
    """Try out what depends on the kernel alone."""
    trials = {
        SECRET: _keeps_secrets,
        NOTICING: _notices,
        MOVING: tasks.COMPACT.exists,
        MERGING: ksm.is_there,
    }
    return frozenset(name for name, trial in trials.items() if _succeeds(trial))


def of_filesystem(folder: Path) -> frozenset[str]:
    """Try out what depends on the filesystem mounted at a folder."""
    file = folder / "trial"
    descriptor = os.open(file, tasks.CREATED, 0o600)
    try:
        os.pwrite(descriptor, bytes(LARGE_PAGES * tasks.PAGE_BYTES), 0)
        os.fsync(descriptor)
        trials = {
            SHARING: lambda: _shares(descriptor, folder / "clone"),
            LARGE: lambda: _caches_large_folios(descriptor),
        }
        return frozenset(name for name, trial in trials.items() if _succeeds(trial))
    finally:
        tasks.remove(str(file), descriptor)


def _succeeds(trial: Callable[[], bool]) -> bool:
    try:
        return trial()
    except OSError:
        return False


def _keeps_secrets() -> bool:
    os.close(kernel.call("syscall", tasks.SYS_MEMFD_SECRET, os.O_CLOEXEC))
    return True


def _notices() -> bool:
    """Whether a page that was written is protected, and says so when written again."""
    notice = Notice.open()
    try:
        with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE) as memory:
            memory[0] = 1
            held = ctypes.c_char.from_buffer(memory)
            notice.clear([(ctypes.addressof(held), mmap.PAGESIZE)])
            del held
            memory[0] = 2
    finally:
        os.close(notice.descriptor)
    return True


def _shares(descriptor: int, clone: Path) -> bool:
    tasks.remove(str(clone), tasks.clone(descriptor, str(clone)))
    return True


def _caches_large_folios(descriptor: int) -> bool:
    size = LARGE_PAGES * tasks.PAGE_BYTES
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    address = kernel.call(
        "mmap", None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0
    )
    try:
        kernel.call("madvise", address, size, tasks.MADV_HUGEPAGE)
        kernel.call("madvise", address, size, tasks.MADV_POPULATE_READ)
        (entry,) = tasks.entries(os.getpid(), address, 1)
        frame = tasks.frame_of(entry)
        return frame is not None and bool(tasks.page_flags(frame) >> FOLIO_HEAD & 1)
    finally:
        with contextlib.suppress(OSError):
            kernel.call("munmap", address, size)
