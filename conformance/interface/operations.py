"""The vocabulary: one frozen class for each operation.

An operation is data. A program is a list of them; it is drawn, run, printed,
stored, replayed and shrunk as such. A stack implements an operation as a method of
the operation's `name` that takes the fields as keyword arguments; fields that have
their default value are left out when the method does not accept them, so a stack
offers `get_user_pages` without `longterm` by not having that parameter.

Handles (`process`, `file`, `mapping`, `pin`) are small integers chosen by the
program, never taken from an answer. A mapping is named by its process *and* its
number. Boot provides process 0, file 0 (`Geometry.file_pages` pages, all holes,
its creation durable) and mapping 0 of process 0: the whole of file 0, shared and
writable. A process begins with its first `Mmap` or with a `Fork`.

Every program is legal: an operation on a handle that does not exist, or that would
create one that exists, is skipped (see `conformance/engines/handles.py`).

`page` counts pages from the beginning of a file, of a mapping, or of a pin,
whichever the operation speaks of; `word` counts words from the beginning of the
page. Sizes of files are in words.
"""

from typing import ClassVar

import attrs

from conformance.interface.values import HoldPoint


@attrs.frozen
class _Operation:
    """What all operations have in common."""

    name: ClassVar[str]
    """The name of the stack's method."""


# --- file ---------------------------------------------------------------------


@attrs.frozen
class Create(_Operation):
    """Make an empty file."""

    name: ClassVar[str] = "create"
    file: int


@attrs.frozen
class Read(_Operation):
    """Read one page of a file by read(2). Answers its words, cut at end of file."""

    name: ClassVar[str] = "read"
    file: int = 0
    page: int = 0


@attrs.frozen
class Write(_Operation):
    """Write one word of a file by write(2); extends the file if need be."""

    name: ClassVar[str] = "write"
    file: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class Truncate(_Operation):
    """Set the size of a file, in words."""

    name: ClassVar[str] = "truncate"
    file: int = 0
    words: int = 0


@attrs.frozen
class PunchHole(_Operation):
    """Make pages of a file a hole; the size stays."""

    name: ClassVar[str] = "punch_hole"
    file: int = 0
    page: int = 0
    pages: int = 1


@attrs.frozen
class Fsync(_Operation):
    """Make one file durable."""

    name: ClassVar[str] = "fsync"
    file: int = 0


@attrs.frozen
class Sync(_Operation):
    """Make every file durable."""

    name: ClassVar[str] = "sync"


@attrs.frozen
class Writeback(_Operation):
    """Write dirty pages of a file to clean memory; promises nothing, waits not."""

    name: ClassVar[str] = "writeback"
    file: int = 0


@attrs.frozen
class Evict(_Operation):
    """Drop the clean, unused pages of a file from the page cache."""

    name: ClassVar[str] = "evict"
    file: int = 0


@attrs.frozen
class Unlink(_Operation):
    """Remove the name of a file; its mappings and pins live on."""

    name: ClassVar[str] = "unlink"
    file: int = 0


@attrs.frozen
class Umount(_Operation):
    """Write everything once and unmount; mappings are torn down, pins live on."""

    name: ClassVar[str] = "umount"


@attrs.frozen
class Mount(_Operation):
    """Mount what was unmounted; file handles are valid again, mappings are not."""

    name: ClassVar[str] = "mount"


@attrs.frozen
class Freeze(_Operation):
    """Bring the filesystem to rest; page_mkwrite waits until `Thaw`."""

    name: ClassVar[str] = "freeze"


@attrs.frozen
class Thaw(_Operation):
    """End a freeze."""

    name: ClassVar[str] = "thaw"


@attrs.frozen
class FillDisk(_Operation):
    """Take all free blocks, so that new allocations find none."""

    name: ClassVar[str] = "fill_disk"


@attrs.frozen
class FreeDisk(_Operation):
    """Give back what `FillDisk` took."""

    name: ClassVar[str] = "free_disk"


# --- memory -------------------------------------------------------------------


@attrs.frozen
class Mmap(_Operation):
    """Map pages of a file (or anonymous memory) into a process."""

    name: ClassVar[str] = "mmap"
    process: int = 0
    mapping: int = 1
    file: int | None = 0
    """None: anonymous memory."""
    page: int = 0
    """First page of the file."""
    pages: int = 4
    shared: bool = True
    writable: bool = True


@attrs.frozen
class Munmap(_Operation):
    """Remove a mapping."""

    name: ClassVar[str] = "munmap"
    process: int = 0
    mapping: int = 0


