"""Scenarios on the window between looking at a page table and taking a page."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    Evict,
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
    PutUserPage,
    Release,
    Store,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_HOLD = Hold(at=HoldPoint.BEFORE_CAPTURE)

_BACKOFF = (
    Store(value=1),
    GetUserPagesFast(pin=1),
    Fsync(),
    DeviceComplete(pin=1, value=2),
    Fsync(),
    PowerCut(),
)

SCENARIOS: tuple[Scenario, ...] = (
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
        "gup-fast-backs-off-from-written-page",
        ("GWB-BACKOFF-CLEAN",),
        Program(
            (
                Store(page=0, value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Writeback(),
                Store(page=0, value=2),
                Store(page=1, value=3),
                GetUserPagesFast(pages=2, pin=1),
                Release(),
                DeviceRead(pin=1, page=0),
                PutUserPage(pin=1, page=1),
                PutUserPage(pin=1, page=0),
            )
        ),
        "The first page is under writeback, the second could be had: the call waits.",
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
