"""tmpfs: what was written beyond the end of a file is in it when the file is extended.

1. A file of one page is cut to half of it. 2. A CPU stores to the part of the page that
is beyond the end, through a shared mapping, which it may; or a device that was given
the page before writes there. 3. truncate(2) extends the file over the whole page again.
What has become part of the file should read as zeroes.
"""

import mmap
import os
import sys
from pathlib import Path

from lab import PAGE, Lab, Pin, Report
from lab.filesystem import run
from lab.process import shown

HALF = PAGE // 2


def main() -> int:
    """Run the cases on tmpfs, and the same as controls on the other filesystems."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("tmpfs", "ext4", "xfs", "btrfs"):
            folder = mounted(lab, name)
            is_control = name != "tmpfs"
            what = f"{name}: %s beyond the end, extend: second half"
            seen = after_store(folder / "stored")
            report.case(what % "CPU stores", seen, "0", is_control=is_control)
            seen = after_device(lab, folder / "pinned")
            report.case(what % "device writes", seen, "0", is_control=is_control)
    return report.end()


def mounted(lab: Lab, name: str) -> Path:
    """Mount a fresh filesystem."""
    if name != "tmpfs":
        return lab.filesystem(name).path
    folder = lab.folder / "tmpfs"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "none", str(folder))
    lab.at_end(lambda: run("umount", "-l", str(folder)))
    return folder


def after_store(path: Path) -> str:
    """Tell what the second half of the page holds after a store and an extension."""
    path.write_bytes(bytes([1]) * PAGE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), PAGE) as page:
        os.truncate(path, HALF)
        page[HALF:] = bytes([7]) * HALF
    return extended(path)


def after_device(lab: Lab, path: Path) -> str:
    """Tell the same after a device's write to the page, which was cut meanwhile."""
    path.write_bytes(bytes([1]) * PAGE)
    pin = Pin(lab, path)
    pin.wait()
    os.truncate(path, HALF)
    assert pin.complete(7) == "4096"
    return extended(path)


def extended(path: Path) -> str:
    """Extend the file to a whole page, and read what has become part of it."""
    os.truncate(path, PAGE)
    return shown(path.read_bytes()[HALF:])


if __name__ == "__main__":
    sys.exit(main())
