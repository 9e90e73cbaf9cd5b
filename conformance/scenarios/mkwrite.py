"""Scenarios of page_mkwrite on every write to a clean page."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    Evict,
    Fork,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Operation,
    PutUserPage,
    PutUserPages,
    Store,
    Sync,
    Truncate,
    Writeback,
)
from conformance.program import Program
from conformance.scenarios.mkwrite_device import DEVICES
from conformance.scenarios.mkwrite_fault import FAULTS
from conformance.scenarios.mkwrite_limits import LIMITS, UNTRACKED
from conformance.scenarios.mkwrite_space import SPACE
from conformance.scenarios.scenario import Scenario


def _program(*operations: Operation) -> Program:
    return Program(operations)


_ACCESSES = (
    Scenario(
        "store-again-after-fsync",
        ("MKW-EVERY", "MKW-MTIME", "MKW-ORDER"),
        _program(
            Store(value=1),
            Store(word=1, value=2),
            Fsync(),
            Store(value=3),
            Fsync(),
            Store(value=4),
            Fsync(),
            Evict(),
            Load(),
            Store(value=5),
            Fsync(),
            Load(word=1),
        ),
        story="A page is stored to, cleaned, stored to again, and dropped.",
    ),
    Scenario(
        "store-after-memory-cleaning",
        ("MKW-EVERY", "MKW-ORDER"),
        _program(
            Store(value=1),
            Writeback(),
            Store(value=2),
            Writeback(),
            Evict(),
            Load(),
            Store(value=3),
            Sync(),
            Evict(),
            Load(),
        ),
        story="The page is cleaned to free memory, not for fsync.",
    ),
    Scenario(
        "store-through-two-mappings",
        ("MKW-EVERY", "MKW-ORDER"),
        _program(
            Mmap(process=1, mapping=1),
            Store(value=1),
            Store(process=1, mapping=1, word=1, value=2),
            Fsync(),
            Store(process=1, mapping=1, value=3),
            Fsync(),
            Store(value=4),
            Evict(),
            Fsync(),
            Evict(),
            Load(process=1, mapping=1),
            Load(word=1),
        ),
        story="Two processes map the page; cleaning it concerns both.",
    ),
    Scenario(
        "store-by-a-child-after-fsync",
        ("MKW-EVERY",),
        _program(
            Store(value=1),
            Fork(),
            Fsync(),
            Store(process=1, value=2),
            Fsync(),
            Evict(),
            Load(),
        ),
        story="The child's page tables are cleaned like the parent's.",
    ),
    Scenario(
        "store-after-truncate",
        ("MKW-EVERY", "MKW-MTIME"),
        _program(
            Store(page=1, value=1),
            Fsync(),
            Truncate(words=2),
            Truncate(words=8),
            Fsync(),
            Store(page=1, value=2),
            Fsync(),
            Store(page=1, value=3),
            Fsync(),
            Evict(),
            Load(page=1),
        ),
        story="The page was cut off in between, and is new.",
    ),
    Scenario(
        "pin-again-after-fsync",
        ("MKW-EVERY", "MKW-MTIME"),
        _program(
            GetUserPages(),
            DeviceAbort(),
            Fsync(),
            GetUserPages(),
            DeviceComplete(value=1),
            Fsync(),
            Load(),
            GetUserPages(),
            DeviceComplete(value=2),
            Fsync(),
            Load(),
        ),
        story="A page is pinned for writing, cleaned, and pinned again.",
    ),
    Scenario(
        "pin-fast-after-fsync",
        ("MKW-EVERY", "MKW-MTIME"),
        _program(
            Store(page=1, value=9),
            Store(page=2, value=9),
            Fsync(),
            GetUserPagesFast(page=1, pages=2),
            DeviceComplete(value=1),
            Fsync(),
            GetUserPagesFast(page=1, pages=2),
            DeviceComplete(value=2),
            Fsync(),
            Load(page=2),
        ),
        story="Two pages, without locks where the page table allows it.",
    ),
    Scenario(
        "read-pin-of-a-clean-page",
        ("MKW-RO-GUP",),
        _program(
            Store(value=1),
            Fsync(),
            GetUserPages(write=False),
            DeviceAbort(),
            GetUserPagesFast(pages=2, write=False),
            DeviceAbort(),
            GetUserPagesFast(page=2, write=False),
            DeviceAbort(),
            Fsync(),
            Load(),
        ),
        story="Pages with data and holes are pinned for reading only.",
    ),
    Scenario(
        "read-pin-put-in-parts",
        ("MKW-RO-GUP",),
        _program(
            Store(value=1),
            Fsync(),
            Evict(),
            GetUserPagesFast(pages=3, write=False),
            DeviceRead(),
            PutUserPage(page=1),
            PutUserPages(),
            Load(),
        ),
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *_ACCESSES,
    *DEVICES,
    *FAULTS,
    *LIMITS,
    *SPACE,
    *UNTRACKED,
)
