"""ext4, xfs, btrfs: writeback that is to clean memory writes a pinned page.

1. A file has 1 in its only page. 2. A device is given the page, which is dirty then.
3. sync_file_range(2) starts writing dirty pages, without the promise of fsync
(WB_SYNC_NONE). The page is written and called clean, though the device may write to it
at any moment. 4. The device writes 7 and gives the page back, which is dirty again and
has to be written once more.
"""

import os
import sys
from pathlib import Path

from lab import DIRTY, Lab, Pin, Report, fsync, has_flag, store
from lab.process import LIBC

WAIT_BEFORE, WRITE = 1, 2
"""Flags of sync_file_range(2). With all three of them it would be WB_SYNC_ALL."""


def main() -> int:
    """Run the case and its control on each filesystem."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            seen = dirty_when_pinned(lab, name)
            report.case(f"{name}: pin, clean memory: still dirty?", seen, "True")
            seen = dirty_when_stored_to(lab, name)
            what = f"{name}: CPU stores, clean memory: still dirty?"
            report.case(what, seen, "False", is_control=True)
    return report.end()


def dirty_when_pinned(lab: Lab, name: str) -> str:
    """Tell whether a pinned page is dirty after memory was cleaned."""
    path = lab.filesystem(name).file(1)
    pin = Pin(lab, path)
    pin.wait()
    assert has_flag(path, DIRTY), "the page is not dirty, though it is pinned"
    clean_memory(path)
    seen = has_flag(path, DIRTY)
    assert pin.complete(7) == "4096"
    assert has_flag(path, DIRTY)
    assert fsync(path) == "None"
    return str(seen)


def dirty_when_stored_to(lab: Lab, name: str) -> str:
    """Tell whether a page that a CPU stored to is dirty after memory was cleaned."""
    path = lab.filesystem(name).file(1)
    store(path, 7)
    assert has_flag(path, DIRTY), "the page is not dirty, though it was stored to"
    clean_memory(path)
    return str(has_flag(path, DIRTY))


def clean_memory(path: Path) -> None:
    """Start writing the dirty pages of a file, and wait for what was started."""
    file = os.open(path, os.O_RDWR)
    for flags in (WRITE, WAIT_BEFORE):
        assert LIBC.sync_file_range(file, 0, 0, flags) == 0
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
