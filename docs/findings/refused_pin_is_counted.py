"""ext4, xfs, btrfs: a long-term pin that is refused is counted as acquired.

1. A page of a shared mapping of a file is stored to, so that the page table lets it be
written to. 2. It is registered as a buffer of an io_uring, for writing and for long,
which is refused with EFAULT. The counter nr_foll_pin_acquired has moved (and
nr_foll_pin_released as well). It does not where nothing was stored to before.
"""

import ctypes
import mmap
import os
import struct
import sys
from pathlib import Path

from lab import PAGE, Lab, Report, outcome

SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER = 425, 427
LIBC = ctypes.CDLL(None, use_errno=True)
ATTEMPTS = 5


def main() -> int:
    """Run the case and its control on each filesystem."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            for stores in (True, False):
                seen = least(lab.filesystem(name).file(1), stores=stores)
                word = "store, then register" if stores else "register"
                what = f"{name}: {word}: pins acquired"
                report.case(what, seen, "0", is_control=not stores)
    return report.end()


def least(path: Path, *, stores: bool) -> str:
    """Tell the least number of several attempts: others may pin something, too."""
    return min(acquired(path, stores=stores) for _ in range(ATTEMPTS))


def acquired(path: Path, *, stores: bool) -> str:
    """Tell how far the counter moves when a long-term pin is refused."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), PAGE) as page:
        if stores:
            page[:1] = b"\2"
        holder = ctypes.c_char.from_buffer(page)
        address = ctypes.addressof(holder)
        ring = LIBC.syscall(SYS_IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
        before = counter()
        answer = outcome(lambda: register(ring, address))
        after = counter()
        os.close(ring)
        del holder
    assert answer == "EFAULT", f"registering the buffer answered {answer}"
    return str(after - before)


def register(ring: int, address: int) -> None:
    """Register a page as a buffer."""
    vector = struct.pack("=QQ", address, PAGE)
    if LIBC.syscall(SYS_IO_URING_REGISTER, ring, 0, vector, 1):
        raise OSError(ctypes.get_errno(), "io_uring_register")


def counter() -> int:
    """Read how many pins were acquired, on all processors."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    lines = Path("/proc/vmstat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["nr_foll_pin_acquired"])


if __name__ == "__main__":
    sys.exit(main())
