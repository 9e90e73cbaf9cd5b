"""What a process does with a file, and what can be seen of it.

Only the first page of a file matters in all of these scripts.

Interface:
  * `store`, `fsync`, `forget`, `clone`, `dedupe`, `value`.
  * `Pin(lab, path)` is a read from the slow device into the mapped file.
  * `has_flag(path, bit)` looks at the cached page.
"""

import ctypes
import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Protocol

from lab.fuse import Device
from lab.process import LIBC, PAGE, PATIENCE, Child, outcome, shown

FICLONE, FIDEDUPERANGE = 0x40049409, 0xC0189436
DIRTY, WRITEBACK, PRIVATE = 4, 8, 35
"""Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h)."""


def read(path: Path) -> bytes:
    """Return the first page of a file, through the page cache."""
    with path.open("rb", buffering=0) as file:
        return file.read(PAGE)


def value(path: Path) -> str:
    """Return the values of the bytes in the first page of a file, or an error."""
    return outcome(lambda: shown(read(path)))


def store(path: Path, value: int, at: slice = slice(0, PAGE)) -> None:
    """Store to the first page of a file through a shared mapping."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), PAGE) as page:
        page[at] = bytes([value]) * len(range(*at.indices(PAGE)))


def fsync(path: Path) -> str:
    """Make a file durable; "None" is success."""
    with path.open("r+b") as file:
        return outcome(lambda: os.fsync(file.fileno()))


def forget(path: Path) -> None:
    """Have the clean pages of a file dropped from the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def clone(path: Path, name: str) -> Path:
    """Make a reflink copy of a file."""
    target = path.with_name(name)
    with path.open("rb") as source, target.open("wb") as made:
        fcntl.ioctl(made, FICLONE, source.fileno())
    return target


def dedupe(source: Path, target: Path) -> str:
    """Have the first pages of two files share a block if they are equal."""
    layout = struct.Struct("=QQHHIqQQiI")
    with source.open("rb") as one, target.open("r+b") as other:
        argument = bytearray(layout.pack(0, PAGE, 1, 0, 0, other.fileno(), 0, 0, 0, 0))
        fcntl.ioctl(one, FIDEDUPERANGE, argument)
    *_, shared, status, _ = layout.unpack(argument)
    return f"{shared} bytes shared" if status == 0 else f"status {status}"


def has_flag(path: Path, bit: int) -> bool:
    """Look up a flag of the cached page of a file in /proc/kpageflags."""
    return frame_has_flag(frame_of(path), bit)


def frame_of(path: Path) -> int:
    """Return the frame of the cached page of a file; touching it may wait for it."""
    LIBC.mmap.restype = ctypes.c_void_p
    with path.open("rb") as file:
        address = LIBC.mmap(
            None, PAGE, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0
        )
    ctypes.string_at(address, 1)
    entry = _entry("/proc/self/pagemap", address // PAGE)
    LIBC.munmap(ctypes.c_void_p(address), PAGE)
    return entry & (1 << 55) - 1


def frame_has_flag(frame: int, bit: int) -> bool:
    """Look up a flag of a page by its frame; waits for nothing."""
    return bool(_entry("/proc/kpageflags", frame) >> bit & 1)


def _entry(path: str, index: int) -> int:
    with Path(path).open("rb", buffering=0) as table:
        table.seek(index * 8)
        return int.from_bytes(table.read(8), "little")


class HasDevice(Protocol):
    """What a pin needs of the lab."""

    device: Device
    source: Path
    """Where the device is read from."""


class Pin:
    """A read(2) from the device into the first page of a mapped file, in flight."""

    def __init__(self, lab: HasDevice, path: Path, patience: float = PATIENCE) -> None:
        self.device = lab.device
        self.child = Child(lambda: _read_into(lab.source, path))
        self.is_granted = self.device.wait(patience)

    def wait(self) -> None:
        """Wait until the kernel has granted it."""
        self.is_granted = self.is_granted or self.device.wait(PATIENCE * 10)
        assert self.is_granted, "the read has not arrived at the device"

    def complete(self, value: int) -> str:
        """Have the device write, dirty and give back; what read(2) answered."""
        self.wait()
        self.device.write_pages(value)
        return self.child.result() or "no answer"


def _read_into(source: Path, path: Path) -> int:
    flags = os.O_RDONLY | (os.O_DIRECT if source.is_block_device() else 0)
    device = os.open(source, flags)
    with path.open("r+b") as file:
        page = mmap.mmap(file.fileno(), PAGE)
    return os.preadv(device, [page], Device.OFFSET)
