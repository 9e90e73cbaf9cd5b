"""Programs in which parent and child go their ways, and a device stays with one."""

from conformance.interface import (
    DeviceAbort,
    DeviceRead,
    Dontneed,
    Exit,
    Fork,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Munmap,
    Operation,
    Store,
    Write,
)
from conformance.scenarios.scenario import Scenario, program

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)

_LOOKS: tuple[Operation, ...] = (
    Load(mapping=1),
    Load(mapping=1, word=1),
    Load(process=1, mapping=1),
    Load(process=1, mapping=1, word=1),
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "fork-while-a-file-page-is-pinned",
        ("ANON-FORK-FILE",),
        program(
            Write(value=1),
            PRIVATE,
            Load(mapping=1),
            GetUserPages(mapping=1, write=False),
            Fork(),
            Write(value=7),
            Load(process=1, mapping=1),
            Load(mapping=1),
            DeviceAbort(),
        ),
        "A page of a file is pinned through a private mapping that nobody wrote to.",
    ),
    Scenario(
        "child-unmaps-what-it-has-pinned",
        ("ANON-ISOLATION",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Munmap(process=1, mapping=1),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
        ),
        "The parent is the only one that has the page mapped when it stores.",
    ),
    Scenario(
        "child-gives-up-what-it-has-pinned",
        ("ANON-ISOLATION", "ANON-DONTNEED"),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Dontneed(process=1, mapping=1),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
            Load(process=1, mapping=1),
        ),
        "The child keeps the mapping, and gives up the page that it shared.",
    ),
    Scenario(
        "child-exits-with-a-read-pin",
        ("ANON-ISOLATION",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Fork(),
            GetUserPagesFast(process=1, mapping=1, write=False),
            Exit(process=1),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
        ),
        "The same on the fast path, and with a child that is gone.",
    ),
    Scenario(
        "parent-unmaps-what-it-has-pinned",
        ("ANON-ISOLATION",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1, write=False),
            Fork(),
            Munmap(mapping=1),
            Store(process=1, mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
            Load(process=1, mapping=1),
        ),
        "The child is the only one that has its page mapped when it stores.",
    ),
    Scenario(
        "pins-for-reading-on-both-sides-of-a-fork",
        ("ANON-ISOLATION", "ANON-UNSHARE"),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Fork(),
            GetUserPages(mapping=1, pin=0, write=False),
            GetUserPages(process=1, mapping=1, pin=1, write=False),
            Store(mapping=1, value=2),
            Store(process=1, mapping=1, value=3),
            DeviceRead(pin=0),
            DeviceRead(pin=1),
            DeviceAbort(pin=0),
            DeviceAbort(pin=1),
        ),
        "Each device follows its own process.",
    ),
    Scenario(
        "stores-after-a-fork",
        ("ANON-FORK-SNAPSHOT",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Store(mapping=1, page=1, value=2),
            Fork(),
            Store(mapping=1, value=3),
            Store(process=1, mapping=1, page=1, value=4),
            *_LOOKS,
            Load(mapping=1, page=1),
            Load(process=1, mapping=1, page=1),
        ),
        "Parent and child store, each to a page of its own from then on.",
    ),
)
