"""The counters in /proc/vmstat: the document's five, and today's two."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Mprotect,
    PutPage,
    PutUserPage,
    Store,
    Truncate,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_BEFORE_RECHECK = "gup_fast.reference_taken"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "requests-and-returns",
        ("CNT-BAL", "CNT-MODERN", "CNT-MONO"),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                Store(page=2, value=1),
                GetUserPagesFast(page=2, pin=1),
                GetUserPagesFast(page=3, pin=2, write=False),
                DeviceComplete(pin=0, value=8),
                DeviceAbort(pin=1),
                DeviceAbort(pin=2),
            )
        ),
        "Pages got in both ways, for writing and for reading, and all put.",
    ),
    Scenario(
        "one-page-pinned-three-times",
        ("CNT-BAL", "CNT-MODERN", "CNT-MONO"),
        Program(
            (
                Mmap(mapping=1, pages=2),
                GetUserPages(pin=0),
                GetUserPagesFast(pin=1),
                GetUserPages(mapping=1, pages=2, pin=2),
                Truncate(words=0),
                DeviceAbort(pin=1),
                DeviceComplete(pin=0, value=2),
                DeviceAbort(pin=2),
            )
        ),
        "Three pins of one page, which is truncated, through two mappings.",
    ),
    Scenario(
        "plain-references-do-not-count",
        ("CNT-MODERN", "CNT-BAL"),
        Program(
            (
                Store(value=1),
                GetUserPages(pin=0, tracked=False),
                GetUserPagesFast(pin=1, tracked=False),
                GetUserPages(pin=2),
                PutPage(pin=0),
                PutUserPage(pin=2),
                PutPage(pin=1),
            )
        ),
        "Plain references beside a pin: only the pin counts.",
    ),
    Scenario(
        "fast-path-backs-off",
        ("CNT-BACKOFF", "CNT-BAL"),
        Program(
            (
                Store(value=1),
                GetUserPagesFast(pin=0),
                Fsync(),
                DeviceAbort(pin=0),
            ),
            schedule=(Preempt(call=1, at=_BEFORE_RECHECK, until=2),),
        ),
        "The page is cleaned between reference and second look: back off, go slow.",
    ),
    Scenario(
        "fast-path-backs-off-thrice",
        ("CNT-BACKOFF", "CNT-BAL"),
        Program(
            (
                Store(page=1, value=1),
                GetUserPagesFast(page=1, pin=0),
                Fsync(),
                Store(page=1, value=2),
                Store(page=2, value=2),
                GetUserPagesFast(page=1, pages=2, pin=1),
                Fsync(),
                Store(page=1, value=3),
                GetUserPagesFast(page=1, pin=2),
                Fsync(),
                DeviceAbort(pin=0),
                DeviceAbort(pin=1),
                DeviceAbort(pin=2),
            ),
            schedule=(
                Preempt(call=1, at=_BEFORE_RECHECK, until=2),
                Preempt(call=5, at=_BEFORE_RECHECK, until=6),
                Preempt(call=8, at=_BEFORE_RECHECK, until=9),
            ),
        ),
        "Three requests back off, while pins of the same page are held.",
    ),
    Scenario(
        "plain-reference-backs-off",
        ("CNT-BAL", "CNT-MODERN"),
        Program(
            (
                Store(value=1),
                GetUserPagesFast(pin=0, tracked=False),
                Fsync(),
                PutPage(pin=0),
            ),
            schedule=(Preempt(call=1, at=_BEFORE_RECHECK, until=2),),
        ),
        "A back-off of a plain reference is no back-off of a pin.",
    ),
    Scenario(
        "counters-are-read-beside-requests",
        ("CNT-BAL",),
        Program(
            (
                Store(value=1),
                GetUserPagesFast(pin=0),
                GetUserPages(page=1, pin=1),
                DeviceAbort(pin=1),
                DeviceAbort(pin=0),
                GetUserPages(pages=2, pin=2),
                DeviceAbort(pin=2),
            ),
            schedule=(Preempt(call=1, at=_BEFORE_RECHECK, until=3),),
        ),
        "Pins come and go while a request is in its middle. Who reads the counters "
        "then, one after the other, may see more returned than requested (CNT-READ); "
        "that has no rule of its own, because it is allowed: CNT-BAL looks at rest "
        "only, where nothing explains a difference.",
    ),
    Scenario(
        "refused-requests-count-nothing",
        ("CNT-FAIL0",),
        Program(
            (
                Load(),
                Mprotect(writable=False),
                GetUserPages(pin=0),
                GetUserPagesFast(pin=1),
                Mprotect(writable=True),
                Truncate(words=2),
                GetUserPages(page=1, pin=2),
                GetUserPagesFast(page=1, pin=3),
                GetUserPages(pin=4),
                DeviceAbort(pin=4),
            )
        ),
        "Refused for the mapping's protection, and beyond the end of the file.",
    ),
)
