"""Operations on files, and on the filesystem as a whole."""

from typing import ClassVar

import attrs

from conformance.interface.operations.base import BaseOperation


@attrs.frozen
class Create(BaseOperation):
    """Make an empty file."""

    name: ClassVar[str] = "create"
    file: int


@attrs.frozen
class Read(BaseOperation):
    """Read one page of a file by read(2). Answers its words, cut at end of file."""

    name: ClassVar[str] = "read"
    file: int = 0
    page: int = 0


@attrs.frozen
class Write(BaseOperation):
    """Write one word of a file by write(2); extends the file if need be."""

    name: ClassVar[str] = "write"
    file: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class Truncate(BaseOperation):
    """Set the size of a file, in words."""

    name: ClassVar[str] = "truncate"
    file: int = 0
    words: int = 0


@attrs.frozen
class PunchHole(BaseOperation):
    """Make pages of a file a hole; the size stays."""

    name: ClassVar[str] = "punch_hole"
    file: int = 0
    page: int = 0
    pages: int = 1


@attrs.frozen
class Clone(BaseOperation):
    """Make a new file that shares the content and the extents of another (reflink).

    The clone holds what the file held at one moment of the call, for ever.
    """

    name: ClassVar[str] = "clone"
    file: int = 0
    clone: int = 1
    """Handle of the file that is made."""


@attrs.frozen
class Dedupe(BaseOperation):
    """Share the extents of two ranges of files if their contents are equal.

    Answers how many pages are shared now; 0: the contents differ.
    """

    name: ClassVar[str] = "dedupe"
    file: int = 0
    page: int = 0
    other: int = 1
    other_page: int = 0
    pages: int = 1


@attrs.frozen
class Fsync(BaseOperation):
    """Make one file durable."""

    name: ClassVar[str] = "fsync"
    file: int = 0


@attrs.frozen
class Sync(BaseOperation):
    """Make every file durable."""

    name: ClassVar[str] = "sync"


@attrs.frozen
class Writeback(BaseOperation):
    """Write dirty pages of a file to clean memory; promises nothing, waits not."""

    name: ClassVar[str] = "writeback"
    file: int = 0


@attrs.frozen
class Evict(BaseOperation):
    """Drop the clean, unused pages of a file from the page cache."""

    name: ClassVar[str] = "evict"
    file: int = 0


@attrs.frozen
class Unlink(BaseOperation):
    """Remove the name of a file; its mappings and pins live on."""

    name: ClassVar[str] = "unlink"
    file: int = 0


@attrs.frozen
class Umount(BaseOperation):
    """Write everything once and unmount; mappings are torn down, pins live on."""

    name: ClassVar[str] = "umount"


@attrs.frozen
class Mount(BaseOperation):
    """Mount what was unmounted; file handles are valid again, mappings are not."""

    name: ClassVar[str] = "mount"


@attrs.frozen
class Freeze(BaseOperation):
    """Bring the filesystem to rest; page_mkwrite waits until `Thaw`."""

    name: ClassVar[str] = "freeze"


@attrs.frozen
class Thaw(BaseOperation):
    """End a freeze."""

    name: ClassVar[str] = "thaw"


@attrs.frozen
class FillDisk(BaseOperation):
    """Take all free blocks, so that new allocations find none."""

    name: ClassVar[str] = "fill_disk"


@attrs.frozen
class FreeDisk(BaseOperation):
    """Give back what `FillDisk` took."""

    name: ClassVar[str] = "free_disk"
