"""btrfs: fsync answers 0 before what a device wrote is on disk.

1. A file has 1 in its only page, on disk. 2. A device is given the page (a read(2)
into a shared mapping of it, in flight). 3. fsync, which cleans the page. 4. The device
writes 7; the kernel marks the page dirty and gives it back; read(2) answers 4096.
5. fsync answers 0. 6. Power cut. The file should have 7.

It depends on whether a kernel worker is faster than fsync, so each case is tried
several times; shown is everything that was seen.
"""

import sys
import time

from lab import DIRTY, Lab, Pin, Report, fsync, has_flag, store

ATTEMPTS = 10


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("btrfs", "ext4", "xfs"):
            seen, is_dirty = all_seen(lab, name, fsyncs=1)
            what = f"{name}: pin, fsync, device writes, fsync"
            is_control = name != "btrfs"
            report.case(f"{what}, power cut", seen, "7", is_control=is_control)
            report.case(
                f"{what}: page dirty?", is_dirty, "False", is_control=is_control
            )
        seen, _ = all_seen(lab, "btrfs", fsyncs=2)
        what = "btrfs: pin, fsync, device writes, fsync, 0.5 s, fsync, cut"
        report.case(what, seen, "7", is_control=True)
        seen, _ = all_seen(lab, "btrfs", fsyncs=1, cleans=False)
        what = "btrfs: pin, device writes, fsync, power cut"
        report.case(what, seen, "7", is_control=True)
        seen, _ = all_seen(lab, "btrfs", fsyncs=1, by_device=False)
        what = "btrfs: fsync, CPU writes, fsync, power cut"
        report.case(what, seen, "7", is_control=True)
    return report.end()


def all_seen(
    lab: Lab, name: str, *, fsyncs: int, cleans: bool = True, by_device: bool = True
) -> tuple[str, str]:
    """Try it several times; tell everything that was seen."""
    seen = [
        after_cut(lab, name, fsyncs=fsyncs, cleans=cleans, by_device=by_device)
        for _ in range(ATTEMPTS)
    ]
    cuts, dirty = zip(*seen, strict=True)
    return ",".join(sorted(set(cuts))), ",".join(sorted(set(dirty)))


def after_cut(
    lab: Lab, name: str, *, fsyncs: int, cleans: bool = True, by_device: bool = True
) -> tuple[str, str]:
    """Tell what a power cut leaves, and whether the page was dirty after fsync."""
    made = lab.filesystem(name)
    path = made.file(1)
    pin = Pin(lab, path) if by_device else None
    if cleans:
        assert fsync(path) == "None"
    if pin is None:
        store(path, 7)
    else:
        assert pin.complete(7) == "4096"
    assert fsync(path) == "None"
    is_dirty = has_flag(path, DIRTY)
    for _ in range(fsyncs - 1):
        time.sleep(0.5)
        assert fsync(path) == "None"
    made.power_cut()
    return made.after_power_cut(), str(is_dirty)


if __name__ == "__main__":
    sys.exit(main())