@attrs.frozen
class Mprotect(_Operation):
    """Make a mapping writable, or read-only."""

    name: ClassVar[str] = "mprotect"
    process: int = 0
    mapping: int = 0
    writable: bool = False


@attrs.frozen
class Mremap(_Operation):
    """Move a mapping to other addresses; it keeps its number."""

    name: ClassVar[str] = "mremap"
    process: int = 0
    mapping: int = 0


@attrs.frozen
class Load(_Operation):
    """Read one word by a CPU load. Answers its stamp."""

    name: ClassVar[str] = "load"
    process: int = 0
    mapping: int = 0
    page: int = 0
    word: int = 0


@attrs.frozen
class Store(_Operation):
    """Write one word by a CPU store."""

    name: ClassVar[str] = "store"
    process: int = 0
    mapping: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class Fork(_Operation):
    """Make a child process; it has the parent's mappings, under their numbers."""

    name: ClassVar[str] = "fork"
    process: int = 0
    child: int = 1


@attrs.frozen
class Exit(_Operation):
    """End a process; its mappings go, its pins stay with their devices."""

    name: ClassVar[str] = "exit"
    process: int = 0


# --- get_user_pages -----------------------------------------------------------


@attrs.frozen
class GetUserPages(_Operation):
    """Pin pages of a mapping for a device. Answers how many (a prefix).

    Raises in the stack's method: `KernelError` if not even one page is granted.
    """

    name: ClassVar[str] = "get_user_pages"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1
    pin: int = 0
    """Handle of the pin that is made."""
    write: bool = True
    """FOLL_WRITE: the device will write to the pages."""
    longterm: bool = False
    """FOLL_LONGTERM: the pages are kept for an unbounded time."""
    nowait: bool = False
    """Do not wait for writeback or I/O: grant fewer pages or refuse instead."""
    tracked: bool = True
    """False: a plain reference each, to be put with `PutPage`."""


@attrs.frozen
class GetUserPagesFast(GetUserPages):
    """The same, trying first without locks (get_user_pages_fast)."""

    name: ClassVar[str] = "get_user_pages_fast"


@attrs.frozen
class PutUserPage(_Operation):
    """Put one page of a pin (put_user_page)."""

    name: ClassVar[str] = "put_user_page"
    pin: int = 0
    page: int = 0
    """Counts the pages that were granted, from 0."""


@attrs.frozen
class PutUserPages(_Operation):
    """Put pages of a pin."""

    name: ClassVar[str] = "put_user_pages"
    pin: int = 0
    first: int = 0
    pages: int | None = None
    """None: all from `first` on. Negative (misuse): nothing may be put."""


@attrs.frozen
class PutUserPagesDirty(PutUserPages):
    """Mark pages of a pin dirty without taking their locks, and put them."""

    name: ClassVar[str] = "put_user_pages_dirty"


@attrs.frozen
class PutUserPagesDirtyLock(PutUserPages):
    """Mark pages of a pin dirty under their locks, and put them."""

    name: ClassVar[str] = "put_user_pages_dirty_lock"


@attrs.frozen
class PutPage(_Operation):
    """Put one plain reference, got with `tracked=False` (put_page)."""

    name: ClassVar[str] = "put_page"
    pin: int = 0
    page: int = 0


@attrs.frozen
class SetPageDirtyLock(_Operation):
    """Mark one page of a pin dirty under its lock, and keep the pin."""

    name: ClassVar[str] = "set_page_dirty_lock"
    pin: int = 0
    page: int = 0


# --- device -------------------------------------------------------------------


@attrs.frozen
class DeviceWrite(_Operation):
    """A device writes one word of a pinned page, past all page tables."""

    name: ClassVar[str] = "device_write"
    pin: int = 0
    page: int = 0
    word: int = 0
    value: int = 1


@attrs.frozen
class DeviceRead(_Operation):
    """A device reads one word of a pinned page. Answers its stamp."""

    name: ClassVar[str] = "device_read"
    pin: int = 0
    page: int = 0
    word: int = 0


@attrs.frozen
class DeviceComplete(_Operation):
    """A device writes every word of a pin, marks its pages dirty and puts them.

    For stacks where these are one step; made of the parts for others.
    """

    name: ClassVar[str] = "device_complete"
    pin: int = 0
    value: int = 1


