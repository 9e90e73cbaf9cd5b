"""Long-term pins: pages that a device keeps for an unbounded time."""

from conformance.interface import (
    DeviceAbort,
    Fork,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Mmap,
    Store,
)
from conformance.program import Program
from conformance.scenarios.longterm_moves import SCENARIOS as MOVE_SCENARIOS
from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *MOVE_SCENARIOS,
    Scenario(
        "long-term-write-pin",
        ("LT-REFUSE",),
        Program((GetUserPages(longterm=True),)),
        "A device wants a file page for writing, for an unbounded time.",
    ),
    Scenario(
        "long-term-write-pin-of-a-mapped-page",
        ("LT-REFUSE",),
        Program((Store(value=1), GetUserPagesFast(longterm=True))),
        "The page is mapped writable already, so that the fast path sees it.",
    ),
    Scenario(
        "long-term-write-pin-again",
        ("LT-REFUSE",),
        Program(
            (
                Mmap(mapping=1, page=1, pages=2),
                Store(page=2, value=1),
                GetUserPages(page=2, pin=0),
                GetUserPagesFast(mapping=1, page=1, pin=1, longterm=True),
                GetUserPages(page=1, pages=3, pin=2, longterm=True),
                DeviceAbort(pin=0),
                Fsync(),
                GetUserPagesFast(page=2, pin=3, longterm=True),
            )
        ),
        "Beside a short pin, through a second mapping, and of a page just cleaned.",
    ),
    Scenario(
        "long-term-write-pin-in-a-child",
        ("LT-REFUSE",),
        Program(
            (
                Store(value=1),
                Fork(child=1),
                GetUserPagesFast(process=1, longterm=True),
                GetUserPages(process=1, pin=1, longterm=True),
            )
        ),
        "A child that inherited the mapping is no better off.",
    ),
    Scenario(
        "long-term-read-pin",
        (),
        Program(
            (
                GetUserPages(pin=0, write=False, longterm=True),
                DeviceAbort(pin=0),
            )
        ),
        "Reading for an unbounded time dirties nothing, and may be granted.",
    ),
)
