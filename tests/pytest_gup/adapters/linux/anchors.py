"""What was known of the running kernel before the adapter was finished.

Measured by hand on Linux 6.18 (the case of btrfs and STB-PINNED on 6.12, too). The
rest of what the suite says about the kernel is the kernel's own.
"""

HELD, VIOLATED, UNSEEN = "held", "violated", "not-observable"

FILESYSTEMS = ("ext4", "xfs", "btrfs", "tmpfs")

VERDICTS = {
    "MKW-EVERY": (HELD, HELD, HELD, UNSEEN),
    "MKW-DEVICE": (VIOLATED, VIOLATED, VIOLATED, UNSEEN),
    "MKW-MTIME": (HELD, HELD, HELD, None),
    "MKW-FAIL": (HELD, HELD, HELD, None),
    "MKW-FREEZE": (HELD, HELD, HELD, UNSEEN),
    "GWB-NEVER": (VIOLATED, VIOLATED, HELD, UNSEEN),
    "STB-PINNED": (UNSEEN, UNSEEN, VIOLATED, UNSEEN),
    "REF-BALANCE": (HELD, HELD, HELD, HELD),
    "CNT-MODERN": (HELD, HELD, HELD, HELD),
    "LT-REFUSE": (HELD, HELD, HELD, None),
}
"""For each rule the verdict on each of `FILESYSTEMS`, the same in both promises.

STB-PINNED needs data checksums to be seen, which ext4 and xfs do not have; tmpfs has
no disk, and nothing to track. Without stable writes ext4 and xfs hand out pages under
writeback. None: nothing was measured.
"""


def verdict(rule, filesystem):
    """Return what is known of a rule on a filesystem; None: nothing."""
    return VERDICTS[rule][FILESYSTEMS.index(filesystem)]
