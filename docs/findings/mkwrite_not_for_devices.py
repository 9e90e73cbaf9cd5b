"""All: a device writes to a clean page, and page_mkwrite is not called.

1. A file has 1 in its only page, on disk. 2. A device is given the page. 3. fsync,
which cleans the page and write-protects it. 4. The device writes 7 and gives the page
back. The content of the file has changed, and the page is dirty; that page_mkwrite was
called would show in the modification time, as it does for a CPU's store.
"""

import sys
import time

from lab import DIRTY, Lab, Pin, Report, fsync, has_flag, store, value


def main() -> int:
    """Run the case and its control on each filesystem."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            what = f"{name}: %s writes to a clean page: mtime moves?"
            for by_device in (True, False):
                who = "device" if by_device else "CPU"
                seen = moves(lab, name, by_device=by_device)
                report.case(what % who, seen, "True", is_control=not by_device)
    return report.end()


def moves(lab: Lab, name: str, *, by_device: bool) -> str:
    """Tell whether a write to a clean page moves the modification time."""
    path = lab.filesystem(name).file(1)
    pin = Pin(lab, path)
    assert fsync(path) == "None"
    assert not has_flag(path, DIRTY), "fsync has not cleaned the page"
    before = path.stat().st_mtime_ns
    time.sleep(0.1)
    if by_device:
        assert pin.complete(7) == "4096"
    else:
        store(path, 7)
    assert value(path) == "7"
    assert has_flag(path, DIRTY)
    moved = path.stat().st_mtime_ns != before
    if not by_device:
        pin.complete(7)
    return str(moved)


if __name__ == "__main__":
    sys.exit(main())
