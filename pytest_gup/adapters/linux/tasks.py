"""What a thread of a worker can be asked to do, besides functions of the C library.

Everything here is done in the process that was asked, and may sleep in the kernel
for as long as the kernel likes.

Interface:
  * `TASKS` are functions by the name under which they are called.
  * `wait_for_memory` waits until this process can change its address space.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pytest_gup.adapters.linux import fuse, kernel, ksm

PAGE_BYTES = mmap.PAGESIZE
FILL_STEP_BYTES = 1 << 26
PAGEMAP_ENTRY = struct.Struct("=Q")
FRAME = (1 << 55) - 1
IS_PRESENT = 1 << 63
SYS_MEMFD_SECRET = 447
MADV_HUGEPAGE = 14
MADV_COLD = 20
MADV_POPULATE_READ = 22
MADV_COLLAPSE = 25
MAP_FIXED_NOREPLACE = 0x100000
FICLONE = 0x40049409
FIDEDUPERANGE = 0xC0189436
CREATED = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DEDUPE = struct.Struct("=QQHHIqQQiI")
"""`struct file_dedupe_range` with one `struct file_dedupe_range_info`."""
COMPACT = Path("/proc/sys/vm/compact_memory")
COMPACTIONS = 6
"""How often memory is compacted for one page to move; each time a few pages do."""
HUGE_BYTES = 1 << 21

Task = Callable[..., object]


def wait_for_memory() -> None:
    """Wait until the mmap_lock of this process can be had, for writing."""
    protection, flags = mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = kernel.call("mmap", None, PAGE_BYTES, protection, flags, -1, 0)
    kernel.call("munmap", address, PAGE_BYTES)


# --- memory ------------------------------------------------------------------------


def map_pages(
    path: str | None,
    address: int,
    size: int,
    protection: int,
    flags: int,
    offset: int,
    large: bool,
) -> int:
    """Map a file, or anonymous memory, at an address; with large folios or without."""
    if path is None:
        flags |= mmap.MAP_ANONYMOUS
        return kernel.call("mmap", address, size, protection, flags, -1, 0)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        kernel.call("mmap", address, size, protection, flags, descriptor, offset)
    finally:
        os.close(descriptor)
    if large:
        kernel.call("madvise", address, size, MADV_HUGEPAGE)
    return address


def map_secret(address: int, size: int, protection: int, flags: int) -> int:
    """Map memory that is in no page table but this one, not even the kernel's."""
    descriptor = kernel.call("syscall", SYS_MEMFD_SECRET, os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        return kernel.call("mmap", address, size, protection, flags, descriptor, 0)
    finally:
        os.close(descriptor)


def entries(pid: int, address: int, pages: int) -> list[int]:
    """Read the page table of a process, its own or another's."""
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(address // PAGE_BYTES * PAGEMAP_ENTRY.size)
        found = pagemap.read(pages * PAGEMAP_ENTRY.size)
    return [entry for (entry,) in PAGEMAP_ENTRY.iter_unpack(found)]


def frame_of(entry: int) -> int | None:
    """Tell which frame an entry of a page table is about; None: it maps nothing."""
    return entry & FRAME if entry & IS_PRESENT else None


def page_flags(frame: int) -> int:
    """Read the flags of one frame, of a tail as of any other."""
    flags, size = _flags_file(os.getpid()), PAGEMAP_ENTRY.size
    (found,) = PAGEMAP_ENTRY.unpack(os.pread(flags, size, frame * size))
    return int(found)


@cache
def _flags_file(process: int) -> int:
    """Open it once in each process: a child may have closed its parent's."""
    return os.open("/proc/kpageflags", os.O_RDONLY | os.O_CLOEXEC)


def compact(pid: int, address: int, pages: int) -> bool:
    """Compact the memory of the machine until one of these pages has moved.

    Pages go upwards to where others have left gaps, those far down first; so one that
    can be moved need not be. One that cannot be stays however often this is tried.
    """
    before = [frame_of(entry) for entry in entries(pid, address, pages)]
    for _ in range(COMPACTIONS):
        COMPACT.write_text("1")
        after = [frame_of(entry) for entry in entries(pid, address, pages)]
        pairs = zip(before, after, strict=True)
        if any(None not in pair and len(set(pair)) > 1 for pair in pairs):
            return True
    return False


def collapse(address: int, size: int, protection: int) -> None:
    """Have anonymous memory copied to other pages: made a huge page, and small again.

    The mapping begins where a huge page can, with nothing behind it. What is missing
    to a huge page is mapped for a moment, and advice about a part splits it.

    Raises:
        OSError: a page cannot be replaced, or this kernel has no such advice.
    """
    rest, missing = address + size, HUGE_BYTES - size
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    kernel.call("mmap", rest, missing, protection, flags, -1, 0)
    try:
        kernel.call("madvise", address, HUGE_BYTES, MADV_COLLAPSE)
    finally:
        kernel.call("munmap", rest, missing)
    kernel.call("madvise", address, PAGE_BYTES, MADV_COLD)


# --- files -------------------------------------------------------------------------


def remove(path: str, descriptor: int | None) -> None:
    """Remove a name, and close what was open under it."""
    Path(path).unlink()
    if descriptor is not None:
        os.close(descriptor)


def mtime(descriptor: int) -> int:
    """Tell the modification time of a file, in nanoseconds."""
    return os.fstat(descriptor).st_mtime_ns


def close_all(descriptors: list[int]) -> None:
    """Close files."""
    for descriptor in descriptors:
        os.close(descriptor)


def fill_disk(path: str) -> None:
    """Have a file take all free blocks, down to the last one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        offset, step = 0, FILL_STEP_BYTES
        while step >= PAGE_BYTES:
            try:
                os.posix_fallocate(descriptor, offset, step)
                offset += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
    finally:
        os.close(descriptor)


def warm_up(folder: str) -> None:
    """Have the kernel read what it needs for allocating blocks.

    While the disk is held before capture it answers no reads either; a write would
    wait for a read then, and never come to the point where it is held.
    """
    try:
        _write_and_remove(Path(folder, "warm-up"))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise  # a full disk has no blocks to give, and was asked for one
    root = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.call("syncfs", root)
    finally:
        os.close(root)


def _write_and_remove(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, bytes(PAGE_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


def clone(source: int, path: str) -> int:
    """Make a file that shares the extents of another; leave nothing on failure."""
    descriptor = os.open(path, CREATED, 0o600)
    try:
        fcntl.ioctl(descriptor, FICLONE, source)
    except OSError:
        remove(path, descriptor)
        raise
    return descriptor


def dedupe(source: int, offset: int, target: int, target_offset: int, size: int) -> int:
    """Share the extents of two ranges if they are equal; tell how many bytes."""
    argument = bytearray(
        _DEDUPE.pack(offset, size, 1, 0, 0, target, target_offset, 0, 0, 0)
    )
    fcntl.ioctl(source, FIDEDUPERANGE, argument)
    *_, shared, status, _ = _DEDUPE.unpack(argument)
    if status < 0:
        raise OSError(-status, "dedupe")
    return 0 if status else int(shared)


def split(descriptor: int, offset: int) -> None:
    """Split the folio that caches a page that nobody has mapped."""
    address = kernel.call(
        *("mmap", None, PAGE_BYTES, mmap.PROT_READ, mmap.MAP_SHARED),
        *(descriptor, offset),
    )
    try:
        split_mapped(address)
    finally:
        kernel.call("munmap", address, PAGE_BYTES)


def split_mapped(address: int) -> None:
    """Split the folio that is mapped here, and nowhere else.

    Advice about a part of a folio splits it (mm/madvise.c, for MADV_COLD). It is of
    effect only where the page is in the page table.
    """
    kernel.call("madvise", address, PAGE_BYTES, MADV_POPULATE_READ)
    kernel.call("madvise", address, PAGE_BYTES, MADV_COLD)


def cached_pages(descriptor: int, pages: int) -> list[bool]:
    """Tell which pages of a file are in the page cache; none is brought in."""
    size = pages * PAGE_BYTES
    address = kernel.call(
        "mmap", None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0
    )
    try:
        resident = ctypes.create_string_buffer(pages)
        kernel.LIBC.mincore(ctypes.c_void_p(address), size, resident)
        return [bool(is_cached & 1) for is_cached in resident.raw]
    finally:
        kernel.call("munmap", address, size)


def to_pipe(descriptor: int, offset: int) -> list[int]:
    """Put a page of a file into a pipe, uncopied; tell the two ends of the pipe."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        moved = os.splice(descriptor, writer, PAGE_BYTES, offset_src=offset)
    except OSError:
        close_all([reader, writer])
        raise
    if moved != PAGE_BYTES:
        close_all([reader, writer])
        raise OSError(errno.EINVAL, "there is no whole page to be stolen")
    return [reader, writer]


def read_page(path: str) -> None:
    """Read the first page of a file through the page cache."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.pread(descriptor, PAGE_BYTES, 0)
    finally:
        os.close(descriptor)


def answer_from_pipe(unique: int, pipe: int, server: int) -> None:
    """Answer a request of FUSE with a page that is in a pipe, uncopied if it can be."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writer, fuse.header_of_answer(unique, PAGE_BYTES))
        os.splice(pipe, writer, PAGE_BYTES)
        size = fuse.HEADER_BYTES + PAGE_BYTES
        os.splice(reader, server, size, flags=os.SPLICE_F_MOVE)
    finally:
        close_all([reader, writer, server])


TASKS: dict[str, Task] = {
    "pread": os.pread,
    "pwrite": os.pwrite,
    "open": os.open,
    "close_all": close_all,
    "remove": remove,
    "fadvise": os.posix_fadvise,
    "fill_disk": fill_disk,
    "warm_up": warm_up,
    "truncate": os.truncate,
    "clone": clone,
    "dedupe": dedupe,
    "split": split,
    "split_mapped": split_mapped,
    "to_pipe": to_pipe,
    "read_page": read_page,
    "answer_from_pipe": answer_from_pipe,
    "mtime": mtime,
    "map": map_pages,
    "map_secret": map_secret,
    "entries": entries,
    "collapse": collapse,
    "compact": compact,
    "merge": ksm.scan,
    "mount": kernel.mount,
    "unmount": kernel.unmount,
}
