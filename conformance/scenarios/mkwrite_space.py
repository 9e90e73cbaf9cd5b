"""Scenarios of page_mkwrite and the space on the disk."""

from conformance.interface import (
    DeviceComplete,
    Evict,
    Feature,
    FillDisk,
    FreeDisk,
    Fsync,
    GetUserPages,
    Load,
    Operation,
    PowerCut,
    PunchHole,
    Setup,
    Store,
    Truncate,
)
from conformance.program import Program
from conformance.scenarios.scenario import Scenario

_COW = Setup(features=[Feature.COPY_ON_WRITE])


def _program(*operations: Operation, setup: Setup = Setup()) -> Program:
    return Program(operations, setup)


SPACE: tuple[Scenario, ...] = (
    Scenario(
        "store-to-a-hole-on-a-full-disk",
        ("MKW-FAIL",),
        _program(
            FillDisk(),
            Store(value=1),
            Load(),
            Fsync(),
            FreeDisk(),
            Store(value=2),
            Fsync(),
            Evict(),
            Load(),
        ),
        story="page_mkwrite finds no space: the store ends in SIGBUS.",
    ),
    Scenario(
        "pin-of-a-hole-on-a-full-disk",
        ("MKW-FAIL",),
        _program(
            FillDisk(),
            GetUserPages(),
            DeviceComplete(value=1),
            Fsync(),
            FreeDisk(),
            GetUserPages(),
            DeviceComplete(value=2),
            Fsync(),
            Load(),
        ),
        story="page_mkwrite finds no space: get_user_pages is refused.",
    ),
    Scenario(
        "pin-of-a-page-and-a-hole-on-a-full-disk",
        ("MKW-FAIL",),
        _program(
            Store(value=1),
            Fsync(),
            FillDisk(),
            GetUserPages(pages=2),
            Fsync(),
            DeviceComplete(value=2),
            Fsync(),
            FreeDisk(),
            Load(),
        ),
        story="The first page has its block, the second one gets none.",
    ),
    Scenario(
        "disk-fills-up-after-a-store",
        ("MKW-RESERVE",),
        _program(
            Store(value=1),
            Store(page=1, value=2),
            FillDisk(),
            Fsync(),
            PowerCut(),
            FreeDisk(),
        ),
        story="What was stored while there was space can be written.",
    ),
    Scenario(
        "disk-fills-up-after-a-pin",
        ("MKW-RESERVE",),
        _program(
            GetUserPages(pages=2),
            FillDisk(),
            Fsync(),
            DeviceComplete(value=1),
            FreeDisk(),
            Fsync(),
        ),
    ),
    Scenario(
        "disk-fills-up-after-the-second-store",
        ("MKW-RESERVE",),
        _program(
            Store(value=1),
            Fsync(),
            Store(value=2),
            FillDisk(),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            setup=_COW,
        ),
        story="Cleaning used up what was promised; the next store is promised anew.",
    ),
    Scenario(
        "disk-fills-up-after-a-device-was-done",
        ("MKW-RESERVE", "MKW-DEVICE"),
        _program(
            GetUserPages(),
            Fsync(),
            DeviceComplete(value=1),
            FillDisk(),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            setup=_COW,
        ),
        story="The page was cleaned between its pin and the device's write.",
    ),
    Scenario(
        "space-back-after-truncate",
        ("MKW-UNRESERVE",),
        _program(
            Store(value=1),
            Truncate(words=0),
            Fsync(),
            Truncate(words=8),
            Store(page=1, value=2),
            Fsync(),
            Store(page=1, value=3),
            Truncate(words=0),
            Fsync(),
        ),
        story="A dirty page over a hole, and one over a block, are cut off.",
    ),
    Scenario(
        "space-back-after-punch",
        ("MKW-UNRESERVE",),
        _program(
            Store(value=1),
            Store(page=2, value=2),
            PunchHole(page=2),
            Fsync(),
            Store(value=3),
            PunchHole(),
            Fsync(),
            setup=_COW,
        ),
    ),
    Scenario(
        "space-back-after-put",
        ("MKW-UNRESERVE",),
        _program(
            GetUserPages(pages=2),
            Fsync(),
            DeviceComplete(value=1),
            Fsync(),
            Fsync(),
            Store(value=2),
            Fsync(),
            setup=_COW,
        ),
        story="Spare promises of pinned pages go back when they are clean again.",
    ),
    Scenario(
        "space-back-after-truncate-of-a-pinned-page",
        ("MKW-UNRESERVE",),
        _program(
            GetUserPages(pages=2),
            Fsync(),
            Truncate(words=2),
            DeviceComplete(value=1),
            Fsync(),
            Truncate(words=0),
            Fsync(),
        ),
    ),
    Scenario(
        "space-back-after-a-refusal",
        ("MKW-UNRESERVE", "MKW-FAIL"),
        _program(
            FillDisk(),
            GetUserPages(pages=2),
            Store(page=2, value=1),
            FreeDisk(),
            Fsync(),
        ),
        story="What was refused leaves nothing behind.",
    ),
)
