"""btrfs: on a full filesystem, what a device wrote is lost after fsync answered 0.

1. A file has 1 in its only page, on disk. 2. A device is given the page. 3. fsync.
4. All free space is taken. 5. The device writes 7 and gives the page back; read(2)
answers 4096. 6. fsync answers 0; a second one ENOSPC, a third 0 again. 7. The page is
dropped from the cache. The file should have 7. A CPU that stores to the page in step 5
gets SIGBUS instead: nothing is promised to it.
"""

import os
import sys
import time
from pathlib import Path

from lab import PAGE, Child, Lab, Pin, Report, forget, fsync, store, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("btrfs", "ext4", "xfs"):
            fsyncs, seen = written(lab, name, is_full=True)
            what = f"{name}: pin, fsync, full, device writes, fsync"
            is_control = name != "btrfs"
            report.case(f"{what}, drop cache", seen, "7", is_control=is_control)
            report.tell(f"fsync answered, in this order: {', '.join(fsyncs)}")
        _, seen = written(lab, "btrfs", is_full=False)
        what = "btrfs: pin, fsync, device writes, fsync, drop cache"
        report.case(what, seen, "7", is_control=True)
        made = lab.filesystem("btrfs")
        path = made.file(1)
        fill(made.path / "fill")
        child = Child(lambda: store(path, 7))
        what = "btrfs: full, CPU stores: answer"
        report.case(what, child.result() or "signal", "signal", is_control=True)
    return report.end()


def written(lab: Lab, name: str, *, is_full: bool) -> tuple[list[str], str]:
    """Tell what each fsync answers, and what the file has in the end."""
    made = lab.filesystem(name)
    path = made.file(1)
    pin = Pin(lab, path)
    assert fsync(path) == "None"
    if is_full:
        fill(made.path / "fill")
    assert pin.complete(7) == "4096"
    fsyncs = []
    for _ in range(3):
        fsyncs.append({"None": "0"}.get(answer := fsync(path), answer))
        time.sleep(0.5)
    forget(path)
    return fsyncs, value(path)


def fill(path: Path) -> None:
    """Take all free space."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    offset, step = 0, 1 << 24
    while step >= PAGE:
        try:
            os.posix_fallocate(file, offset, step)
            offset += step
        except OSError:
            step //= 2
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
