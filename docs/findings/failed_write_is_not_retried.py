"""All: after a failed write the page is clean; a second fsync answers 0 (known).

1. A file has 1 in its only page, on disk. 2. 9 is stored; fsync; the disk fails that
write once with EIO, and fsync answers EIO. 3. A second fsync answers 0. 4. Power cut.
"""

import sys

from lab import DIRTY, Lab, Report, fsync, has_flag, store


def main() -> int:
    """Run the case and its control on each filesystem."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            for fails in (True, False):
                is_dirty, seen = after_cut(lab, name, fails=fails)
                word = "EIO" if fails else "fsync"
                what = f"{name}: store 9, {word}, fsync"
                control = not fails
                report.case(f"{what}, power cut", seen, "9", is_control=control)
                if fails:
                    report.case(f"{what}: dirty after EIO?", is_dirty, "True")
    return report.end()


def after_cut(lab: Lab, name: str, *, fails: bool) -> tuple[str, str]:
    """Tell whether the page is dirty after the first fsync, and what the disk has."""
    made = lab.filesystem(name, faulty=True)
    path = made.file(1)
    store(path, 9)
    if fails:
        made.disk.fail_next(9)
    assert fsync(path) == ("EIO" if fails else "None")
    is_dirty = has_flag(path, DIRTY)
    assert fsync(path) == "None"
    made.power_cut()
    return str(is_dirty), made.after_power_cut()


if __name__ == "__main__":
    sys.exit(main())
