"""What was known of the running kernel before the adapter was finished.

Measured by hand on Linux 6.18 (the case of btrfs and STB-PINNED on 6.12, too). The
rest of what the suite says about the kernel is the kernel's own.
"""

from conformance.verdicts import Promise

HELD, VIOLATED, UNSEEN = "held", "violated", "not-observable"

FILESYSTEMS = ("ext4", "xfs", "btrfs", "tmpfs")

VERDICTS: dict[str, tuple[str | None, ...]] = {
    "MKW-EVERY": (HELD, HELD, HELD, UNSEEN),
    "MKW-DEVICE": (VIOLATED, VIOLATED, VIOLATED, UNSEEN),
    "MKW-MTIME": (HELD, HELD, HELD, None),
    "MKW-FAIL": (HELD, HELD, HELD, None),
    "MKW-FREEZE": (HELD, HELD, HELD, UNSEEN),
    "GWB-NEVER": (VIOLATED, VIOLATED, HELD, UNSEEN),
    "STB-CPU": (HELD, HELD, HELD, UNSEEN),
    "STB-PINNED": (UNSEEN, UNSEEN, VIOLATED, UNSEEN),
    "REF-BALANCE": (HELD, HELD, HELD, HELD),
    "CNT-MODERN": (HELD, HELD, HELD, HELD),
    "LT-REFUSE": (HELD, HELD, HELD, None),
}
"""For each rule the verdict on each of `FILESYSTEMS`, judged by the document.

STB-PINNED needs data checksums to be seen, which ext4 and xfs do not have; tmpfs has
no disk, and nothing to track. Without stable writes ext4 and xfs hand out pages under
writeback. None: nothing was measured.
"""


MAINLINE = {("GWB-NEVER", "ext4"): HELD, ("GWB-NEVER", "xfs"): HELD}
"""Where the verdict differs when judged by what mainline promises: it promises to wait
for writeback only where content must be stable."""


def verdict(rule: str, filesystem: str, promise: Promise) -> str | None:
    """Return what is known of a rule on a filesystem; None: nothing."""
    known = VERDICTS[rule][FILESYSTEMS.index(filesystem)]
    if promise is Promise.MAINLINE:
        return MAINLINE.get((rule, filesystem), known)
    return known
