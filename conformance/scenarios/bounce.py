"""Scenarios of stable content and bounce pages."""

from collections.abc import Iterable

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    Evict,
    FailNext,
    Feature,
    FillDisk,
    FreeDisk,
    Fsync,
    GetUserPages,
    Hold,
    HoldPoint,
    Load,
    Mount,
    Munmap,
    Operation,
    PowerCut,
    PutUserPagesDirtyLock,
    Read,
    Reclaim,
    Release,
    Setup,
    Store,
    Sync,
    Truncate,
    Umount,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario
from conformance.scenarios.stable import STABLE

_BEFORE, _AFTER = HoldPoint.BEFORE_CAPTURE, HoldPoint.AFTER_CAPTURE
_CHECKSUMS = frozenset({Feature.CHECKSUMS})
_STABLE = frozenset({Feature.STABLE_WRITES})
_NEW_BLOCKS = frozenset({Feature.COPY_ON_WRITE})


def _program(
    *operations: Operation,
    features: Iterable[Feature] = (),
    schedule: tuple[Preempt, ...] = (),
) -> Program:
    return Program(operations, Setup(features=frozenset(features)), schedule)


_KEEPING = (
    Scenario(
        "device-completes-after-fsync",
        ("BNC-KEEPDIRTY", "BNC-FSYNC", "DRT-FSYNC", "DRT-SKIP-IF-DIRTY"),
        _program(
            Store(value=1),
            GetUserPages(),
            Fsync(),
            DeviceComplete(value=2),
            Munmap(),
            Evict(),
            Read(),
            Fsync(),
            PowerCut(),
        ),
        story="A pinned page is synced; then its device writes and lets go.",
    ),
    Scenario(
        "device-writes-between-syncs",
        ("BNC-KEEPDIRTY", "BNC-FSYNC"),
        _program(
            Store(value=1),
            GetUserPages(pages=2),
            DeviceWrite(word=1, value=2),
            Load(word=1),
            Fsync(),
            PowerCut(),
            DeviceWrite(value=3),
            DeviceWrite(page=1, value=4),
            Load(),
            Load(page=1),
            Sync(),
            PowerCut(),
            PutUserPagesDirtyLock(),
            Reclaim(),
            Read(),
            Read(page=1),
            Fsync(),
            PowerCut(),
        ),
        story="A device keeps writing, seen by a CPU, and each sync has to get it.",
    ),
    Scenario(
        "device-writes-after-memory-cleaning",
        ("BNC-KEEPDIRTY",),
        _program(
            Store(value=1),
            GetUserPages(),
            Writeback(),
            DeviceWrite(value=2),
            Load(),
            Fsync(),
            PowerCut(),
            PutUserPagesDirtyLock(),
            Evict(),
            Load(),
        ),
        story="Memory is cleaned under a pin; what the device writes then is kept.",
    ),
    Scenario(
        "second-pin-outlives-the-first",
        ("BNC-KEEPDIRTY", "BNC-FSYNC"),
        _program(
            GetUserPages(pin=0),
            GetUserPages(pin=1),
            Fsync(),
            DeviceComplete(pin=0, value=1),
            Fsync(),
            PowerCut(),
            DeviceComplete(pin=1, value=2),
            Evict(),
            Load(),
            Fsync(),
            PowerCut(),
        ),
        story="A page is pinned twice; the first device is done before the second.",
    ),
    Scenario(
        "sync-with-pins-on-two-pages",
        ("BNC-FSYNC", "BNC-COMPLETE"),
        _program(
            Store(page=1, value=1),
            Store(page=2, value=2),
            GetUserPages(page=1, pages=2),
            Sync(),
            PowerCut(),
            DeviceAbort(),
        ),
        story="What CPUs stored is durable although a device may still write.",
    ),
)


def _written_on_full_disk(features: frozenset[Feature]) -> Program:
    return _program(
        Store(value=1),
        GetUserPages(),
        Fsync(),
        FillDisk(),
        DeviceComplete(value=2),
        Fsync(),
        PowerCut(),
        FreeDisk(),
        features=features,
    )


