"""btrfs: a device that writes to a page being written back makes the file unreadable.

1. A file has 1 in its only page, on disk; a 2 is stored. 2. A device is given the page.
3. fsync begins; the disk stands still, so that the block is queued, its checksum
computed and its content not yet transferred. 4. The device writes 7 and gives the page
back. 5. The disk goes on; fsync answers 0. 6. Power cut. The file should have 2 or 7.
"""

import sys
import time

from lab import (
    WRITEBACK,
    Child,
    Lab,
    Pin,
    Report,
    frame_has_flag,
    frame_of,
    fsync,
    kernel_log,
    store,
)


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("btrfs", "ext4", "xfs"):
            log = kernel_log()
            seen = after_cut(lab, name)
            what = f"{name}: pin, fsync queued, device writes, power cut"
            should, is_control = ("2 or 7", False) if name == "btrfs" else ("7", True)
            report.case(what, seen, should, is_control=is_control)
            report.tell(*[line for line in log() if "csum" in line][:2])
        seen = after_cut(lab, "btrfs", during=False)
        what = "btrfs: pin, device writes, fsync queued, power cut"
        report.case(what, seen, "7", is_control=True)
    return report.end()


def after_cut(lab: Lab, name: str, *, during: bool = True) -> str:
    """Tell what a power cut leaves when the device writes during the writeback."""
    made = lab.filesystem(name, stalls=True)
    path = made.file(1)
    store(path, 2)
    pin = Pin(lab, path)
    if not during:
        assert pin.complete(7) == "4096"
    frame = frame_of(path)
    with made.stalled():
        writer = Child(lambda: fsync(path))
        deadline = time.monotonic() + 10
        while not frame_has_flag(frame, WRITEBACK):
            assert time.monotonic() < deadline, "the page is not under writeback"
            time.sleep(0.01)
        # The checksum is computed after the page is marked, by the same thread.
        time.sleep(0.5)
        if during:
            assert pin.complete(7) == "4096"
    assert writer.result() == "None"
    made.power_cut()
    return made.after_power_cut()


if __name__ == "__main__":
    sys.exit(main())
