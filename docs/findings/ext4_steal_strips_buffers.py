"""ext4: a pinned page loses its buffers to splice(2), and what a device writes is lost.

1. A file has 1 in its only page, on disk. 2. A device is given the page. 3. fsync,
which cleans the page. 4. The page is spliced into a pipe and from there, with
SPLICE_F_MOVE, to a FUSE server's answer: the kernel tries to take the page out of the
page cache, and fails, for it is pinned. 5. The device writes 7 and gives the page back;
read(2) answers 4096. 6. fsync answers 0. 7. Power cut. The file should have 7.
"""

import sys

from lab import PRIVATE, Lab, Pin, Report, fsync, has_flag, kernel_log, value


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name, steals in (("ext4", True), ("ext4", False), ("xfs", True)):
            log = kernel_log()
            seen = stolen(lab, name, steals=steals)
            word = "splice, " if steals else ""
            what = f"{name}: pin, fsync, {word}device writes, fsync"
            is_control = name != "ext4" or not steals
            if name == "ext4":
                report.case(f"{what}: buffers?", seen[0], "True", is_control=is_control)
            report.case(f"{what}, power cut", seen[1], "7", is_control=is_control)
            if not is_control:
                report.tell(
                    *(line for line in log() if "buffers" in line or "lost" in line)
                )
        made = lab.filesystem("ext4")
        path = made.file(1)
        lab.device.steal(path)
        what = "ext4: splice of a page that is not pinned"
        report.case(what, value(path), "1", is_control=True)
    return report.end()


def stolen(lab: Lab, name: str, *, steals: bool) -> tuple[str, str]:
    """Tell: had it buffers before the device wrote, and what a power cut leaves."""
    made = lab.filesystem(name)
    path = made.file(1)
    pin = Pin(lab, path)
    assert fsync(path) == "None"
    if steals:
        lab.device.steal(path)
    has_buffers = str(has_flag(path, PRIVATE))
    assert pin.complete(7) == "4096"
    assert value(path) == "7"
    assert fsync(path) == "None"
    made.power_cut()
    return has_buffers, made.after_power_cut()


if __name__ == "__main__":
    sys.exit(main())