@attrs.frozen
class DeviceAbort(_Operation):
    """A device gives up: the pages of a pin are put, and nothing else."""

    name: ClassVar[str] = "device_abort"
    pin: int = 0


@attrs.frozen
class DirectRead(_Operation):
    """Read pages of a file with O_DIRECT into a mapping. Answers how many pages.

    The stack's own driver: it pins the buffer, has the disk write to it, marks it
    dirty and puts it.
    """

    name: ClassVar[str] = "direct_read"
    process: int = 0
    mapping: int = 0
    page: int = 0
    file: int = 1
    file_page: int = 0
    pages: int = 1


@attrs.frozen
class DirectWrite(_Operation):
    """Write pages of a file with O_DIRECT from a mapping. Answers how many pages."""

    name: ClassVar[str] = "direct_write"
    process: int = 0
    mapping: int = 0
    page: int = 0
    file: int = 1
    file_page: int = 0
    pages: int = 1


@attrs.frozen
class DeviceTransfer(_Operation):
    """An RDMA-like driver of the stack fills pages of a mapping with one stamp.

    It pins the pages, writes every word of them, marks them dirty and puts them.
    Answers how many pages.
    """

    name: ClassVar[str] = "device_transfer"
    process: int = 0
    mapping: int = 0
    page: int = 0
    pages: int = 1
    value: int = 1


# --- disk ---------------------------------------------------------------------


@attrs.frozen
class Hold(_Operation):
    """Make the disk stop, for every write from now on, at a point."""

    name: ClassVar[str] = "hold"
    at: HoldPoint = HoldPoint.AFTER_CAPTURE


@attrs.frozen
class Release(_Operation):
    """Let the disk go on."""

    name: ClassVar[str] = "release"


@attrs.frozen
class FailNext(_Operation):
    """Make the disk fail the next write (or read) of file data with an I/O error."""

    name: ClassVar[str] = "fail_next"
    write: bool = True


@attrs.frozen
class PowerCut(_Operation):
    """Copy the disk as it stands, and read all files on the copy.

    The stack goes on undisturbed. Answers a `PowerCutImage`.
    """

    name: ClassVar[str] = "power_cut"


@attrs.frozen
class FlushDisk(_Operation):
    """Empty the volatile cache of the disk."""

    name: ClassVar[str] = "flush_disk"


# --- memory pressure ------------------------------------------------------------


@attrs.frozen
class Reclaim(_Operation):
    """Unmap, clean and free as many pages of a file as can be."""

    name: ClassVar[str] = "reclaim"
    file: int = 0


Operation = (
    Create
    | Read
    | Write
    | Truncate
    | PunchHole
    | Fsync
    | Sync
    | Writeback
    | Evict
    | Unlink
    | Umount
    | Mount
    | Freeze
    | Thaw
    | FillDisk
    | FreeDisk
    | Mmap
    | Munmap
    | Mprotect
    | Mremap
    | Load
    | Store
    | Fork
    | Exit
    | GetUserPages
    | GetUserPagesFast
    | PutUserPage
    | PutUserPages
    | PutUserPagesDirty
    | PutUserPagesDirtyLock
    | PutPage
    | SetPageDirtyLock
    | DeviceWrite
    | DeviceRead
    | DeviceComplete
    | DeviceAbort
    | DirectRead
    | DirectWrite
    | DeviceTransfer
    | Hold
    | Release
    | FailNext
    | PowerCut
    | FlushDisk
    | Reclaim
)

OPERATIONS: dict[str, type[Operation]] = {
    kind.name: kind
    for kind in (
        Create,
        Read,
        Write,
        Truncate,
        PunchHole,
        Fsync,
        Sync,
        Writeback,
        Evict,
        Unlink,
        Umount,
        Mount,
        Freeze,
        Thaw,
        FillDisk,
        FreeDisk,
        Mmap,
        Munmap,
        Mprotect,
        Mremap,
        Load,
        Store,
        Fork,
        Exit,
        GetUserPages,
        GetUserPagesFast,
        PutUserPage,
        PutUserPages,
        PutUserPagesDirty,
        PutUserPagesDirtyLock,
        PutPage,
        SetPageDirtyLock,
        DeviceWrite,
        DeviceRead,
        DeviceComplete,
        DeviceAbort,
        DirectRead,
        DirectWrite,
        DeviceTransfer,
        Hold,
        Release,
        FailNext,
        PowerCut,
        FlushDisk,
        Reclaim,
    )
}
"""Every operation by the name of its method, in the order of the vocabulary."""
