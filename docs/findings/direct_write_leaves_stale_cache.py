"""ext4, xfs: after a direct write, the cache and the disk of a file differ for good.

1. A file has 1 in its only page, on disk. 2. A write(2) with O_DIRECT of 5 to all of it
begins; its source is a mapped page that takes a while to come (from a slow FUSE file),
so that it stops behind the invalidation of the cache. 3. A CPU stores 7 to the last
byte of the page through a mapping; that brings the page, with 1, into the cache, and
makes it dirty. 4. The source comes; the write answers 4096. The first byte should be 5:
nobody else wrote to it. The kernel notices, and answers EIO to the next fsync.
"""

import mmap
import os
import sys
from pathlib import Path

from lab import PAGE, Child, Lab, Report, forget, fsync, kernel_log, store, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            log = kernel_log()
            seen, synced = collided(lab, name, stores=True)
            what = f"{name}: direct write, store meanwhile: first byte"
            report.case(what, seen, "5", is_control=name == "btrfs")
            report.tell(f"fsync afterwards: {synced}")
            words = ("invalidation", "collision", "PID")
            report.tell(*[one for one in log() if any(word in one for word in words)])
            seen, _ = collided(lab, name, stores=False)
            what = f"{name}: direct write, load meanwhile: first byte"
            report.case(what, seen, "5", is_control=True)
    return report.end()


def collided(lab: Lab, name: str, *, stores: bool) -> tuple[str, str]:
    """Tell what a file has after a direct write and a store or load, and fsync."""
    made = lab.filesystem(name)
    path = made.file(1)
    forget(path)
    writer = Child(lambda: write_directly(path, lab.device.path / "cached"))
    assert lab.device.wait(5.0), "the write has not come to its source"
    if stores:
        # A process of its own: it may have to wait for the write.
        other = Child(lambda: store(path, 7, slice(PAGE - 1, PAGE)))
    else:
        other = Child(lambda: value(path))
    ended = other.result(1.0)
    lab.device.write_pages(5)
    assert writer.result() == "4096"
    if ended is None:
        other.result()
    return str(path.read_bytes()[0]), fsync(path)


def write_directly(path: Path, source: Path) -> int:
    """Write a page past the cache, from a page that is not there yet."""
    slow = os.open(source, os.O_RDWR)
    with mmap.mmap(slow, PAGE) as page:
        file = os.open(path, os.O_RDWR | os.O_DIRECT)
        return os.pwritev(file, [page], 0)


if __name__ == "__main__":
    sys.exit(main())
