"""Whose a wrong word of private memory is: one history for each way to lose it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from conformance.interface import (
    ClearRefs,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    Dontneed,
    Exit,
    Fork,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Merge,
    Migrate,
    Mmap,
    Mprotect,
    Munmap,
    Operation,
    Pageout,
    Read,
    Signal,
    SignalName,
    Store,
    Write,
)
from conformance.rules.catalogue import RULES
from conformance.rules.losses import all_losses_of, losses_of
from conformance.rules.private_blame import PRIVATE_OWNERS
from tests.conformance.rules.story import Story

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
OTHER = Mmap(mapping=2, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)
READ_ONLY = Mmap(mapping=1, shared=False, pages=2, writable=False)
STORE = Store(mapping=1, value=1)
LATER = Store(mapping=1, value=2)
PIN = GetUserPages(mapping=1)
READER = GetUserPages(mapping=1, write=False)
LONG = GetUserPages(mapping=1, write=False, longterm=True)
DEVICE = DeviceComplete(value=3)
LOAD = Load(mapping=1)
CHILD = Load(process=1, mapping=1)

Step = Operation | tuple[Operation, object]
"""An operation, and what it answers if that is not the usual."""

LOST: dict[str, tuple[str, Sequence[Step]]] = {
    "the parent lost its device": (
        "ANON-FORK-COPY",
        (ANONYMOUS, STORE, PIN, Fork(), DEVICE, (LOAD, 1)),
    ),
    "the device lost its parent": (
        "ANON-FORK-COPY",
        (ANONYMOUS, STORE, READER, Fork(), LATER, (DeviceRead(), 1)),
    ),
    "the child sees the parent's device": (
        "ANON-FORK-COPY",
        (ANONYMOUS, STORE, PIN, Fork(), DEVICE, (CHILD, 3)),
    ),
    "the child sees what the parent stored to a pinned page": (
        "ANON-FORK-COPY",
        (ANONYMOUS, STORE, PIN, Fork(), LATER, (CHILD, 2)),
    ),
    "the child has nothing of a pinned page": (
        "ANON-FORK-COPY",
        (ANONYMOUS, STORE, PIN, Fork(), (CHILD, 0)),
    ),
    "the child has nothing": (
        "ANON-FORK-SNAPSHOT",
        (ANONYMOUS, STORE, Fork(), (CHILD, 0)),
    ),
    "the child sees what the parent stored": (
        "ANON-ISOLATION",
        (ANONYMOUS, STORE, Fork(), LATER, (CHILD, 2)),
    ),
    "the child's device sees what the parent stored": (
        "ANON-ISOLATION",
        (
            ANONYMOUS,
            STORE,
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Munmap(process=1, mapping=1),
            LATER,
            (DeviceRead(), 2),
        ),
    ),
    "the child's pin was not unshared": (
        "ANON-UNSHARE",
        (
            ANONYMOUS,
            STORE,
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Store(process=1, mapping=1, value=2),
            (DeviceRead(), 1),
        ),
    ),
    "the parent's pin was not unshared, even for long": (
        "ANON-UNSHARE",
        (ANONYMOUS, STORE, Fork(), LONG, Exit(process=1), LATER, (DeviceRead(), 1)),
    ),
    "a store was copied away from a reader": (
        "ANON-WRITEREUSE",
        (ANONYMOUS, STORE, READER, LATER, (DeviceRead(), 1)),
    ),
    "a store was copied away after a protection": (
        "ANON-WRITEREUSE",
        (
            ANONYMOUS,
            PIN,
            Mprotect(mapping=1),
            Mprotect(mapping=1, writable=True),
            Store(mapping=1, word=1, value=2),
            DEVICE,
            (LOAD, 0),
        ),
    ),
    "a page pinned after the sharing had ended was copied": (
        "ANON-WRITEREUSE",
        (ANONYMOUS, STORE, Fork(), LATER, READER, STORE, (DeviceRead(), 2)),
    ),
    "bookkeeping parted them": (
        "ANON-NOWP",
        (ANONYMOUS, STORE, PIN, ClearRefs(), LATER, (DeviceRead(), 1)),
    ),
    "the page went to swap": (
        "ANON-NOSWAP",
        (ANONYMOUS, STORE, PIN, Pageout(mapping=1), DEVICE, (LOAD, 1)),
    ),
    "the page was moved": (
        "ANON-NOSWAP",
        (ANONYMOUS, STORE, PIN, Migrate(mapping=1), DEVICE, (LOAD, 1)),
    ),
    "the page was merged": (
        "ANON-EXCL",
        (ANONYMOUS, STORE, PIN, Merge(mapping=1), DEVICE, (LOAD, 1)),
    ),
    "its equal has what the device wrote": (
        "ANON-EXCL",
        (ANONYMOUS, PIN, Merge(mapping=1), DEVICE, (Load(mapping=1, page=1), 3)),
    ),
    "a debugger's write is nowhere": (
        "ANON-WRITEREUSE",
        (
            READ_ONLY,
            GetUserPages(mapping=1, force=True),
            DEVICE,
            (LOAD, 0),
        ),
    ),
    "a debugger's write is in the file": (
        "ANON-FORCE",
        (READ_ONLY, GetUserPages(mapping=1, force=True), DEVICE, (Load(), 3)),
    ),
    "a debugger's write is in the zero page": (
        "ANON-FORCE",
        (
            Mmap(mapping=1, file=None, shared=False, writable=False),
            OTHER,
            GetUserPagesFast(mapping=1, force=True),
            DEVICE,
            (Load(mapping=2), 3),
        ),
    ),
    "a device's write is in the zero page": (
        "GWB-WRITEBIT",
        (ANONYMOUS, OTHER, PIN, DEVICE, (Load(mapping=2), 3)),
    ),
    "a device of the child writes to the shared page": (
        "GWB-WRITEBIT",
        (
            ANONYMOUS,
            STORE,
            Fork(),
            GetUserPages(process=1, mapping=1),
            DEVICE,
            (LOAD, 3),
        ),
    ),
    "a driver of the child writes to the shared page": (
        "GWB-WRITEBIT",
        (
            ANONYMOUS,
            STORE,
            Fork(),
            (DeviceTransfer(process=1, mapping=1, value=3), 1),
            (LOAD, 3),
        ),
    ),
    "what was given up is there again": (
        "ANON-DONTNEED",
        (ANONYMOUS, STORE, Dontneed(mapping=1), (LOAD, 1)),
    ),
    "the device writes to the new page": (
        "ANON-DONTNEED",
        (ANONYMOUS, STORE, PIN, Dontneed(mapping=1), DEVICE, (LOAD, 3)),
    ),
    "the device reads the new page": (
        "ANON-DONTNEED",
        (ANONYMOUS, STORE, PIN, Dontneed(mapping=1), LATER, (DeviceRead(), 2)),
    ),
    "the device's page was emptied": (
        "ANON-DONTNEED",
        (ANONYMOUS, STORE, PIN, Munmap(mapping=1), (DeviceRead(), 0)),
    ),
    "the device's page is another mapping's": (
        "ANON-DONTNEED",
        (
            ANONYMOUS,
            STORE,
            PIN,
            Munmap(mapping=1),
            OTHER,
            Store(mapping=2, value=2),
            DeviceWrite(value=3),
            (Load(mapping=2), 3),
        ),
    ),
    "the device sees another mapping": (
        "ANON-DONTNEED",
        (
            ANONYMOUS,
            STORE,
            PIN,
            Munmap(mapping=1),
            OTHER,
            Store(mapping=2, value=2),
            (DeviceRead(), 2),
        ),
    ),
    "a private store is in the file": (
        "MKW-PRIVATE-MAP",
        (PRIVATE, LATER, (Read(), (2, *(0,)))),
    ),
    "a private device is in the file": (
        "MKW-PRIVATE-MAP",
        (PRIVATE, PIN, DEVICE, (Load(), 3)),
    ),
    "a private store is lost to the file": (
        "MKW-PRIVATE-MAP",
        (Write(value=5), PRIVATE, LATER, (LOAD, 5)),
    ),
    "a private page shows what was stored to the file later": (
        "MKW-PRIVATE-MAP",
        (PRIVATE, PIN, DEVICE, Store(value=4), (LOAD, 4)),
    ),
    "a child's device sees what the parent stored, given up or not": (
        "ANON-ISOLATION",
        (
            ANONYMOUS,
            STORE,
            Fork(),
            GetUserPages(process=1, mapping=1, write=False),
            Dontneed(process=1, mapping=1),
            LATER,
            (DeviceRead(), 2),
        ),
    ),
    "a reader of nobody's page missed the first store": (
        "LT-RO",
        (ANONYMOUS, LONG, LATER, (DeviceRead(), 0)),
    ),
    "a reader of a file's page missed the first store": (
        "LT-RO",
        (Write(value=5), PRIVATE, LONG, LATER, (DeviceRead(), 5)),
    ),
}


def told(steps: Sequence[Step]) -> Story:
    """Tell a history in which every pin is granted one page."""
    story = Story()
    for step in steps:
        operation, answer = step if isinstance(step, tuple) else (step, None)
        is_get = isinstance(operation, GetUserPages)
        story.do(operation, 1 if is_get else answer)
    return story


def accused(story: Story) -> set[str]:
    """Return the rules that a history violates."""
    judgement = story.judged(RULES)
    assert not [o.error for o in judgement.outcomes.values() if o.error]
    return set(judgement.violated)


@pytest.mark.parametrize("case", LOST)
def test_a_wrong_word_is_one_rules(case: str) -> None:
    """Exactly one rule reports it."""
    rule, steps = LOST[case]
    story = told(steps)

    losses = all_losses_of(story.case().oracle)
    assert [loss.owner for loss in (*losses.in_memory, *losses.on_disk)] == [rule]
    assert accused(story) - {"ANON-FORK-SEQ"} == {rule} - {"ANON-FORK-SEQ"}


def test_each_owner_has_a_case() -> None:
    """Those of races have tests of their own."""
    races = {"ANON-FORK-SEQ"}

    assert {rule for rule, _ in LOST.values()} | races == PRIVATE_OWNERS


def _right() -> Iterator[tuple[str, Sequence[Step]]]:
    """Yield the same histories without the last, wrong look."""
    for name, (_, steps) in LOST.items():
        yield name, steps[:-1]


@pytest.mark.parametrize(("name", "steps"), list(_right()), ids=list(LOST))
def test_what_led_to_it_is_no_offence(name: str, steps: Sequence[Step]) -> None:
    """It is the wrong word that counts."""
    assert accused(told(steps)) == set()


def test_chapters_on_files_do_not_see_it() -> None:
    """What private memory lost is none of their losses."""
    for _, steps in LOST.values():
        losses = losses_of(told(steps).case().oracle)
        assert losses.in_memory == losses.on_disk == ()


def raced(*look: tuple[Operation, object]) -> Story:
    """Pin a page while a fork goes on, and look."""
    story = Story()
    story.do(ANONYMOUS)
    story.do(STORE)
    get = story.ask(GetUserPagesFast(mapping=1))
    story.do(Fork())
    story.answer(get, 1)
    story.do(LATER)
    for operation, answer in look:
        story.do(operation, answer)
    return story


@pytest.mark.parametrize(
    "look",
    [
        ((DeviceRead(), 1),),
        ((DEVICE, None), (LOAD, 2)),
        ((DEVICE, None), (CHILD, 3)),
    ],
    ids=["device", "parent", "child"],
)
def test_a_pin_that_raced_with_a_fork_is_not_shared(
    look: tuple[tuple[Operation, object], ...],
) -> None:
    """Neither side may have lost it, nor the child see it."""
    assert accused(raced(*look)) == {"ANON-FORK-SEQ"}


def test_a_pin_that_raced_with_a_fork_and_stayed_is_right() -> None:
    """The parent has it, the child what there was."""
    story = raced((DeviceRead(), 2), (DEVICE, None), (LOAD, 3), (CHILD, 1))

    assert accused(story) == set()


def test_a_race_with_dontneed_is_not_the_files() -> None:
    """Dirty COW: the write fault's copy was gone, and the file's page pinned."""
    for get, rule in (
        (PIN, "GWB-WRITEBIT"),
        (GetUserPages(mapping=1, force=True), "ANON-FORCE"),
    ):
        story = Story()
        story.do(READ_ONLY if get.force else PRIVATE)
        call = story.ask(get)
        story.do(Dontneed(mapping=1))
        story.answer(call, 1)
        story.do(DEVICE)
        story.do(Load(), 3)

        assert accused(story) == {rule}


def test_a_signal_where_there_is_memory_is_a_loss() -> None:
    """A load of private memory ends in no signal; beyond a file's end it may."""
    story = told((ANONYMOUS, STORE, PIN, Pageout(mapping=1)))
    story.do(LOAD, error=Signal(SignalName.SIGBUS))

    assert accused(story) == {"ANON-NOSWAP"}


def test_owners_are_rules_that_report() -> None:
    """No owner is missing in the catalogue, and none comes twice."""
    owners = sorted(PRIVATE_OWNERS)

    assert set(owners) <= {rule.id for rule in RULES}
    assert all(one != other for one, other in pairwise(owners))
