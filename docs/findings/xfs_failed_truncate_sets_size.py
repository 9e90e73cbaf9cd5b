"""xfs: a truncate that extends a file and answers EIO has set the new size.

No device and no pin. 1. A file of one page is on disk. 2. write(2) appends a page.
3. truncate(2) makes the file longer yet. On the way xfs writes what was appended; the
disk fails that write once, and truncate answers EIO. 4. The file should be as long as
before: two pages.
"""

import os
import sys
from pathlib import Path

from lab import PAGE, Filesystem, Lab, Report, fsync, outcome

PAGES = 3
"""As long as the file is to become."""


def main() -> int:
    """Run the case and its controls."""
    report = Report(__doc__)
    with Lab() as lab:
        made = appended_to(lab, "xfs", fails=True)
        report.case(
            "xfs: append, extend: answer", extended(made), "EIO", is_control=True
        )
        report.case("xfs: append, extend, EIO: pages", pages(made), "2")
        synced = [fsync(file(made)), fsync(file(made))]
        remount(made)
        report.tell(f"fsync then answered {', '.join(synced)}")
        report.tell(f"pages after umount and mount: {pages(made)}")
        for name, fails in CONTROLS:
            made = appended_to(lab, name, fails=fails)
            what = f"{name}: append, extend{', disk fails once' * fails}"
            report.case(f"{what}: answer", extended(made), "None", is_control=True)
            report.case(f"{what}: pages", pages(made), "3", is_control=True)
    return report.end()


CONTROLS = (
    ("xfs", False),
    ("ext4", True),
    ("btrfs", True),
)


def appended_to(lab: Lab, name: str, *, fails: bool) -> Filesystem:
    """Make a file of one page, append one; tell the disk to fail the write of that."""
    made = lab.filesystem(name, faulty=True)
    with made.file(1).open("ab", buffering=0) as file:
        file.write(bytes([9]) * PAGE)
    if fails:
        made.disk.fail_next(9)
    return made


def file(made: Filesystem) -> Path:
    """Return where the file is."""
    return made.path / "file"


def extended(made: Filesystem) -> str:
    """Make the file longer; return what truncate(2) answered."""
    return outcome(lambda: os.truncate(file(made), PAGES * PAGE))


def pages(made: Filesystem) -> str:
    """Tell how long the file is."""
    return f"{file(made).stat().st_size / PAGE:g}"


def remount(made: Filesystem) -> None:
    """Unmount it and mount it again."""
    made.unmount()
    made.mount(made.folder / "disk" / "image", made.path)


if __name__ == "__main__":
    sys.exit(main())
