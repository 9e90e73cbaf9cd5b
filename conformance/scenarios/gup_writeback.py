"""Scenarios on get_user_pages against writeback."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    Evict,
    Feature,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Munmap,
    PowerCut,
    PutUserPagesDirtyLock,
    Read,
    Release,
    SetPageDirtyLock,
    Setup,
    Store,
    Write,
    Writeback,
)
from conformance.program import Program
from conformance.scenarios import gup_window
from conformance.scenarios.scenario import Scenario

_STABLE = Setup(features={Feature.STABLE_WRITES})
_CHECKSUMS = Setup(features={Feature.CHECKSUMS})

_NEVER = (
    Store(value=1),
    Hold(at=HoldPoint.AFTER_CAPTURE),
    Fsync(),
    GetUserPages(pin=1),
    Release(),
    DeviceComplete(pin=1, value=2),
    Fsync(),
    PowerCut(),
)
"""The write of a page is held, and the page is asked for."""

_NEVER_SCENARIOS = (
    Scenario(
        "gup-meets-writeback",
        ("GWB-NEVER",),
        Program(_NEVER),
        "The page is being written when it is asked for, and not granted before the "
        "disk goes on.",
    ),
    Scenario(
        "gup-meets-writeback-of-stable-page",
        ("GWB-NEVER",),
        Program(_NEVER, _STABLE),
        "The same where content must be stable: today's kernel waits here, too.",
    ),
    Scenario(
        "gup-meets-writeback-of-checksummed-page",
        ("GWB-NEVER",),
        Program(_NEVER, _CHECKSUMS),
        "The same where data has checksums.",
    ),
    Scenario(
        "gup-meets-writeback-at-second-page",
        ("GWB-NEVER",),
        Program(
            (
                Store(page=1, value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                GetUserPages(pages=2, pin=1),
                Release(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            )
        ),
        "Of the two pages asked for only the second is being written.",
    ),
    Scenario(
        "gup-fast-meets-writeback-of-redirtied-page",
        ("GWB-NEVER",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Store(word=1, value=2),
                GetUserPagesFast(pin=1),
                Release(),
                DeviceComplete(pin=1, value=3),
                Fsync(),
                PowerCut(),
            )
        ),
        "A store during the writeback makes the page writable again, where content "
        "need not be stable; its page table entry alone would let GUP-fast have it.",
    ),
    Scenario(
        "gup-meets-writeback-through-other-mapping",
        ("GWB-NEVER",),
        Program(
            (
                Mmap(process=1, mapping=1, pages=2),
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                GetUserPagesFast(process=1, mapping=1, pin=1),
                Release(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            )
        ),
        "Another process, which has never touched the page, asks for it.",
    ),
)

_OTHER_SCENARIOS = (
    Scenario(
        "read-only-gup-meets-writeback",
        ("GWB-READ-OK",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                GetUserPages(pin=1, write=False),
                DeviceAbort(pin=1),
                Release(),
            )
        ),
        "A device that only reads gets the page while it is being written.",
    ),
    Scenario(
        "nowait-gup-meets-writeback",
        ("GWB-NOSLEEP",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                GetUserPages(pin=1, nowait=True),
                Release(),
            )
        ),
        "A caller that may not sleep is refused.",
    ),
    Scenario(
        "nowait-gup-meets-writeback-at-second-page",
        ("GWB-NOSLEEP", "GWB-NEVER"),
        Program(
            (
                Store(page=1, value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                GetUserPagesFast(pages=2, pin=1, nowait=True),
                Release(),
            )
        ),
        "A caller that may not sleep gets the first page only.",
    ),
    Scenario(
        "store-during-writeback",
        ("GWB-REDIRTY-DURING",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Store(value=2),
                Release(),
                Fsync(),
                PowerCut(),
            )
        ),
        "The disk has taken the old value when the new one is stored.",
    ),
    Scenario(
        "store-during-writeback-then-evict",
        ("GWB-REDIRTY-DURING",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Store(value=2),
                Release(),
                Munmap(),
                Evict(),
                Mmap(mapping=1),
                Load(mapping=1),
            )
        ),
        "The same; then the page cache is dropped.",
    ),
    Scenario(
        "write-during-writeback-then-evict",
        ("GWB-REDIRTY-DURING",),
        Program(
            (
                Write(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Write(value=2),
                Release(),
                Evict(),
                Read(),
            )
        ),
        "The same with write(2).",
    ),
    Scenario(
        "device-completes-during-writeback",
        ("GWB-REDIRTY-DURING",),
        Program(
            (
                GetUserPages(pin=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                DeviceComplete(pin=1, value=2),
                Release(),
                Fsync(),
                PowerCut(),
            )
        ),
        "A device writes, dirties and puts its page while the page is written.",
    ),
    Scenario(
        "device-dirties-second-page-during-writeback",
        ("GWB-REDIRTY-DURING",),
        Program(
            (
                Mmap(process=1, mapping=1, pages=2),
                GetUserPages(process=1, mapping=1, pages=2, pin=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Fsync(),
                DeviceWrite(pin=1, page=1, value=2),
                SetPageDirtyLock(pin=1, page=1),
                Release(),
                PutUserPagesDirtyLock(pin=1),
                Fsync(),
                PowerCut(),
            )
        ),
        "A device keeps its pages, and marks one of them dirty during writeback.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *_NEVER_SCENARIOS,
    *gup_window.SCENARIOS,
    *_OTHER_SCENARIOS,
)
