"""Pages that leave their mapping or their file while a device has them pinned."""

from conformance.interface import (
    Create,
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    Dontneed,
    Evict,
    Exit,
    Fork,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Mremap,
    Munmap,
    PowerCut,
    PunchHole,
    PutUserPagesDirtyLock,
    Read,
    Release,
    Store,
    Sync,
    Truncate,
    Unlink,
    Write,
    Writeback,
)
from conformance.program import Program
from conformance.scenarios.scenario import Scenario

MAPPINGS: tuple[Scenario, ...] = (
    Scenario(
        "munmap-of-a-pinned-page",
        ("INV-UNMAP",),
        Program(
            (
                Mmap(mapping=1),
                GetUserPages(mapping=1, pin=0),
                Munmap(mapping=1),
                DeviceComplete(pin=0, value=7),
                Read(),
                Fsync(),
                Evict(),
                Read(),
            )
        ),
        "The mapping goes before the device is ready; its data are the file's.",
    ),
    Scenario(
        "mremap-of-pinned-pages",
        ("INV-UNMAP",),
        Program(
            (
                Store(page=1, value=1),
                GetUserPagesFast(page=0, pages=2, pin=0),
                Mremap(),
                DeviceComplete(pin=0, value=7),
                Load(page=1),
                Fsync(),
                PowerCut(),
            )
        ),
        "The mapping moves; the device writes to the pages that it has.",
    ),
    Scenario(
        "exit-of-a-process-with-a-pin",
        ("INV-UNMAP",),
        Program(
            (
                Fork(child=1),
                GetUserPages(process=1, page=1, pin=0),
                Exit(process=1),
                DeviceComplete(pin=0, value=7),
                Fsync(),
                Evict(),
                Read(page=1),
            )
        ),
        "The process ends, its device does not.",
    ),
)

FILES: tuple[Scenario, ...] = (
    Scenario(
        "device-writes-to-what-was-truncated",
        ("INV-ORPHAN", "INV-PINWAIT"),
        Program(
            (
                Store(page=1, value=1),
                GetUserPages(page=1, pin=0),
                Truncate(words=0),
                Truncate(words=8),
                Load(page=1),
                DeviceComplete(pin=0, value=7),
                Load(page=1),
                Fsync(),
                PowerCut(),
                Evict(),
                Read(page=1),
            )
        ),
        "The file is cut and grows again; its new page knows nothing of the device.",
    ),
    Scenario(
        "device-writes-beyond-the-end-and-file-grows",
        ("MKW-RANGE",),
        Program(
            (
                Store(page=1, value=1),
                GetUserPages(page=1, pin=0),
                Truncate(words=3),
                DeviceComplete(pin=0, value=7),
                Truncate(words=8),
                Read(page=1),
                Load(page=1, word=1),
            )
        ),
        "Half of the page was cut off; the device writes all of it.",
    ),
    Scenario(
        "device-writes-to-what-was-punched-out",
        ("INV-ORPHAN", "INV-PINWAIT"),
        Program(
            (
                Store(page=1, value=1),
                Fsync(),
                GetUserPagesFast(page=1, pin=0),
                PunchHole(page=1),
                DeviceComplete(pin=0, value=7),
                Read(page=1),
                Sync(),
                PowerCut(),
            )
        ),
        "A hole stays a hole.",
    ),
    Scenario(
        "device-writes-when-its-blocks-are-another-files",
        ("INV-ORPHAN",),
        Program(
            (
                Create(file=1),
                *(Store(page=page, value=page + 1) for page in range(4)),
                Fsync(),
                GetUserPages(page=0, pages=2, pin=0),
                PunchHole(page=0, pages=4),
                *(Write(file=1, page=page, value=page + 11) for page in range(4)),
                Fsync(file=1),
                DeviceComplete(pin=0, value=7),
                Sync(),
                Evict(file=1),
                *(Read(file=1, page=page) for page in range(4)),
                PowerCut(),
            )
        ),
        "The blocks of the page were freed and belong to another file.",
    ),
    Scenario(
        "frames-of-what-was-truncated",
        ("INV-REFILL", "INV-REUSE", "INV-ORPHAN"),
        Program(
            (
                Store(page=1, value=1),
                GetUserPages(page=1, pin=0),
                Truncate(words=0),
                Truncate(words=8),
                Store(page=1, value=2),
                Store(page=0, value=3),
                DeviceWrite(pin=0, value=7),
                Load(page=1),
                Load(page=0),
                PutUserPagesDirtyLock(pin=0),
                Load(page=1),
            )
        ),
        "Another physical page takes the place of the one that is pinned.",
    ),
    Scenario(
        "frames-of-the-second-page-punched-out",
        ("INV-REFILL", "INV-REUSE", "INV-PINWAIT"),
        Program(
            (
                GetUserPages(page=1, pages=2, pin=0),
                PunchHole(page=2),
                Write(page=2, value=5),
                Read(page=2),
                DeviceAbort(pin=0),
                Read(page=2),
            )
        ),
        "Only the second page of a pin is cut off, and comes anew by a write.",
    ),
    Scenario(
        "anonymous-page-given-up-while-pinned",
        ("INV-REUSE",),
        Program(
            (
                Mmap(mapping=1, file=None, shared=False, pages=2),
                Store(mapping=1, value=1),
                GetUserPages(mapping=1, pin=0),
                Dontneed(mapping=1),
                Store(mapping=1, page=0, value=2),
                Store(mapping=1, page=1, value=3),
                Load(mapping=1),
                DeviceAbort(pin=0),
            )
        ),
        "The process gives the page up; nobody gets it before the device has put it.",
    ),
    Scenario(
        "cut-while-the-disk-has-the-page",
        ("INV-BLOCKREUSE",),
        Program(
            (
                Create(file=1),
                Store(page=0, value=1),
                Hold(at=HoldPoint.BEFORE_CAPTURE),
                Writeback(),
                PunchHole(page=0),
                Write(file=1, page=0, value=9),
                Writeback(file=1),
                Release(),
                Sync(),
                PowerCut(),
                Read(file=1),
            )
        ),
        "A page is cut off while the disk has yet to look at it.",
    ),
    Scenario(
        "truncated-while-the-disk-has-the-pages",
        ("INV-BLOCKREUSE",),
        Program(
            (
                Create(file=1),
                *(Store(page=page, value=page + 1) for page in range(3)),
                Writeback(),
                *(Store(page=page, value=page + 5) for page in range(3)),
                Hold(),
                Fsync(),
                Truncate(words=2),
                *(Write(file=1, page=page, value=page + 9) for page in range(4)),
                Fsync(file=1),
                Release(),
                PowerCut(),
            )
        ),
        "The second and third page are cut off; another file wants blocks.",
    ),
    Scenario(
        "unlinked-file-with-a-pinned-page",
        ("INV-EVICT",),
        Program(
            (
                Create(file=1),
                Truncate(file=1, words=4),
                Mmap(mapping=1, file=1, pages=2),
                Store(mapping=1, page=1, value=1),
                GetUserPages(mapping=1, page=1, pin=0),
                Unlink(file=1),
                Munmap(mapping=1),
                DeviceWrite(pin=0, value=7),
                PutUserPagesDirtyLock(pin=0),
                Sync(),
                PowerCut(),
            )
        ),
        "Name and mapping go; the file goes with them, and leaves the page behind.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*MAPPINGS, *FILES)
