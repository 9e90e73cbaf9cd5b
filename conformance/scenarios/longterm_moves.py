"""Pinned pages stay where they are: zones, migration, merging, stealing, charges."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    Evict,
    Fsync,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    Load,
    Merge,
    Migrate,
    Mmap,
    Munmap,
    Operation,
    Pageout,
    PowerCut,
    PutUserPage,
    PutUserPages,
    Read,
    Reclaim,
    Release,
    Setup,
    Steal,
    Store,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
ZONES = Setup(Geometry(memory_pages=24, movable_pages=16))
"""Two thirds of memory are movable, and used first by pages that can be moved."""


def _charged(operations: tuple[Operation, ...]) -> Program:
    return Program((ANONYMOUS, *operations))


ZONE_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "long-term-pin-of-a-movable-page",
        ("LT-ZONE",),
        Program(
            (
                Load(),
                GetUserPages(pin=0, write=False, longterm=True),
                Store(value=3),
                Load(),
                DeviceAbort(pin=0),
            ),
            setup=ZONES,
        ),
        "A file page was brought in where pages must be able to go again.",
    ),
    Scenario(
        "long-term-pin-of-movable-anonymous-pages",
        ("LT-ZONE",),
        Program(
            (
                ANONYMOUS,
                Store(mapping=1, page=0, value=1),
                Store(mapping=1, page=1, value=2),
                GetUserPagesFast(mapping=1, pages=2, pin=0, longterm=True),
                DeviceComplete(pin=0, value=7),
                Load(mapping=1, page=1),
            ),
            setup=ZONES,
        ),
        "Two pages move before they are pinned; what they held comes along.",
    ),
    Scenario(
        "long-term-pin-of-a-movable-second-page",
        ("LT-ZONE",),
        Program(
            (
                ANONYMOUS,
                Store(mapping=1, page=0, value=1),
                Store(mapping=1, page=1, value=2),
                GetUserPages(mapping=1, page=0, pin=0, longterm=True),
                DeviceAbort(pin=0),
                GetUserPagesFast(mapping=1, pages=2, pin=1, longterm=True),
                DeviceComplete(pin=1, value=7),
                Load(mapping=1, page=1),
            ),
            setup=ZONES,
        ),
        "The first page was moved out before; the second has yet to go.",
    ),
    Scenario(
        "long-term-pin-of-a-movable-page-that-is-pinned",
        ("LT-NOMOVE",),
        Program(
            (
                ANONYMOUS,
                Store(mapping=1, page=0, value=1),
                Store(mapping=1, page=1, value=2),
                GetUserPages(mapping=1, page=1, pin=0),
                GetUserPages(mapping=1, pages=2, pin=1, longterm=True),
                Migrate(process=0, mapping=1, page=1),
                DeviceComplete(pin=0, value=7),
                Load(mapping=1, page=1),
            ),
            setup=ZONES,
        ),
        "Somebody else has the second page pinned, so it cannot move: no pin at all.",
    ),
)

MOVE_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "migrate-a-pinned-page",
        ("LT-NOMOVE",),
        Program(
            (
                Store(value=1),
                GetUserPages(pin=0),
                Migrate(),
                DeviceComplete(pin=0, value=7),
                Load(),
                Fsync(),
                PowerCut(),
            )
        ),
        "Compaction wants the page elsewhere; the device would not notice.",
    ),
    Scenario(
        "migrate-beside-a-pin",
        ("LT-NOMOVE",),
        Program(
            (
                Store(page=0, value=1),
                Store(page=1, value=2),
                GetUserPagesFast(page=1, pin=0),
                Migrate(page=0, pages=2),
                DeviceComplete(pin=0, value=7),
                Load(page=0),
                Load(page=1),
                Migrate(page=0, pages=2),
                Load(page=1),
                Fsync(),
                PowerCut(),
            )
        ),
        "Of two pages one is pinned; later both may go.",
    ),
    Scenario(
        "migrate-while-gup-fast-looks",
        ("LT-NOMOVE",),
        Program(
            (
                Store(value=1),
                GetUserPagesFast(pin=0),
                Migrate(),
                DeviceComplete(pin=0, value=7),
                Load(),
                Migrate(),
                Load(),
            ),
            schedule=(Preempt(call=1, at="gup_fast.reference_taken"),),
        ),
        "The page is being moved while get_user_pages_fast has looked at its entry.",
    ),
    Scenario(
        "gup-fast-while-a-page-is-migrated",
        ("LT-NOMOVE",),
        Program(
            (
                Store(value=1),
                Migrate(),
                GetUserPagesFast(pin=0, write=False),
                Store(value=2),
                DeviceRead(pin=0),
                Migrate(),
                Load(),
            ),
            schedule=(Preempt(call=1, at="migrate.unmapped"),),
        ),
        "The page is pinned when its entries have been changed, and not yet moved.",
    ),
    Scenario(
        "migrate-a-page-under-writeback",
        ("LT-NOMOVE",),
        Program(
            (
                Store(value=1),
                Store(page=1, value=2),
                GetUserPages(page=1, pin=0),
                Hold(),
                Fsync(),
                Migrate(pages=2),
                Release(),
                DeviceComplete(pin=0, value=7),
                Load(),
                Fsync(),
                PowerCut(),
            )
        ),
        "What the disk is at is not moved either.",
    ),
    Scenario(
        "merge-pinned-pages",
        ("LT-NOMOVE",),
        _charged(
            (
                Store(mapping=1, page=0, value=1),
                Store(mapping=1, page=1, value=1),
                GetUserPages(mapping=1, page=1, pin=0),
                Merge(mapping=1),
                DeviceComplete(pin=0, value=7),
                Load(mapping=1, page=0),
                Load(mapping=1, page=1),
            )
        ),
        "Two pages are equal until the device writes to one of them.",
    ),
    Scenario(
        "page-out-of-a-pinned-file-page",
        ("LT-NOMOVE",),
        Program(
            (
                Store(value=1),
                GetUserPages(pin=0),
                Fsync(),
                Pageout(),
                Reclaim(),
                Load(),
                DeviceComplete(pin=0, value=7),
                Load(),
                Fsync(),
                Evict(),
                Read(),
            )
        ),
        "Memory is short, and the page is in use.",
    ),
)

STEAL_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "steal-a-pinned-page",
        ("INV-STEAL",),
        Program(
            (
                Store(value=1),
                Fsync(),
                GetUserPages(pin=0),
                Fsync(),
                Munmap(),
                Steal(),
                DeviceComplete(pin=0, value=7),
                Read(),
                Fsync(),
                PowerCut(),
                Evict(),
                Read(),
            )
        ),
        "splice would move the page to another owner; a device has it.",
    ),
    Scenario(
        "steal-a-page-that-was-pinned-for-reading",
        ("INV-STEAL",),
        Program(
            (
                Store(page=1, value=1),
                Fsync(),
                GetUserPages(page=1, pin=0, write=False),
                Reclaim(),
                Steal(page=1),
                Load(page=1),
                Store(page=1, value=2),
                Fsync(),
                PutUserPages(pin=0),
                Steal(page=1),
                Load(page=1),
                PowerCut(),
            )
        ),
        "A reader's pin counts as well; without one the page may go.",
    ),
)

CHARGE_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "charges-of-long-term-pins",
        ("LT-MEMLOCK",),
        _charged(
            (
                Store(mapping=1, value=1),
                GetUserPages(mapping=1, pages=2, pin=0, longterm=True),
                GetUserPagesFast(mapping=1, page=1, pin=1, longterm=True),
                DeviceAbort(pin=1),
                DeviceComplete(pin=0, value=7),
                Load(mapping=1),
            )
        ),
        "Charged when they are pinned, given back when they are put.",
    ),
    Scenario(
        "charges-page-by-page",
        ("LT-MEMLOCK",),
        _charged(
            (
                GetUserPages(mapping=1, pages=2, pin=0, longterm=True),
                PutUserPage(pin=0, page=0),
                PutUserPage(pin=0, page=1),
                GetUserPages(pin=1, longterm=True),
            )
        ),
        "Put one by one; and a pin that is refused costs nothing.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *ZONE_SCENARIOS,
    *MOVE_SCENARIOS,
    *STEAL_SCENARIOS,
    *CHARGE_SCENARIOS,
)
