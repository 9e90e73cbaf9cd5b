"""Scenarios in which an access of an attached device meets a change in its middle."""

from conformance.interface import (
    Attach,
    Detach,
    Evict,
    Fsync,
    Load,
    MirrorRead,
    MirrorWrite,
    Mremap,
    Munmap,
    PowerCut,
    PunchHole,
    Read,
    Store,
    Truncate,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_IN_FLIGHT = (
    Scenario(
        "write-in-flight-when-the-page-is-cleaned",
        ("MMU-ORDER",),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                MirrorWrite(value=2),
                Fsync(),
                Munmap(),
                Evict(),
                Read(),
            ),
            schedule=(Preempt(2, "mirror.started", until=3),),
        ),
        "The write has begun, and has not got to memory.",
    ),
    Scenario(
        "read-in-flight-when-the-page-goes",
        ("MMU-ORDER",),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                Fsync(),
                MirrorRead(),
                PunchHole(),
                Store(page=3, value=9),
            ),
            schedule=(Preempt(3, "mirror.started", until=5),),
        ),
        "The read must not find what the page is used for next.",
    ),
    Scenario(
        "access-while-pages-are-cut-out",
        ("MMU-ORDER",),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                PunchHole(),
                MirrorRead(),
                MirrorRead(),
                MirrorWrite(value=2),
                Load(),
            ),
            schedule=(Preempt(2, "invalidate.drained", until=3),),
        ),
        "The device has given its entry up, and the page table still has the page.",
    ),
    Scenario(
        "access-while-a-mapping-goes",
        (),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                MirrorWrite(value=2),
                Munmap(),
                Detach(),
                Evict(),
                Read(),
            ),
            schedule=(Preempt(2, "mirror.started", until=4),),
        ),
        "Mapping and device go while a write is in flight.",
    ),
)

_SEQUENCE = (
    Scenario(
        "page-cleaned-while-looked-up",
        ("MMU-SEQ",),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                Fsync(),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(1, "notifier.pte_found", until=2),),
        ),
        "The entry was writable when it was looked up, and is not any more.",
    ),
    Scenario(
        "page-cut-off-while-looked-up",
        ("MMU-SEQ",),
        Program(
            (
                Store(value=1),
                Attach(),
                MirrorRead(),
                Truncate(words=0),
                Truncate(words=8),
                Store(page=3, value=7),
                Load(),
                MirrorRead(),
                MirrorWrite(value=2),
                Load(),
            ),
            schedule=(Preempt(2, "notifier.pte_found", until=6),),
        ),
        "The page that was found is the file's no more when it is taken over.",
    ),
    Scenario(
        "mapping-moved-while-looked-up",
        ("MMU-SEQ",),
        Program(
            (
                Attach(),
                MirrorWrite(value=1),
                Mremap(),
                Writeback(),
                MirrorRead(),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(1, "notifier.pte_found", until=3),),
        ),
        "The mapping is elsewhere when the entry is about to be taken over.",
    ),
)

RACES: tuple[Scenario, ...] = (*_IN_FLIGHT, *_SEQUENCE)
