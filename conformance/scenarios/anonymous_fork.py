"""Programs in which processes fork while devices have their pages pinned."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceWrite,
    Exit,
    Fork,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Operation,
    PutUserPagesDirtyLock,
    Store,
    Write,
)
from conformance.program import Preempt
from conformance.scenarios.scenario import Scenario, program

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)

_LOOKS: tuple[Operation, ...] = (
    Load(mapping=1),
    Load(mapping=1, word=1),
    Load(process=1, mapping=1),
    Load(process=1, mapping=1, word=1),
)

COPIES: tuple[Scenario, ...] = (
    Scenario(
        "fork-while-pinned",
        ("ANON-FORK-COPY",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1),
            Fork(),
            DeviceComplete(value=3),
            *_LOOKS,
        ),
        "A device writes after a fork; the child must not see it.",
    ),
    Scenario(
        "fork-while-pinned-and-store",
        ("ANON-FORK-COPY", "ANON-WRITEREUSE"),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPagesFast(mapping=1),
            Fork(),
            Store(mapping=1, word=1, value=2),
            DeviceRead(word=1),
            DeviceComplete(value=3),
            *_LOOKS,
        ),
        "The parent stores before the device writes: it must still mean its page.",
    ),
    Scenario(
        "fork-while-pinned-for-reading",
        ("ANON-FORK-COPY", "ANON-WRITEREUSE"),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1, write=False),
            Fork(),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceAbort(),
            *_LOOKS,
        ),
        "The device reads what the parent stored after the fork.",
    ),
    Scenario(
        "fork-while-the-second-page-is-pinned",
        ("ANON-FORK-COPY",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Store(mapping=1, page=1, value=1),
            GetUserPages(mapping=1, page=1),
            Fork(),
            Store(mapping=1, page=1, value=2),
            Store(mapping=1, value=2),
            DeviceComplete(value=3),
            Load(mapping=1, page=1),
            Load(process=1, mapping=1, page=1),
            *_LOOKS,
        ),
        "One page is shared, the next one is not.",
    ),
    Scenario(
        "fork-again-while-pinned",
        ("ANON-FORK-COPY",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1),
            Fork(child=1),
            Fork(process=1, child=2),
            Fork(child=3),
            Store(mapping=1, value=2),
            DeviceRead(),
            DeviceComplete(value=3),
            *_LOOKS,
            Load(process=2, mapping=1),
            Load(process=3, mapping=1),
        ),
        "Three children, one of them a child's.",
    ),
    Scenario(
        "fork-while-pinned-and-child-exits",
        ("ANON-FORK-COPY",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1),
            Fork(),
            Load(process=1, mapping=1),
            Exit(process=1),
            Store(mapping=1, word=1, value=2),
            DeviceComplete(value=3),
            Load(mapping=1),
            Load(mapping=1, word=1),
        ),
        "The child is gone before anybody writes.",
    ),
    Scenario(
        "fork-while-a-child-has-pinned",
        ("ANON-FORK-COPY",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Fork(child=1),
            GetUserPages(process=1, mapping=1),
            Fork(process=1, child=2),
            Store(process=1, mapping=1, word=1, value=2),
            DeviceComplete(value=3),
            *_LOOKS,
            Load(process=2, mapping=1),
        ),
        "The child breaks the sharing by its pin, and forks in turn.",
    ),
    Scenario(
        "fork-while-a-copy-of-a-file-page-is-pinned",
        ("ANON-FORK-COPY", "MKW-PRIVATE-MAP"),
        program(
            Write(value=1),
            PRIVATE,
            GetUserPages(mapping=1),
            Fork(),
            Store(mapping=1, word=1, value=2),
            DeviceComplete(value=3),
            *_LOOKS,
            Load(),
        ),
        "A private mapping of a file is no better off than anonymous memory.",
    ),
    Scenario(
        "fork-after-the-put",
        (),
        program(
            ANONYMOUS,
            GetUserPages(mapping=1),
            DeviceWrite(value=3),
            PutUserPagesDirtyLock(),
            Fork(),
            *_LOOKS,
            Store(mapping=1, value=4),
            *_LOOKS,
        ),
        "What the device wrote before the fork is the child's, too.",
    ),
)


def _raced(at: str, name: str, story: str) -> Scenario:
    return Scenario(
        name,
        ("ANON-FORK-SEQ",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPagesFast(mapping=1),
            Fork(),
            Store(mapping=1, word=1, value=2),
            DeviceComplete(value=3),
            *_LOOKS,
            schedule=(Preempt(2, at, until=3),),
        ),
        story,
    )


RACES: tuple[Scenario, ...] = (
    _raced(
        "gup_fast.reference_taken",
        "fork-after-the-fast-path-took-its-pin",
        "The fast path has counted its pin when the fork comes.",
    ),
    _raced(
        "gup_fast.pte_read",
        "fork-after-the-fast-path-read-the-entry",
        "The fast path has only read the entry when the fork comes.",
    ),
    Scenario(
        "fast-path-while-a-fork-goes-on",
        ("ANON-FORK-SEQ",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Store(mapping=1, page=1, value=1),
            Fork(),
            GetUserPagesFast(mapping=1, page=1),
            Store(mapping=1, page=1, word=1, value=2),
            DeviceComplete(value=3),
            Load(mapping=1, page=1),
            Load(process=1, mapping=1, page=1),
            schedule=(Preempt(3, "fork.pte_copied", until=4),),
        ),
        "The fork has not come to the page when the fast path pins it.",
    ),
    Scenario(
        "stores-while-a-fork-copies",
        ("ANON-FORK-SNAPSHOT",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Store(mapping=1, page=1, value=1),
            GetUserPages(mapping=1, pages=2),
            Fork(),
            Store(mapping=1, value=2),
            Store(mapping=1, page=1, value=3),
            DeviceAbort(),
            Load(process=1, mapping=1),
            Load(process=1, mapping=1, page=1),
            schedule=(Preempt(4, "fork.page_copied", until=6),),
        ),
        "The first page is copied early; both are stored to before the second is.",
    ),
    Scenario(
        "stores-between-two-pages-of-a-fork",
        ("ANON-FORK-SNAPSHOT",),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            Store(mapping=1, page=1, value=1),
            GetUserPagesFast(mapping=1),
            Fork(),
            Store(mapping=1, value=2),
            Store(mapping=1, page=1, value=3),
            DeviceAbort(),
            Load(process=1, mapping=1),
            Load(process=1, mapping=1, page=1),
            schedule=(Preempt(4, "fork.pte_copied", until=6),),
        ),
        "The first page is done with, and is pinned; the second is yet to be shared.",
    ),
    Scenario(
        "device-writes-while-a-fork-copies",
        ("ANON-FORK-SNAPSHOT", "ANON-FORK-COPY"),
        program(
            ANONYMOUS,
            Store(mapping=1, value=1),
            GetUserPages(mapping=1),
            Fork(),
            DeviceWrite(value=2),
            DeviceWrite(word=1, value=3),
            PutUserPagesDirtyLock(),
            *_LOOKS,
            schedule=(Preempt(3, "fork.page_copied", until=4),),
        ),
        "The child may have what the device wrote while it was made, or not.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*COPIES, *RACES)