_SPACE = (
    Scenario(
        "device-completes-on-full-disk",
        ("BNC-RESERVE",),
        _written_on_full_disk(_NEW_BLOCKS),
        story="A pinned page is written, the disk fills up, the device writes.",
    ),
    Scenario(
        "device-completes-on-full-disk-checksums",
        ("BNC-RESERVE",),
        _written_on_full_disk(_CHECKSUMS),
        story="The same where data has checksums.",
    ),
    Scenario(
        "device-writes-again-and-again-on-full-disk",
        ("BNC-RESERVE",),
        _program(
            GetUserPages(page=1, pages=2),
            Fsync(),
            FillDisk(),
            DeviceWrite(page=0, value=1),
            Fsync(),
            DeviceWrite(page=1, value=2),
            Fsync(),
            FreeDisk(),
            FillDisk(),
            DeviceWrite(page=1, value=3),
            Sync(),
            PutUserPagesDirtyLock(),
            Fsync(),
            PowerCut(),
            features=_NEW_BLOCKS,
        ),
        story="Every write of a pinned page takes a block, and the disk is full.",
    ),
)

_END = (
    Scenario(
        "device-writes-beyond-the-end",
        ("BNC-EOF",),
        _program(
            Truncate(words=1),
            GetUserPages(pin=0),
            GetUserPages(pin=1),
            DeviceComplete(pin=0, value=1),
            Fsync(),
            DeviceAbort(pin=1),
            Fsync(),
            Evict(),
            Truncate(words=2),
            PowerCut(),
            Read(),
            Load(word=1),
            Fsync(),
            PowerCut(),
        ),
        story="The file ends inside a page that a device fills; later it grows.",
    ),
    Scenario(
        "device-writes-beyond-the-end-before-umount",
        ("BNC-EOF",),
        _program(
            Truncate(words=1),
            GetUserPages(pin=0),
            GetUserPages(pin=1),
            DeviceComplete(pin=0, value=1),
            Umount(),
            Mount(),
            Truncate(words=2),
            Read(),
            Fsync(),
            PowerCut(),
            DeviceAbort(pin=1),
        ),
        story="The last write of the page is that of a copy; then the file grows.",
    ),
    Scenario(
        "device-writes-beyond-the-end-while-pinned",
        ("BNC-EOF",),
        _program(
            Truncate(words=3),
            GetUserPages(page=1, pin=0),
            GetUserPages(page=1, pin=1),
            DeviceComplete(pin=0, value=1),
            Fsync(),
            Truncate(words=4),
            PowerCut(),
            Read(page=1),
            Fsync(),
            PowerCut(),
            DeviceAbort(pin=1),
        ),
        story="The file grows while a second device still has its last page.",
    ),
)

_ERRORS = (
    Scenario(
        "failed-write-of-a-pinned-page-ends",
        ("BNC-COMPLETE",),
        _program(
            Store(value=1),
            GetUserPages(),
            FailNext(),
            Fsync(),
            DeviceAbort(),
        ),
        story="The disk fails the write of a pinned page, and nobody asks again.",
    ),
    Scenario(
        "write-of-a-pinned-page-fails",
        ("BNC-ERR", "BNC-COMPLETE"),
        _program(
            Store(value=1),
            GetUserPages(),
            FailNext(),
            Fsync(),
            PowerCut(),
            Fsync(),
            PowerCut(),
            DeviceComplete(value=2),
            Fsync(),
            PowerCut(),
        ),
        story="The disk fails the write of a pinned page, and the sync is repeated.",
    ),
    Scenario(
        "writes-of-a-pinned-page-fail-repeatedly",
        ("BNC-ERR", "BNC-COMPLETE"),
        _program(
            Store(value=1),
            GetUserPages(),
            FailNext(),
            Fsync(),
            FailNext(),
            Fsync(),
            FailNext(),
            Fsync(),
            Fsync(),
            PowerCut(),
            DeviceAbort(),
        ),
        story="The same write fails again and again; memory does not run out.",
    ),
    Scenario(
        "write-of-a-pinned-page-fails-on-full-disk",
        ("BNC-ERR",),
        _program(
            Store(value=1),
            GetUserPages(),
            Fsync(),
            Store(value=2),
            FillDisk(),
            FailNext(),
            Fsync(),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            DeviceAbort(),
            features=_NEW_BLOCKS,
        ),
        story="The block of a failed write is still there for the next.",
    ),
    Scenario(
        "second-of-two-pinned-pages-fails",
        ("BNC-ERR", "BNC-COMPLETE"),
        _program(
            Store(page=0, value=1),
            Store(page=1, value=2),
            GetUserPages(pages=2),
            Hold(at=_AFTER),
            Fsync(),
            FailNext(),
            Release(),
            Fsync(),
            PowerCut(),
            DeviceAbort(),
        ),
        story="Two copies are on their way when one of them fails.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *STABLE,
    *_KEEPING,
    *_SPACE,
    *_END,
    *_ERRORS,
)
