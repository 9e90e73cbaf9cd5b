"""Scenarios of dirtying and buffers."""

from collections.abc import Iterable

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    Evict,
    Feature,
    FlushDisk,
    Fsync,
    GetUserPages,
    Load,
    Mmap,
    Munmap,
    Operation,
    PowerCut,
    PunchHole,
    PutUserPagesDirtyLock,
    Read,
    Reclaim,
    SetPageDirtyLock,
    Setup,
    Store,
    Sync,
    Truncate,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.drivers import CALLERS
from conformance.scenarios.scenario import Scenario

_VOLATILE = frozenset({Feature.VOLATILE_CACHE})


def _program(
    *operations: Operation,
    features: Iterable[Feature] = (),
    schedule: tuple[Preempt, ...] = (),
) -> Program:
    return Program(operations, Setup(features=frozenset(features)), schedule)


_STACK = (
    Scenario(
        "device-data-survives-eviction",
        ("DRT-SKIP-IF-DIRTY", "DRT-FSYNC"),
        _program(
            GetUserPages(page=1),
            DeviceComplete(value=1),
            Munmap(),
            Evict(),
            Read(page=1),
            Fsync(),
            Evict(),
            Read(page=1),
            PowerCut(),
        ),
        story="A device is done with a page, which is then dropped from memory.",
    ),
    Scenario(
        "device-data-of-dirty-pages-survives",
        ("DRT-SKIP-IF-DIRTY", "DRT-FSYNC"),
        _program(
            Store(value=1),
            Store(page=1, value=2),
            GetUserPages(pages=2),
            Store(word=1, value=3),
            DeviceComplete(value=4),
            Writeback(),
            Munmap(),
            Evict(),
            Read(),
            Read(page=1),
            Sync(),
            PowerCut(),
        ),
        story="A device writes to pages that are dirty already.",
    ),
    Scenario(
        "device-writes-to-an-orphan",
        ("DRT-ORPHAN", "DRT-ACCT"),
        _program(
            Store(value=1),
            GetUserPages(pages=2),
            Truncate(words=0),
            DeviceComplete(value=2),
            Truncate(words=8),
            Load(),
            Read(page=1),
            Fsync(),
            PowerCut(),
        ),
        story="A file is cut and grows again; its old pages belong to nobody.",
    ),
    Scenario(
        "device-writes-to-an-orphan-of-a-hole",
        ("DRT-ORPHAN", "DRT-ACCT"),
        _program(
            GetUserPages(page=1),
            Fsync(),
            PunchHole(page=1),
            Store(page=1, word=1, value=1),
            DeviceWrite(value=2),
            SetPageDirtyLock(),
            PutUserPagesDirtyLock(),
            Load(page=1),
            Fsync(),
            PowerCut(),
            Evict(),
            Load(page=1, word=1),
        ),
        story="A hole is punched under a pin, and filled by a new page.",
    ),
    Scenario(
        "reclaim-of-a-pinned-page",
        ("DRT-BUFFERS", "DRT-FSYNC"),
        _program(
            GetUserPages(),
            Reclaim(),
            DeviceComplete(value=1),
            Fsync(),
            PowerCut(),
            Evict(),
            Load(),
        ),
        story="Memory is short while a device has a page, which it then dirties.",
    ),
    Scenario(
        "reclaim-of-pinned-pages-after-fsync",
        ("DRT-BUFFERS",),
        _program(
            Store(value=1),
            GetUserPages(pages=2),
            Fsync(),
            Reclaim(),
            DeviceWrite(page=1, value=2),
            Evict(),
            DeviceWrite(value=3),
            PutUserPagesDirtyLock(),
            Fsync(),
            PowerCut(),
            Evict(),
            Load(),
            Load(page=1),
        ),
        story="Pinned pages are synced, reclaimed as far as can be, and dirtied.",
    ),
    Scenario(
        "dirty-pages-come-and-go",
        ("DRT-ACCT",),
        _program(
            Mmap(process=1, mapping=0),
            Store(value=1),
            Store(process=1, value=2),
            Fsync(),
            Store(page=1, value=3),
            GetUserPages(page=1, pages=2),
            Fsync(),
            DeviceComplete(value=4),
            Sync(),
            Store(page=3, value=5),
            Truncate(words=6),
            Reclaim(),
            Truncate(words=0),
            Sync(),
        ),
        story="Pages are dirtied, cleaned, pinned, cut off.",
    ),
    Scenario(
        "device-data-in-a-volatile-cache",
        ("DRT-FLUSH", "DRT-FSYNC"),
        _program(
            GetUserPages(pages=2),
            DeviceComplete(value=1),
            Fsync(),
            PowerCut(),
            FlushDisk(),
            PowerCut(),
            features=_VOLATILE,
        ),
        story="The disk says that data is written while only its cache has it.",
    ),
    Scenario(
        "pinned-page-in-a-volatile-cache",
        ("DRT-FLUSH",),
        _program(
            Store(page=1, value=1),
            GetUserPages(page=1),
            Fsync(),
            PowerCut(),
            DeviceComplete(value=2),
            Sync(),
            PowerCut(),
            features=_VOLATILE,
        ),
        story="The copy of a pinned page reaches the cache of the disk, and no more.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*CALLERS, *_STACK)
