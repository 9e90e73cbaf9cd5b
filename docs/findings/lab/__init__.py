"""What the scripts in this folder share: filesystems on images, and a slow device.

Python's standard library, mkfs, mount, losetup and cp; nothing of pytest-gup.

* A filesystem is made by mkfs with its defaults in a sparse file and mounted with
  `mount -o loop`. A power cut is a copy of that file as it stands.
* The device is a FUSE file, opened for direct I/O, that answers a read(2) when it is
  told to. Until then the kernel keeps the pages of the reader's buffer pinned. With
  `PIN=block` in the environment the reader reads, with O_DIRECT, from a loop device
  over that file instead: then it is the block layer that pins, and not FUSE.
* A disk stalls when the filesystem that holds its image is frozen (fsfreeze).
* A faulty disk is a loop device over a FUSE file that answers a write with EIO.

Everything is done in a mount namespace of its own and in one temporary folder.

Interface:
  * `with Lab() as lab`, then `lab.filesystem(name)`.
  * `Pin(lab, path)` is a read in flight, `pin.complete(value)` its end.
  * `Report` collects what was seen, and ends the script: 0 if it was confirmed.
"""

from lab.filesystem import Filesystem, Lab
from lab.process import PAGE, Child, outcome
from lab.report import Report, kernel_log
from lab.steps import (
    DIRTY,
    PRIVATE,
    WRITEBACK,
    Pin,
    clone,
    dedupe,
    forget,
    frame_has_flag,
    frame_of,
    fsync,
    has_flag,
    store,
    value,
)

__all__ = [
    "DIRTY",
    "PAGE",
    "PRIVATE",
    "WRITEBACK",
    "Child",
    "Filesystem",
    "Lab",
    "Pin",
    "Report",
    "clone",
    "dedupe",
    "forget",
    "frame_has_flag",
    "frame_of",
    "fsync",
    "has_flag",
    "kernel_log",
    "outcome",
    "store",
    "value",
]
