"""Programs in which something is done to private pages that devices have pinned."""

from conformance.interface import (
    ClearRefs,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceWrite,
    Dontneed,
    Exit,
    Fork,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Merge,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Operation,
    Pageout,
    PutUserPagesDirtyLock,
    Store,
    Write,
)
from conformance.scenarios.scenario import Scenario, program

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)

_STORE = Store(mapping=1, value=1)
_MORE: tuple[Operation, ...] = (
    Store(mapping=1, word=1, value=2),
    DeviceRead(word=1),
)
_END: tuple[Operation, ...] = (DeviceComplete(value=3), Load(mapping=1))


def _meanwhile(*operations: Operation, write: bool = True) -> tuple[Operation, ...]:
    """Store to a page, pin it, do something to it, and use it on both sides."""
    end = _END if write else (DeviceAbort(), Load(mapping=1, word=1))
    pin = GetUserPages(mapping=1, write=write)
    return (ANONYMOUS, _STORE, pin, *operations, *_MORE, *end)


STORES: tuple[Scenario, ...] = (
    Scenario(
        "store-to-a-pinned-page",
        ("ANON-WRITEREUSE", "ANON-EXCL"),
        program(*_meanwhile()),
        "Process and device write to one page in turn.",
    ),
    Scenario(
        "store-to-a-page-pinned-for-reading",
        ("ANON-WRITEREUSE",),
        program(*_meanwhile(write=False)),
        "The device sees what was stored after it had pinned the page.",
    ),
    Scenario(
        "store-to-a-pinned-page-that-was-protected",
        ("ANON-WRITEREUSE",),
        program(
            *_meanwhile(
                Mprotect(mapping=1, writable=False),
                Load(mapping=1),
                Mprotect(mapping=1, writable=True),
            )
        ),
        "The mapping was read-only for a while, so that the store faults.",
    ),
    Scenario(
        "store-to-a-read-pinned-page-that-was-protected",
        ("ANON-WRITEREUSE",),
        program(
            *_meanwhile(
                Mprotect(mapping=1, writable=False),
                Mprotect(mapping=1, writable=True),
                write=False,
            )
        ),
        "The same, with a device that only reads.",
    ),
    Scenario(
        "store-to-a-page-with-two-pins",
        ("ANON-WRITEREUSE",),
        program(
            ANONYMOUS,
            _STORE,
            GetUserPages(mapping=1),
            GetUserPagesFast(mapping=1, pin=1, write=False),
            Mprotect(mapping=1, writable=False),
            Mprotect(mapping=1, writable=True),
            Mremap(mapping=1),
            *_MORE,
            DeviceRead(pin=1, word=1),
            DeviceAbort(pin=1),
            *_END,
        ),
        "One device reads, another one writes, and the mapping moves.",
    ),
    Scenario(
        "pin-after-the-child-is-gone",
        ("ANON-WRITEREUSE",),
        program(
            ANONYMOUS,
            _STORE,
            Fork(),
            Exit(process=1),
            GetUserPages(mapping=1),
            *_MORE,
            *_END,
        ),
        "The page was shared, and is the parent's alone again.",
    ),
    Scenario(
        "store-to-a-page-of-a-file-mapped-privately-and-pinned",
        ("ANON-WRITEREUSE", "MKW-PRIVATE-MAP"),
        program(
            Write(value=5),
            PRIVATE,
            Load(mapping=1),
            GetUserPages(mapping=1),
            Mprotect(mapping=1, writable=False),
            Mprotect(mapping=1, writable=True),
            *_MORE,
            *_END,
            Load(),
        ),
        "The copy of a file's page is an anonymous page like any other.",
    ),
    Scenario(
        "read-pin-of-a-shared-page-in-the-child",
        ("ANON-UNSHARE",),
        program(
            ANONYMOUS,
            _STORE,
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Store(process=1, mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
        ),
        "The child stores to what it shares with its parent, and has pinned.",
    ),
    Scenario(
        "read-pin-of-a-shared-page-in-the-parent",
        ("ANON-UNSHARE",),
        program(
            ANONYMOUS,
            _STORE,
            Fork(),
            GetUserPagesFast(mapping=1, write=False),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
            Load(process=1, mapping=1),
        ),
        "The same in the parent, on the fast path.",
    ),
    Scenario(
        "read-pins-of-two-shared-pages-for-long",
        ("ANON-UNSHARE",),
        program(
            ANONYMOUS,
            _STORE,
            Store(mapping=1, page=1, value=1),
            Fork(),
            GetUserPages(process=1, mapping=1, pages=2, write=False, longterm=True),
            Store(process=1, mapping=1, page=1, value=2),
            DeviceRead(page=1),
            Exit(process=0),
            Store(process=1, mapping=1, value=3),
            DeviceRead(),
            DeviceAbort(),
        ),
        "One store while the parent is there, one when it is gone.",
    ),
)

MOVES: tuple[Scenario, ...] = (
    Scenario(
        "clear-refs-while-pinned",
        ("ANON-NOWP",),
        program(*_meanwhile(ClearRefs())),
        "The next store is to be noticed; it must not part process and device.",
    ),
    Scenario(
        "clear-refs-while-pinned-for-reading",
        ("ANON-NOWP",),
        program(*_meanwhile(ClearRefs(), write=False)),
        "The same, with a device that only reads.",
    ),
    Scenario(
        "clear-refs-between-pin-and-device",
        ("ANON-NOWP",),
        program(
            ANONYMOUS,
            _STORE,
            GetUserPagesFast(mapping=1),
            DeviceWrite(value=4),
            ClearRefs(),
            ClearRefs(),
            Store(mapping=1, word=1, value=2),
            DeviceWrite(value=5),
            PutUserPagesDirtyLock(),
            Load(mapping=1),
            Load(mapping=1, word=1),
        ),
        "The device writes before and after.",
    ),
    Scenario(
        "pageout-while-pinned",
        ("ANON-NOSWAP",),
        program(*_meanwhile(Pageout(mapping=1))),
        "Memory is wanted while a device writes to it.",
    ),
    Scenario(
        "pageout-while-pinned-for-reading",
        ("ANON-NOSWAP",),
        program(*_meanwhile(Pageout(mapping=1), Load(mapping=1), write=False)),
        "The same, with a device that only reads.",
    ),
    Scenario(
        "pageout-before-and-while-pinned",
        ("ANON-NOSWAP",),
        program(
            ANONYMOUS,
            _STORE,
            Store(mapping=1, page=1, value=1),
            Pageout(mapping=1, pages=2),
            GetUserPages(mapping=1, page=1),
            Pageout(mapping=1, pages=2),
            DeviceComplete(value=3),
            Load(mapping=1, page=1),
            Load(mapping=1),
        ),
        "One of two pages that came back from swap is pinned.",
    ),
    Scenario(
        "merge-while-pinned",
        ("ANON-EXCL",),
        program(
            ANONYMOUS,
            *(
                Store(mapping=1, page=page, word=word, value=7)
                for page in range(2)
                for word in range(2)
            ),
            GetUserPages(mapping=1),
            Merge(mapping=1),
            DeviceComplete(value=3),
            Load(mapping=1),
            Load(mapping=1, page=1),
        ),
        "Two pages are equal, and a device is about to write to one of them.",
    ),
)

GIVEN_UP: tuple[Scenario, ...] = (
    Scenario(
        "dontneed-while-pinned",
        ("ANON-DONTNEED",),
        program(
            ANONYMOUS,
            _STORE,
            GetUserPages(mapping=1),
            Dontneed(mapping=1),
            Load(mapping=1),
            DeviceRead(),
            DeviceComplete(value=3),
            Load(mapping=1),
            Load(mapping=1, word=1),
        ),
        "The process gives its page up; the device keeps it.",
    ),
    Scenario(
        "dontneed-and-a-new-page-while-pinned",
        ("ANON-DONTNEED",),
        program(
            ANONYMOUS,
            _STORE,
            Store(mapping=1, page=1, value=1),
            GetUserPagesFast(mapping=1, pages=2),
            Dontneed(mapping=1, page=1),
            Store(mapping=1, page=1, value=4),
            DeviceRead(page=1),
            DeviceWrite(page=1, value=5),
            DeviceRead(page=1),
            Load(mapping=1, page=1),
            DeviceComplete(value=3),
            Load(mapping=1, page=1),
            Load(mapping=1),
        ),
        "The process has a new page, and stores to it.",
    ),
    Scenario(
        "munmap-while-pinned",
        ("ANON-DONTNEED",),
        program(
            ANONYMOUS,
            _STORE,
            GetUserPages(mapping=1),
            Munmap(mapping=1),
            Mmap(mapping=2, file=None, shared=False, pages=2),
            Store(mapping=2, value=4),
            Store(mapping=2, page=1, value=5),
            DeviceRead(),
            DeviceWrite(value=3),
            Load(mapping=2),
            Load(mapping=2, page=1),
            PutUserPagesDirtyLock(),
            Load(mapping=2),
        ),
        "Others use the memory that was given back, without the pinned page.",
    ),
    Scenario(
        "dontneed-of-a-copy-of-a-file-page-while-pinned",
        ("ANON-DONTNEED", "MKW-PRIVATE-MAP"),
        program(
            Write(value=5),
            PRIVATE,
            _STORE,
            GetUserPages(mapping=1),
            Dontneed(mapping=1),
            Load(mapping=1),
            DeviceComplete(value=3),
            Load(mapping=1),
            Load(),
        ),
        "What comes back is the file, not what the device wrote.",
    ),
    Scenario(
        "dontneed",
        ("ANON-DONTNEED",),
        program(
            ANONYMOUS,
            _STORE,
            Dontneed(mapping=1),
            Load(mapping=1),
            Store(mapping=1, value=2),
            Load(mapping=1),
        ),
        "Without a device: what was given up is gone.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*STORES, *MOVES, *GIVEN_UP)
