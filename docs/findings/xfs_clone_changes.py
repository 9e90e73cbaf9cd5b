"""xfs: what a device writes to a file gets into a clone made before.

1. A file has 1 in its only page, on disk. 2. A device is given the page. 3. The file is
cloned (FICLONE), which answers 0. 4. The device writes 2 and gives the page back.
5. fsync of the file. The file should have 2, and the clone 1.
"""

import sys

from lab import Lab, Pin, Report, clone, forget, fsync, store, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        seen, cut = cloned(lab, "xfs", "device")
        what = "xfs: pin, clone, device writes, fsync"
        report.case(f"{what}: clone", seen, "1")
        report.case(f"{what}, power cut: clone", cut, "1")
        seen, cut = cloned(lab, "xfs", "cpu")
        what = "xfs: clone, CPU writes, fsync"
        report.case(f"{what}: clone", seen, "1", is_control=True)
        report.case(f"{what}, power cut: clone", cut, "1", is_control=True)
        seen, cut = cloned(lab, "xfs", "device before")
        what = "xfs: pin, device writes, store 1, clone, fsync"
        report.case(f"{what}: clone", seen, "1", is_control=True)
        seen, cut = cloned(lab, "btrfs", "device")
        what = "btrfs: pin, clone, device writes, fsync"
        report.case(f"{what}: clone", seen, "1", is_control=True)
        report.case(f"{what}, power cut: clone", cut, "1", is_control=True)
    return report.end()


def cloned(lab: Lab, name: str, how: str) -> tuple[str, str]:
    """Tell what the clone has, and what it has after a power cut."""
    made = lab.filesystem(name)
    path = made.file(1)
    pin = None if how == "cpu" else Pin(lab, path)
    if pin is not None and how == "device before":
        assert pin.complete(2) == "4096"
        store(path, 1)
    copy = clone(path, "clone")
    assert fsync(copy) == "None"
    if how != "device before":
        if pin is None:
            store(path, 2)
        else:
            assert pin.complete(2) == "4096"
        assert value(path) == "2"
    assert fsync(path) == "None"
    made.power_cut()
    forget(copy)
    return value(copy), made.after_power_cut("clone")


if __name__ == "__main__":
    sys.exit(main())
