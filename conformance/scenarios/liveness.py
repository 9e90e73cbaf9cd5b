"""Liveness: every call answers in the end."""

from conformance.interface import (
    Create,
    DeviceAbort,
    DirectWrite,
    Evict,
    FailNext,
    Fsync,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    HoldPoint,
    Load,
    Munmap,
    Reclaim,
    Release,
    Setup,
    Store,
    Sync,
    Truncate,
    Umount,
    Write,
    Writeback,
)
from conformance.program import Program
from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "pin-waits-for-writeback",
        ("LIVE-GUP",),
        Program(
            (
                Store(value=1),
                Hold(),
                Fsync(),
                GetUserPages(pin=0),
                Release(),
                DeviceAbort(pin=0),
            )
        ),
        "A page is asked for while it is written; it comes when that has ended.",
    ),
    Scenario(
        "pins-wait-for-a-write-not-yet-captured",
        ("LIVE-GUP",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=1),
                Hold(at=HoldPoint.BEFORE_CAPTURE),
                Fsync(),
                GetUserPagesFast(page=0, pages=2, pin=0),
                Store(page=1, value=2),
                GetUserPages(page=1, pin=1),
            )
        ),
        "Several wait, and nobody releases the disk but the end of the program.",
    ),
    Scenario(
        "pin-waits-for-a-write-that-fails",
        ("LIVE-GUP",),
        Program(
            (
                Store(value=1),
                FailNext(),
                Hold(),
                Fsync(),
                GetUserPages(pin=0),
                Release(),
                Fsync(),
            )
        ),
        "The write that was waited for ends in an error; the wait ends all the same.",
    ),
    Scenario(
        "fsync-beside-a-lasting-pin",
        ("LIVE-SYNC",),
        Program((Store(value=1), GetUserPages(pin=0), Fsync(), Sync(), Fsync())),
        "A page that stays pinned is written by each sync, and none waits.",
    ),
    Scenario(
        "fsync-beside-lasting-pins-of-the-second-page",
        ("LIVE-SYNC",),
        Program(
            (
                GetUserPages(page=1, pin=0),
                GetUserPagesFast(page=1, pin=1),
                Store(page=0, value=1),
                Store(page=1, value=2),
                Fsync(),
                Truncate(words=2),
                Sync(),
            )
        ),
        "Two pins, on a page that is not the first, and not the file's in the end.",
    ),
    Scenario(
        "direct-write-beside-lasting-pins",
        ("LIVE-SYNC",),
        Program(
            (
                GetUserPages(page=1, pin=0),
                GetUserPages(page=1, pin=1),
                Store(page=2, value=3),
                DirectWrite(page=2, file=0, file_page=0),
                Fsync(),
            )
        ),
        "Direct I/O writes back the file that it writes, and waits for no pin either.",
    ),
    Scenario(
        "direct-write-beside-lasting-pins-and-nothing-else",
        ("LIVE-GUP",),
        Program(
            (
                GetUserPages(page=1, pin=0),
                GetUserPages(page=1, pin=1),
                DirectWrite(page=2, file=0, file_page=0),
                Store(page=3, value=3),
                Hold(),
                Writeback(),
                GetUserPages(page=3, pin=2),
            )
        ),
        "The same, and a pin that waits for writeback at the end.",
    ),
    Scenario(
        "umount-beside-a-lasting-pin",
        ("LIVE-SYNC",),
        Program((Store(value=1), GetUserPages(pages=2, pin=0), Umount())),
        "Unmounting does not wait for devices either.",
    ),
    Scenario(
        "umount-beside-a-pin-and-no-mapping",
        ("LIVE-UMOUNT",),
        Program(
            (
                Store(page=1, value=1),
                GetUserPages(page=1, pin=0),
                Munmap(),
                Umount(),
                DeviceAbort(pin=0),
            )
        ),
        "Nothing but a pinned page is left of those who used the file.",
    ),
    Scenario(
        "writers-beside-pins-of-half-of-memory",
        ("LIVE-THROTTLE",),
        Program(
            (
                Create(file=1),
                GetUserPages(page=0, pages=8, pin=0),
                *(Write(file=1, page=page, value=page + 1) for page in range(2)),
                *(Store(page=page, value=page + 5) for page in range(2)),
                Fsync(file=1),
            ),
            setup=Setup(Geometry(file_pages=8, memory_pages=14)),
        ),
        "More than half of memory is pinned and dirty for ever; others go on.",
    ),
    Scenario(
        "reclaim-beside-a-lasting-pin",
        ("LIVE-RECLAIM",),
        Program(
            (
                Store(page=0, value=1),
                GetUserPages(page=1, pages=2, pin=0),
                Fsync(),
                Reclaim(),
                Evict(),
                Load(page=1),
            )
        ),
        "What is pinned cannot be freed; reclaim takes the rest and ends.",
    ),
)
