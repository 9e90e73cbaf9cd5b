"""The vocabulary: one frozen class for each operation.

An operation is data. A program is a list of them; it is drawn, run, printed,
stored, replayed and shrunk as such. A stack implements an operation as a method of
the operation's `name` that takes the fields as keyword arguments; fields that have
their default value are left out when the method does not accept them, so a stack
offers `get_user_pages` without `longterm` by not having that parameter.

Handles (`process`, `file`, `mapping`, `pin`, `device`) are small integers chosen by the
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

from conformance.interface.operations.devices import (
    Attach,
    Detach,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    MirrorRead,
    MirrorWrite,
)
from conformance.interface.operations.disk import (
    FailNext,
    FlushDisk,
    Hold,
    PowerCut,
    Release,
)
from conformance.interface.operations.files import (
    Clone,
    Create,
    Dedupe,
    Evict,
    FillDisk,
    FreeDisk,
    Freeze,
    Fsync,
    Mount,
    PunchHole,
    Read,
    Sync,
    Thaw,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)
from conformance.interface.operations.gup import (
    GetUserPages,
    GetUserPagesFast,
    PutPage,
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
)
from conformance.interface.operations.memory import (
    ClearRefs,
    Dontneed,
    Exit,
    Fork,
    Load,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Store,
)
from conformance.interface.operations.pressure import (
    Merge,
    Migrate,
    Pageout,
    Reclaim,
    Split,
    Steal,
)

Operation = (
    Create
    | Read
    | Write
    | Truncate
    | PunchHole
    | Clone
    | Dedupe
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
    | Dontneed
    | Load
    | Store
    | Fork
    | ClearRefs
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
    | Attach
    | Detach
    | MirrorWrite
    | MirrorRead
    | Hold
    | Release
    | FailNext
    | PowerCut
    | FlushDisk
    | Reclaim
    | Pageout
    | Migrate
    | Merge
    | Steal
    | Split
)

OPERATIONS: dict[str, type[Operation]] = {
    kind.name: kind
    for kind in (
        Create,
        Read,
        Write,
        Truncate,
        PunchHole,
        Clone,
        Dedupe,
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
        Dontneed,
        Load,
        Store,
        Fork,
        ClearRefs,
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
        Attach,
        Detach,
        MirrorWrite,
        MirrorRead,
        Hold,
        Release,
        FailNext,
        PowerCut,
        FlushDisk,
        Reclaim,
        Pageout,
        Migrate,
        Merge,
        Steal,
        Split,
    )
}
"""Every operation by the name of its method, in the order of the vocabulary."""

__all__ = [
    "OPERATIONS",
    "Attach",
    "ClearRefs",
    "Clone",
    "Create",
    "Dedupe",
    "Detach",
    "DeviceAbort",
    "DeviceComplete",
    "DeviceRead",
    "DeviceTransfer",
    "DeviceWrite",
    "DirectRead",
    "DirectWrite",
    "Dontneed",
    "Evict",
    "Exit",
    "FailNext",
    "FillDisk",
    "FlushDisk",
    "Fork",
    "FreeDisk",
    "Freeze",
    "Fsync",
    "GetUserPages",
    "GetUserPagesFast",
    "Hold",
    "Load",
    "Merge",
    "Migrate",
    "MirrorRead",
    "MirrorWrite",
    "Mmap",
    "Mount",
    "Mprotect",
    "Mremap",
    "Munmap",
    "Operation",
    "Pageout",
    "PowerCut",
    "PunchHole",
    "PutPage",
    "PutUserPage",
    "PutUserPages",
    "PutUserPagesDirty",
    "PutUserPagesDirtyLock",
    "Read",
    "Reclaim",
    "Release",
    "SetPageDirtyLock",
    "Split",
    "Steal",
    "Store",
    "Sync",
    "Thaw",
    "Truncate",
    "Umount",
    "Unlink",
    "Write",
    "Writeback",
]
