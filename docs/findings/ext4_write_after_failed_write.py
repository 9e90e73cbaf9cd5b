"""ext4: after a failed write, what is written next is lost, though fsync answers 0.

No device and no pin. 1. A file of one page that has no block yet. 2. The page is
written to; fsync; the disk fails that write once with EIO, and fsync answers EIO.
3. The page is written to again, with 3. 4. fsync answers 0. 5. Power cut; or the page
is dropped from the cache. The file should have 3.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from lab import Lab, Report, forget, fsync, store, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            for how, write in (("mmap", store), ("write(2)", write_page)):
                seen, cut = rewritten(lab, name, write)
                what = f"{name}, {how}: write, EIO, write 3, fsync"
                is_control = name != "ext4"
                report.case(f"{what}, drop cache", seen, "3", is_control=is_control)
                report.case(f"{what}, power cut", cut, "3", is_control=is_control)
        seen, cut = rewritten(lab, "ext4", store, fails=False)
        what = "ext4, mmap: write, fsync, write 3, fsync"
        report.case(f"{what}, drop cache", seen, "3", is_control=True)
        report.case(f"{what}, power cut", cut, "3", is_control=True)
        seen, cut = rewritten(lab, "ext4", store, has_block=True)
        what = "ext4, mmap, written before: write, EIO, write 3, fsync"
        report.case(f"{what}, cut", cut, "3", is_control=True)
    return report.end()


def write_page(path: Path, value: int) -> None:
    """Write the first page of a file with write(2)."""
    with path.open("r+b", buffering=0) as file:
        file.write(bytes([value]) * 4096)


def rewritten(
    lab: Lab,
    name: str,
    write: Callable[[Path, int], None],
    *,
    fails: bool = True,
    has_block: bool = False,
) -> tuple[str, str]:
    """Tell what a file has after a failed write and a good one, and on the disk."""
    made = lab.filesystem(name, faulty=True)
    path = made.file(1 if has_block else 0)
    if not has_block:
        os.truncate(path, 0)
        os.truncate(path, 4096)
        assert fsync(path) == "None"
    write(path, 9)
    if fails:
        made.disk.fail_next(9)
    assert fsync(path) == ("EIO" if fails else "None")
    write(path, 3)
    assert fsync(path) == "None"
    made.power_cut()
    forget(path)
    return value(path), made.after_power_cut()


if __name__ == "__main__":
    sys.exit(main())
