"""The filesystems that can be put under test, and how each is made and mounted.

Sizes are the smallest that the tools make; the images are sparse.
"""

import attrs

from conformance.interface import Feature


@attrs.frozen
class Filesystem:
    """What is particular to one filesystem."""

    name: str
    """Its name for mount(2), and in `linux:NAME`."""
    size_bytes: int
    make: tuple[str, ...]
    """Command that makes it; the image is the last argument. Empty: no disk."""
    package: str = ""
    """Where that command comes from."""
    options: str = ""
    """Options to mount it with."""
    copy_options: str = ""
    """Options to mount a copy of it with, while the original is mounted."""
    fixed: frozenset[Feature] = frozenset()
    offered: frozenset[Feature] = frozenset()


EXT4 = Filesystem(
    name="ext4",
    package="e2fsprogs",
    size_bytes=24 << 20,
    make=(
        *("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-N", "64"),
        *("-O", "^resize_inode", "-J", "size=4"),
        *("-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
    ),
    options="commit=300",
    offered=frozenset({Feature.STABLE_WRITES}),
)
XFS = Filesystem(
    name="xfs",
    package="xfsprogs",
    size_bytes=300 << 20,
    make=("mkfs.xfs", "-q", "-K", "-s", "size=4096"),
    options="nouuid",
    copy_options="nouuid",
    offered=frozenset({Feature.STABLE_WRITES}),
)
BTRFS = Filesystem(
    name="btrfs",
    package="btrfs-progs",
    size_bytes=128 << 20,
    make=("mkfs.btrfs", "-q", "-K", "-n", "4096", "-m", "single", "-d", "single"),
    options="nodiscard,commit=300",
    fixed=frozenset({Feature.CHECKSUMS, Feature.COPY_ON_WRITE}),
)
TMPFS = Filesystem(
    name="tmpfs",
    size_bytes=4 << 20,
    make=(),
    fixed=frozenset({Feature.NO_DIRTY_TRACKING}),
)
FILESYSTEMS = {system.name: system for system in (EXT4, XFS, BTRFS, TMPFS)}
