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
    PunchHole,
    PutUserPagesDirtyLock,
    Release,
    SetPageDirtyLock,
    Setup,
    Store,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_STABLE = Setup(features={Feature.STABLE_WRITES})
_CHECKSUMS = Setup(features={Feature.CHECKSUMS})
_HOLD = Hold(at=HoldPoint.BEFORE_CAPTURE)

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

_BACKOFF = (
    Store(value=1),
    GetUserPagesFast(pin=1),
    Fsync(),
    DeviceComplete(pin=1, value=2),
    Fsync(),
    PowerCut(),
)

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

_WINDOW_SCENARIOS = (
    Scenario(
        "gup-fast-reads-pte-before-writeback",
        ("GWB-FAST-RECHECK",),
        Program(
            (
                Store(value=1),
                _HOLD,
                GetUserPagesFast(pin=1),
                Fsync(),
                Release(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=2, at="gup_fast.pte_read", until=3),),
        ),
        "The page goes under writeback after GUP-fast read its entry: S24.",
    ),
    Scenario(
        "gup-fast-reads-pte-before-fsync",
        ("GWB-FAST-RECHECK",),
        Program(_BACKOFF, schedule=(Preempt(call=1, at="gup_fast.pte_read", until=2),)),
        "The page is cleaned, and the writeback over, before GUP-fast takes it.",
    ),
    Scenario(
        "gup-fast-reads-second-pte-before-fsync",
        ("GWB-FAST-RECHECK",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                GetUserPagesFast(pages=2, pin=1),
                Fsync(),
                DeviceComplete(pin=1, value=3),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=2, at="gup_fast.pte_read", nth=2, until=3),),
        ),
        "The first page is pinned when both are written, the second only looked at.",
    ),
    Scenario(
        "gup-fast-checks-pte-before-fsync",
        ("GWB-FAST-ORDER",),
        Program(
            _BACKOFF, schedule=(Preempt(call=1, at="gup_fast.pte_checked", until=2),)
        ),
        "After its second look GUP-fast grants the page; writeback must see the pin.",
    ),
    Scenario(
        "gup-fast-takes-page-before-fsync",
        ("GWB-BACKOFF-CLEAN", "GWB-FAST-ORDER"),
        Program(
            _BACKOFF,
            schedule=(Preempt(call=1, at="gup_fast.reference_taken", until=2),),
        ),
        "GUP-fast holds the page when its entry changes, and has to give it back.",
    ),
    Scenario(
        "gup-fast-backs-off-at-second-page",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                GetUserPagesFast(pages=2, pin=1),
                Fsync(),
                DeviceComplete(pin=1, value=3),
                Load(page=0),
                Load(page=1),
            ),
            schedule=(Preempt(call=2, at="gup_fast.reference_taken", nth=2, until=3),),
        ),
        "The walk ends at the second page; the slow path gets it.",
    ),
    Scenario(
        "gup-fast-backs-off-from-unmapped-page",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Mmap(process=1, mapping=1, pages=1),
                Store(process=1, mapping=1, value=1),
                GetUserPagesFast(process=1, mapping=1, pin=1),
                Munmap(process=1, mapping=1),
                Fsync(),
                Evict(),
                Load(),
            ),
            schedule=(Preempt(call=2, at="gup_fast.reference_taken", until=3),),
        ),
        "The mapping goes away; the call is refused and leaves nothing.",
    ),
    Scenario(
        "gup-fast-backs-off-at-first-of-two-pages",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                GetUserPagesFast(pages=2, pin=1),
                PunchHole(page=0),
                DeviceComplete(pin=1, value=3),
                Load(page=0),
                Load(page=1),
            ),
            schedule=(Preempt(call=2, at="gup_fast.reference_taken", until=3),),
        ),
        "The walk must end at the first page although the second could be had.",
    ),
    Scenario(
        "gup-fast-backs-off-for-reader",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Mmap(process=1, mapping=1, pages=1),
                Load(process=1, mapping=1),
                GetUserPagesFast(process=1, mapping=1, pin=1, write=False),
                Munmap(process=1, mapping=1),
                Fsync(),
                Load(),
            ),
            schedule=(Preempt(call=2, at="gup_fast.reference_taken", until=3),),
        ),
        "A device that would only read does not get the page; nothing becomes dirty.",
    ),
    Scenario(
        "gup-fast-backs-off-and-may-not-wait",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Store(value=1),
                _HOLD,
                GetUserPagesFast(pin=1, nowait=True),
                Fsync(),
                Release(),
                Fsync(),
            ),
            schedule=(Preempt(call=2, at="gup_fast.reference_taken", until=3),),
        ),
        "After the back-off the slow path would wait, and is refused.",
    ),
    Scenario(
        "gup-fast-backs-off-three-times",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Store(value=1),
                GetUserPagesFast(pin=1),
                Fsync(),
                DeviceAbort(pin=1),
                Store(value=2),
                GetUserPagesFast(pin=1),
                Fsync(),
                DeviceAbort(pin=1),
                Store(value=3),
                GetUserPagesFast(pin=1),
                Fsync(),
                DeviceAbort(pin=1),
                Fsync(),
            ),
            schedule=tuple(
                Preempt(call=call, at="gup_fast.reference_taken", until=call + 1)
                for call in (1, 5, 9)
            ),
        ),
        "Three calls back off, one after the other; nothing adds up.",
    ),
    Scenario(
        "gup-slow-faults-before-fsync",
        ("GWB-SLOW-RETRY",),
        Program(
            (
                GetUserPages(pin=1),
                Fsync(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=0, at="gup_slow.faulted", until=1),),
        ),
        "The page is cleaned between the fault and the walk: another fault is due.",
    ),
    Scenario(
        "gup-slow-faults-before-writeback",
        ("GWB-SLOW-RETRY",),
        Program(
            (
                _HOLD,
                GetUserPages(pin=1),
                Fsync(),
                Release(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=1, at="gup_slow.faulted", until=2),),
        ),
        "The page is under writeback when slow GUP walks the page table again.",
    ),
    Scenario(
        "gup-slow-faults-twice-before-fsync",
        ("GWB-SLOW-RETRY",),
        Program(
            (
                GetUserPages(pages=2, pin=1),
                Fsync(),
                DeviceComplete(pin=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=0, at="gup_slow.faulted", nth=2, until=1),),
        ),
        "The same at the second page of a request, with the first one pinned.",
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
    *_WINDOW_SCENARIOS,
    *_OTHER_SCENARIOS,
)
