"""The running Linux kernel as an implementation under test.

`boot.py` holds the factories behind `--gup-impl=linux:ext4` (xfs, btrfs, tmpfs). Root,
FUSE and loop devices are needed; without them the factories say what is missing.
"""
