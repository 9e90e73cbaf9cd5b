"""Programs about what get_user_pages may hand out of private memory."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    Dontneed,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Mprotect,
    Operation,
    PowerCut,
    Read,
    Store,
    Write,
)
from conformance.program import Preempt
from conformance.scenarios.scenario import Scenario, program

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
ANOTHER = Mmap(mapping=2, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)
READ_ONLY = Mmap(mapping=1, shared=False, pages=2, writable=False)

_FILE: tuple[Operation, ...] = (Load(), Read(), Fsync(), PowerCut())
"""Everything that shows what the file holds."""

MAPPINGS: tuple[Scenario, ...] = (
    Scenario(
        "store-to-a-private-mapping",
        ("MKW-PRIVATE-MAP",),
        program(
            Write(value=1), PRIVATE, Store(mapping=1, value=2), *_FILE, Load(mapping=1)
        ),
        "What is stored stays with the process.",
    ),
    Scenario(
        "device-writes-to-a-private-mapping",
        ("MKW-PRIVATE-MAP",),
        program(
            Write(value=1),
            Fsync(),
            PRIVATE,
            GetUserPages(mapping=1),
            DeviceComplete(value=2),
            *_FILE,
            Load(mapping=1),
        ),
        "So does what a device writes.",
    ),
    Scenario(
        "device-writes-to-a-private-mapping-that-was-read",
        ("MKW-PRIVATE-MAP",),
        program(
            Store(value=1),
            PRIVATE,
            Load(mapping=1),
            GetUserPagesFast(mapping=1),
            DeviceComplete(value=2),
            *_FILE,
            Store(value=3),
            Load(mapping=1),
            Load(),
        ),
        "The page of the file is mapped, dirty, and not the device's.",
    ),
)

WRITE_BIT: tuple[Scenario, ...] = (
    Scenario(
        "write-pin-of-a-read-only-mapping",
        ("GWB-WRITEBIT",),
        program(
            Write(value=1),
            Mmap(mapping=1, pages=2, writable=False),
            GetUserPages(mapping=1),
            DeviceComplete(value=2),
            Mmap(mapping=2, shared=False, pages=2, writable=False),
            Load(mapping=2),
            GetUserPagesFast(mapping=2, pin=1),
            DeviceComplete(pin=1, value=3),
            Mmap(mapping=3, file=None, shared=False, pages=2),
            Store(mapping=3, value=4),
            Mprotect(mapping=3),
            GetUserPages(mapping=3, pin=2),
            DeviceComplete(pin=2, value=5),
            *_FILE,
            Load(mapping=3),
        ),
        "Shared, private and anonymous: none of them may be written to.",
    ),
    Scenario(
        "dontneed-after-the-write-fault",
        ("GWB-WRITEBIT",),
        program(
            Write(value=1),
            PRIVATE,
            GetUserPages(mapping=1),
            Dontneed(mapping=1),
            DeviceComplete(value=2),
            *_FILE,
            schedule=(Preempt(2, "gup_slow.faulted", until=3),),
        ),
        "The copy that the fault has made is gone when the entry is looked up again.",
    ),
    Scenario(
        "dontneed-after-the-write-fault-in-anonymous-memory",
        ("GWB-WRITEBIT",),
        program(
            ANONYMOUS,
            ANOTHER,
            Load(mapping=2),
            GetUserPages(mapping=1),
            Dontneed(mapping=1),
            Load(mapping=1),
            DeviceComplete(value=2),
            Load(mapping=2),
            Load(mapping=2, page=1),
            schedule=(Preempt(3, "gup_slow.faulted", until=5),),
        ),
        "The zero page has come in its place, and is not to be written to.",
    ),
    Scenario(
        "forced-write-pin",
        ("ANON-FORCE", "MKW-PRIVATE-MAP"),
        program(
            Write(value=1),
            READ_ONLY,
            GetUserPages(mapping=1, force=True),
            DeviceComplete(value=2),
            Load(mapping=1),
            *_FILE,
        ),
        "A debugger writes to a mapping that is read-only: to a copy.",
    ),
    Scenario(
        "forced-write-pin-of-a-mapped-page",
        ("ANON-FORCE",),
        program(
            Store(value=1),
            READ_ONLY,
            Load(mapping=1),
            GetUserPagesFast(mapping=1, force=True),
            DeviceComplete(value=2),
            Load(mapping=1),
            *_FILE,
            GetUserPages(mapping=1, pin=1, force=True),
            DeviceComplete(pin=1, value=3),
            Load(mapping=1),
            Load(),
        ),
        "The file's page is mapped, and dirty; then the copy is.",
    ),
    Scenario(
        "forced-write-pin-of-memory-nobody-wrote",
        ("ANON-FORCE",),
        program(
            Mmap(mapping=1, file=None, shared=False, pages=2, writable=False),
            ANOTHER,
            Load(mapping=1),
            Load(mapping=2),
            GetUserPagesFast(mapping=1, force=True),
            DeviceComplete(value=2),
            Load(mapping=1),
            Load(mapping=2),
            Load(mapping=1, page=1),
        ),
        "The zero page is mapped, and must not be written to.",
    ),
    Scenario(
        "forced-write-pin-of-a-shared-mapping",
        ("ANON-FORCE",),
        program(
            Write(value=1),
            Mmap(mapping=1, pages=2, writable=False),
            Load(mapping=1),
            GetUserPages(mapping=1, force=True),
            DeviceComplete(value=2),
            GetUserPagesFast(mapping=1, pin=1, force=True),
            DeviceComplete(pin=1, value=2),
            Load(),
        ),
        "There is no copy to write to, so it is refused.",
    ),
    Scenario(
        "dontneed-after-the-forced-write-fault",
        ("ANON-FORCE",),
        program(
            Write(value=1),
            READ_ONLY,
            Load(mapping=1),
            GetUserPages(mapping=1, force=True),
            Dontneed(mapping=1),
            Load(mapping=1),
            DeviceComplete(value=2),
            *_FILE,
            schedule=(Preempt(3, "gup_slow.faulted", until=5),),
        ),
        "Dirty COW: the file's page has come back when the entry is looked up again.",
    ),
    Scenario(
        "pins-of-secret-memory",
        ("LT-SECRETMEM",),
        program(
            Mmap(mapping=1, file=None, secret=True, pages=2),
            Store(mapping=1, value=1),
            GetUserPages(mapping=1),
            DeviceAbort(),
            GetUserPagesFast(mapping=1, pin=1),
            DeviceAbort(pin=1),
            GetUserPages(mapping=1, pin=2, write=False, tracked=False),
            GetUserPagesFast(mapping=1, pin=3, write=False, longterm=True),
            DeviceAbort(pin=3),
            Load(mapping=1),
        ),
        "On both paths, for both purposes, the process alone gets at it.",
    ),
)

READERS: tuple[Scenario, ...] = (
    Scenario(
        "long-term-read-pin-of-a-private-mapping",
        ("LT-RO",),
        program(
            Write(value=1),
            PRIVATE,
            GetUserPages(mapping=1, write=False, longterm=True),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
            Load(),
        ),
        "The device reads what is stored after it pinned a page of the file.",
    ),
    Scenario(
        "long-term-read-pin-of-memory-nobody-wrote",
        ("LT-RO",),
        program(
            ANONYMOUS,
            Load(mapping=1),
            Load(mapping=1, page=1),
            GetUserPagesFast(mapping=1, pages=2, write=False, longterm=True),
            Store(mapping=1, page=1, value=2),
            DeviceRead(page=1),
            DeviceRead(),
            DeviceAbort(),
        ),
        "The zero page is mapped when the fast path comes.",
    ),
    Scenario(
        "long-term-read-pin-of-a-shared-mapping",
        (),
        program(
            Store(value=1),
            GetUserPages(write=False, longterm=True),
            GetUserPagesFast(pin=1, write=False, longterm=True),
            Store(value=2),
            DeviceRead(),
            DeviceAbort(),
            DeviceAbort(pin=1),
        ),
        "Reading for an unbounded time is allowed, and shows the file.",
    ),
    Scenario(
        "read-pin-of-memory-nobody-wrote",
        ("REF-ZERO",),
        program(
            ANONYMOUS,
            GetUserPages(mapping=1, write=False),
            DeviceRead(),
            DeviceAbort(),
            GetUserPages(mapping=1, pages=2, write=False),
            DeviceAbort(),
        ),
        "The zero page is pinned and put, and nothing is counted.",
    ),
    Scenario(
        "read-pins-of-the-zero-page-on-the-fast-path",
        ("REF-ZERO",),
        program(
            ANONYMOUS,
            Load(mapping=1),
            Load(mapping=1, page=1),
            GetUserPagesFast(mapping=1, pages=2, write=False),
            GetUserPagesFast(mapping=1, pin=1, write=False),
            DeviceAbort(),
            DeviceAbort(pin=1),
            Store(mapping=1, value=1),
            Load(mapping=1),
            Load(mapping=1, page=1),
        ),
        "It is mapped already, and pinned more than once.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*MAPPINGS, *WRITE_BIT, *READERS)
