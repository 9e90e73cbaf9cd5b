"""Scenarios on the lock of a page, and its one writeback."""

from conformance.interface import (
    DeviceComplete,
    Fsync,
    GetUserPages,
    Hold,
    HoldPoint,
    PowerCut,
    Release,
    Store,
    Sync,
    Write,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_LOCK = (
    Scenario(
        "fsync-meets-page-half-cleaned",
        ("WB-LOCK",),
        Program(
            (
                Store(value=1),
                Writeback(),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=1, at="writeback.dirty_cleared", until=3),),
        ),
        "A second fsync comes when the page is not dirty any more and not yet under "
        "writeback.",
    ),
    Scenario(
        "fsync-meets-page-under-writeback",
        ("WB-LOCK",),
        Program(
            (
                Write(value=1),
                Fsync(),
                Sync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=1, at="writeback.started", until=3),),
        ),
        "A sync comes when an fsync has set the writeback flag, and nothing is "
        "submitted.",
    ),
    Scenario(
        "fsync-meets-second-page-half-cleaned",
        ("WB-LOCK",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                Writeback(),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=2, at="writeback.dirty_cleared", nth=2, until=4),),
        ),
        "The same, at the second page of the file.",
    ),
)

_SINGLE = (
    Scenario(
        "fsync-meets-writeback-of-old-data",
        ("WB-SINGLE", "GWB-REDIRTY-DURING"),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Store(value=2),
                Fsync(),
                Release(),
                PowerCut(),
            )
        ),
        "The disk has the old value when the new one is stored and synced.",
    ),
    Scenario(
        "fsync-meets-writeback-of-pinned-page",
        ("WB-SINGLE", "GWB-REDIRTY-DURING"),
        Program(
            (
                GetUserPages(pin=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                Release(),
                PowerCut(),
            )
        ),
        "The same with what a device writes: two syncs wait at once.",
    ),
    Scenario(
        "write-meets-writeback-of-old-data",
        ("WB-SINGLE", "GWB-REDIRTY-DURING"),
        Program(
            (
                Write(page=1, value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Write(page=1, value=2),
                Sync(),
                Release(),
                PowerCut(),
            )
        ),
        "The same with write(2) and sync.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*_LOCK, *_SINGLE)
