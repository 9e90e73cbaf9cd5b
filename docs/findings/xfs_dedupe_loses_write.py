"""xfs: what a device writes to a page is lost if the page was deduplicated meanwhile.

1. Two files have 1 in their only page, on disk. 2. A device is given the page of one.
3. FIDEDUPERANGE shares the blocks of both files; it answers that they were equal.
4. The device writes 2 and gives the page back; read(2) answers 4096. The file that the
device was given a page of should have 2, before any writeback.
"""

import sys

from lab import Lab, Pin, Report, dedupe, fsync, store, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        what = "%s: pin, dedupe, device writes"
        for name in ("xfs", "btrfs"):
            is_control = name != "xfs"
            seen, cut = deduped(lab, name)
            report.case(what % name, seen, "2", is_control=is_control)
            if name == "xfs":
                report.case(f"{what % name}, fsync, power cut", cut, "2")
        seen, cut = deduped(lab, "xfs", dedupes=False)
        what = "xfs: pin, device writes"
        report.case(what, seen, "2", is_control=True)
        report.case(f"{what}, fsync, power cut", cut, "2", is_control=True)
        seen, cut = deduped(lab, "xfs", by_device=False)
        what = "xfs: dedupe, CPU writes"
        report.case(what, seen, "2", is_control=True)
        report.case(f"{what}, fsync, power cut", cut, "2", is_control=True)
    return report.end()


def deduped(
    lab: Lab,
    name: str,
    *,
    dedupes: bool = True,
    by_device: bool = True,
) -> tuple[str, str]:
    """Tell what the file has, and what it has after fsync and a power cut."""
    made = lab.filesystem(name)
    source, path = made.file(1, "source"), made.file(1)
    pin = Pin(lab, path) if by_device else None
    if dedupes:
        assert dedupe(source, path) == "4096 bytes shared"
    if pin is None:
        store(path, 2)
    else:
        assert pin.complete(2) == "4096"
    seen = value(path)
    assert fsync(path) == "None"
    made.power_cut()
    return seen, made.after_power_cut()


if __name__ == "__main__":
    sys.exit(main())
