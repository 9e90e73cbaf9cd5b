"""Scenarios of page_mkwrite at the end of a file, when frozen, and on tmpfs."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    Evict,
    Feature,
    FillDisk,
    FreeDisk,
    Freeze,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Operation,
    PowerCut,
    Read,
    Reclaim,
    Setup,
    Store,
    Thaw,
    Truncate,
    Write,
)
from conformance.program import Program
from conformance.scenarios.scenario import Scenario

_TMPFS = Setup(features=[Feature.NO_DIRTY_TRACKING])


def _program(*operations: Operation, setup: Setup = Setup()) -> Program:
    return Program(operations, setup)


LIMITS: tuple[Scenario, ...] = (
    Scenario(
        "store-beyond-the-end",
        ("MKW-RANGE",),
        _program(
            Truncate(words=3),
            Fsync(),
            Store(page=1, value=4),
            Store(page=1, word=1, value=9),
            Read(page=1),
            Fsync(),
            PowerCut(),
            Truncate(words=8),
            Read(page=1),
            Load(page=1, word=1),
            Fsync(),
            Evict(),
            Load(page=1, word=1),
            PowerCut(),
        ),
        story="A page is stored to beyond the end of its file, which then grows.",
    ),
    Scenario(
        "store-beyond-the-end-of-a-clean-page",
        ("MKW-RANGE",),
        _program(
            Store(page=1, value=4),
            Store(page=1, word=1, value=5),
            Fsync(),
            Truncate(words=3),
            Fsync(),
            Store(page=1, word=1, value=9),
            Fsync(),
            Write(page=2, value=6),
            Read(page=1),
            Fsync(),
            Evict(),
            Read(page=1),
            PowerCut(),
        ),
        story="The file grows by write(2), after the page has been written back.",
    ),
    Scenario(
        "store-to-a-frozen-file",
        ("MKW-FREEZE",),
        _program(
            Store(value=1),
            Fsync(),
            Freeze(),
            Store(value=2),
            Load(),
            PowerCut(),
            Thaw(),
            Fsync(),
            Load(),
        ),
        story="A store to a clean page waits until the filesystem is thawed.",
    ),
    Scenario(
        "store-to-a-hole-of-a-frozen-file",
        ("MKW-FREEZE",),
        _program(Freeze(), Store(page=2, value=2), PowerCut(), Thaw(), Load(page=2)),
    ),
    Scenario(
        "pin-in-a-frozen-file",
        ("MKW-FREEZE",),
        _program(
            Store(value=1),
            Fsync(),
            Freeze(),
            GetUserPages(),
            PowerCut(),
            Thaw(),
            DeviceComplete(value=2),
            Fsync(),
            Load(),
        ),
        story="get_user_pages for writing to a clean page waits for thaw, too.",
    ),
    Scenario(
        "pin-fast-in-a-file-frozen-again",
        ("MKW-FREEZE",),
        _program(
            Freeze(),
            Thaw(),
            Store(page=1, value=1),
            Freeze(),
            GetUserPagesFast(page=1),
            Thaw(),
            DeviceComplete(value=2),
        ),
    ),
)


UNTRACKED: tuple[Scenario, ...] = (
    Scenario(
        "tmpfs-keeps-its-data",
        ("MKW-NOTRACK",),
        _program(
            Store(value=1),
            Store(page=1, word=1, value=2),
            Evict(),
            Load(),
            Fsync(),
            Evict(),
            Load(page=1, word=1),
            Reclaim(),
            Read(),
            setup=_TMPFS,
        ),
        story="Dropping pages must not drop data that exists nowhere else.",
    ),
    Scenario(
        "tmpfs-device",
        ("MKW-NOTRACK",),
        _program(
            GetUserPages(),
            Fsync(),
            DeviceComplete(value=3),
            Evict(),
            Load(),
            Read(),
            setup=_TMPFS,
        ),
    ),
    Scenario(
        "tmpfs-on-a-full-disk",
        ("MKW-NOTRACK",),
        _program(
            Store(value=1),
            FillDisk(),
            Store(value=2),
            Evict(),
            Load(),
            FreeDisk(),
            setup=_TMPFS,
        ),
        story="A page that is in memory needs no space on any disk.",
    ),
    Scenario(
        "tmpfs-longterm-pin",
        ("MKW-NOTRACK",),
        _program(
            GetUserPages(longterm=True),
            DeviceComplete(value=4),
            GetUserPagesFast(longterm=True),
            DeviceAbort(),
            Evict(),
            Load(),
            setup=_TMPFS,
        ),
        story="Pins for a long time are no trouble where nothing is written back.",
    ),
)
