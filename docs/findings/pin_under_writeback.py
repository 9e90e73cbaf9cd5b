"""ext4, xfs: get_user_pages hands out a page that is under writeback.

1. A page is stored to and written back to a disk that stands still, so it stays under
writeback. 2. A device asks for the page, to write to it. The document of 2019 demands
that get_user_pages waits for the end of the writeback; here it does not. It does where
the disk demands stable pages, and always on btrfs.
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
    store,
)


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        for name in ("ext4", "xfs", "btrfs"):
            for is_stable in (False, True):
                seen = waits(lab, name, is_stable=is_stable)
                word = f", stable_writes={int(is_stable)}"
                is_control = is_stable or name == "btrfs"
                what = f"{name}{word}: pin under writeback waits?"
                report.case(what, seen, "True", is_control=is_control)
    return report.end()


def waits(lab: Lab, name: str, *, is_stable: bool) -> str:
    """Tell whether a pin waits while the page is under writeback."""
    made = lab.filesystem(name, stalls=True)
    made.set_stable_writes(wanted=is_stable)
    path = made.file(1)
    store(path, 2)
    frame = frame_of(path)
    with made.stalled():
        writer = Child(lambda: fsync(path))
        deadline = time.monotonic() + 10
        while not frame_has_flag(frame, WRITEBACK):
            assert time.monotonic() < deadline, "the page is not under writeback"
            time.sleep(0.01)
        pin = Pin(lab, path)
        assert frame_has_flag(frame, WRITEBACK), "the writeback has ended"
        does_wait = not pin.is_granted
    pin.wait()
    assert pin.complete(3) == "4096"
    assert writer.result() == "None"
    return str(does_wait)


if __name__ == "__main__":
    sys.exit(main())
