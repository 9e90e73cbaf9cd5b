"""Scenarios on writeback that fails, and on what it leaves alone."""

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    Evict,
    FailNext,
    Fsync,
    GetUserPages,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Munmap,
    PowerCut,
    PutUserPagesDirtyLock,
    Read,
    Reclaim,
    Release,
    Store,
    Write,
    Writeback,
)
from conformance.program import Program
from conformance.scenarios import cleaning, one_writeback
from conformance.scenarios.scenario import Scenario

_PINNED = (
    Scenario(
        "memory-cleaning-meets-pin",
        ("WB-SKIP",),
        Program(
            (
                GetUserPages(pages=2, pin=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Release(),
                DeviceComplete(pin=1, value=1),
                Fsync(),
                PowerCut(),
            )
        ),
        "Pages are pinned and dirty; to clean memory they need not be written.",
    ),
    Scenario(
        "memory-cleaning-meets-pin-without-hold",
        ("WB-SKIP",),
        Program(
            (
                Store(value=1),
                GetUserPages(pin=1),
                Writeback(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            )
        ),
        "The same with a disk that answers at once.",
    ),
    Scenario(
        "reclaim-meets-pin",
        ("WB-RECLAIM",),
        Program(
            (
                GetUserPages(pin=1),
                Reclaim(),
                Load(),
                DeviceComplete(pin=1, value=1),
                Load(),
                Fsync(),
                PowerCut(),
            )
        ),
        "Memory is short while a device has the page.",
    ),
    Scenario(
        "reclaim-meets-pin-of-written-page",
        ("WB-RECLAIM",),
        Program(
            (
                Store(value=1),
                GetUserPages(pin=1),
                Fsync(),
                Munmap(),
                Reclaim(),
                DeviceWrite(pin=1, value=2),
                PutUserPagesDirtyLock(pin=1),
                Fsync(),
                PowerCut(),
                Read(),
            )
        ),
        "The page has been written once when reclaim comes, and nobody maps it.",
    ),
    Scenario(
        "evict-meets-pin",
        ("WB-RECLAIM",),
        Program(
            (
                GetUserPages(pin=1),
                Fsync(),
                Munmap(),
                Evict(),
                Read(),
                DeviceComplete(pin=1, value=1),
                Read(),
                Fsync(),
                PowerCut(),
            )
        ),
        "The page cache is dropped after the page was written, and while it is pinned.",
    ),
    Scenario(
        "evict-meets-pin-of-second-page",
        ("WB-RECLAIM",),
        Program(
            (
                GetUserPages(pages=2, pin=1),
                Fsync(),
                Munmap(),
                Evict(),
                Reclaim(),
                DeviceComplete(pin=1, value=1),
                Read(page=1),
                Fsync(),
                PowerCut(),
            )
        ),
        "Eviction and reclaim, with two pages pinned.",
    ),
)

_ERRORS = (
    Scenario(
        "fsync-of-failed-write",
        ("WB-ERROR",),
        Program(
            (
                Store(value=1),
                FailNext(),
                Fsync(),
                Load(),
                Store(word=1, value=2),
                Fsync(),
                PowerCut(),
            )
        ),
        "The disk fails the write that fsync waits for.",
    ),
    Scenario(
        "fsync-after-failed-memory-cleaning",
        ("WB-ERROR",),
        Program(
            (
                Store(value=1),
                FailNext(),
                Writeback(),
                Fsync(),
                PowerCut(),
            )
        ),
        "The write that fails was not fsync's own.",
    ),
    Scenario(
        "fsync-of-failed-rewrite",
        ("WB-ERROR",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                Fsync(),
                Store(page=1, value=3),
                FailNext(),
                Fsync(),
                PowerCut(),
                Munmap(),
                Evict(),
                Read(page=1),
            )
        ),
        "The block has been written before; what is there must not pass for new.",
    ),
    Scenario(
        "fsync-of-failed-rewrite-of-write",
        ("WB-ERROR",),
        Program(
            (
                Write(value=1),
                Fsync(),
                Write(value=2),
                FailNext(),
                Fsync(),
                PowerCut(),
                Evict(),
                Read(),
            )
        ),
        "The same with what was written by write(2).",
    ),
    Scenario(
        "fsync-of-failed-write-of-device-data",
        ("WB-ERROR",),
        Program(
            (
                GetUserPages(pin=1),
                Fsync(),
                DeviceComplete(pin=1, value=2),
                FailNext(),
                Fsync(),
                PowerCut(),
                Munmap(),
                Evict(),
                Read(),
            )
        ),
        "The same with what a device has written.",
    ),
    Scenario(
        "fsync-of-page-that-was-not-read",
        ("WB-UPTODATE",),
        Program(
            (
                Store(value=1),
                Fsync(),
                Munmap(),
                Evict(),
                Mmap(mapping=1),
                FailNext(write=False),
                Load(mapping=1),
                Fsync(),
                PowerCut(),
                Read(),
            )
        ),
        "Reading the page in fails; what is in memory then is not the file's.",
    ),
    Scenario(
        "read-of-page-of-write-fails",
        ("WB-UPTODATE",),
        Program(
            (
                Write(value=1),
                Fsync(),
                Evict(),
                FailNext(write=False),
                Read(),
                PowerCut(),
                Read(),
            )
        ),
        "The page was written by write(2); it is read(2) that fails.",
    ),
    Scenario(
        "read-of-page-of-device-fails",
        ("WB-UPTODATE",),
        Program(
            (
                GetUserPages(pin=1),
                DeviceComplete(pin=1, value=1),
                Fsync(),
                Munmap(),
                Evict(),
                FailNext(write=False),
                Read(),
                PowerCut(),
                Read(),
            )
        ),
        "The same with what a device has written.",
    ),
    Scenario(
        "store-to-page-that-was-not-read",
        ("WB-UPTODATE",),
        Program(
            (
                Store(page=1, word=1, value=1),
                Fsync(),
                Munmap(),
                Evict(),
                Mmap(mapping=1),
                FailNext(write=False),
                Store(mapping=1, page=1, value=2),
                Fsync(),
                PowerCut(),
                Read(page=1),
            )
        ),
        "A store to a page that cannot be read in is refused, and dirties nothing.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *cleaning.SCENARIOS,
    *one_writeback.SCENARIOS,
    *_PINNED,
    *_ERRORS,
)
