"""Claims about pinned pages, the zero page, and forks: histories written by hand."""

import pytest

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    Dontneed,
    Fork,
    GetUserPages,
    Load,
    Mmap,
    Operation,
    PageView,
    PutUserPage,
    Store,
    VmStat,
    Write,
)
from conformance.oracle.history import Sample
from conformance.rules.anonymous import RULES
from conformance.rules.anonymous_fork import (
    fork_copies_no_file_pages,
    fork_takes_a_snapshot,
)
from conformance.rules.anonymous_pins import (
    pinned_pages_are_exclusive,
)
from conformance.rules.anonymous_zero import zero_pages_are_balanced
from conformance.rules.references import (
    each_pin_adds_the_bias,
    no_false_negatives,
    nothing_stays_behind,
)
from conformance.verdicts import Promise
from tests.conformance.rules.private_stories import (
    ANONYMOUS,
    PIN,
    PRIVATE,
    READER,
    STORE,
    does,
    found,
    told,
)
from tests.conformance.rules.story import Story

# --- claims ---------------------------------------------------------------------------


def shown(view: PageView, *operations: Operation) -> Story:
    """Tell a history, and what is shown of the page behind pin 0."""
    story = told(*operations)
    story.look(pins={(0, 0): view})
    return story


def test_a_page_pinned_for_writing_is_claimed_to_be_exclusive() -> None:
    """A claim that it is shared is a violation, no claim is not."""
    rule = pinned_pages_are_exclusive
    shared = PageView(is_exclusive=False)

    assert found(shown(shared, ANONYMOUS, PIN), rule) == [
        (
            "page 0 of pin 0 is said not to be exclusive (should be, as a device may "
            "write to it)"
        )
    ]
    assert found(shown(PageView(is_exclusive=True), ANONYMOUS, PIN), rule) == []
    assert found(shown(PageView(), ANONYMOUS, PIN), rule) == []


@pytest.mark.parametrize(
    "operations",
    [
        (ANONYMOUS, READER),
        (ANONYMOUS, GetUserPages(mapping=1, tracked=False)),
        (ANONYMOUS, PIN, Dontneed(mapping=1)),
        (ANONYMOUS, PIN, DeviceAbort()),
        (GetUserPages(),),
        (Mmap(mapping=1, file=None), PIN),
    ],
    ids=["reader", "plain", "given up", "put", "file", "shared"],
)
def test_other_pages_may_be_shared(operations: tuple[Operation, ...]) -> None:
    """Readers, plain references, and pages that are nobody's any more."""
    story = shown(PageView(is_exclusive=False), *operations)

    assert found(story, pinned_pages_are_exclusive) == []


# --- the zero page --------------------------------------------------------------------


def balanced(*counts: int, put: Operation = DeviceAbort()) -> Story:
    """Tell of a pin of memory that nobody wrote, and what was counted after each."""
    story = Story(start=VmStat(nr_foll_pin_acquired=0, nr_foll_pin_released=0))
    steps = (ANONYMOUS, READER, put)
    for operation, count in zip(steps, (0, *counts), strict=False):
        does(story, operation)
        story.look(VmStat(nr_foll_pin_acquired=count, nr_foll_pin_released=0))
    return story


def test_the_zero_page_is_not_counted() -> None:
    """Neither at the pin nor at the put."""
    story = balanced(0, 0)

    assert found(story, zero_pages_are_balanced) == []
    assert story.premises(zero_pages_are_balanced) == 1


def test_the_zero_page_may_be_counted_both_times_in_the_documents_promise() -> None:
    """Mainline says that it is not counted at all."""
    story = balanced(1, 0)

    assert found(story, zero_pages_are_balanced, Promise.DOCUMENT) == []
    assert len(found(story, zero_pages_are_balanced)) == 1


@pytest.mark.parametrize("counts", [(1, 1), (0, -1)], ids=["pin only", "put only"])
def test_the_zero_page_is_not_counted_once(counts: tuple[int, int]) -> None:
    """What is counted at the one and not at the other adds up."""
    for promise in Promise:
        story = balanced(*counts)
        assert len(found(story, zero_pages_are_balanced, promise)) == 1


def test_a_pin_that_is_not_put_cannot_be_unbalanced() -> None:
    """It is not known yet what the put will count."""
    story = balanced(1)

    assert found(story, zero_pages_are_balanced, Promise.DOCUMENT) == []
    assert story.premises(zero_pages_are_balanced) == 0


@pytest.mark.parametrize(
    "operation",
    [
        STORE,
        GetUserPages(mapping=1, pin=1),
        GetUserPages(mapping=1, pin=1, write=False, longterm=True),
    ],
    ids=["store", "write pin", "long pin"],
)
def test_a_page_that_may_have_been_written_is_not_the_zero_page(
    operation: Operation,
) -> None:
    """Then pins count as others do."""
    story = Story(start=VmStat(nr_foll_pin_acquired=0, nr_foll_pin_released=0))
    for step, count in (
        (ANONYMOUS, 0),
        (operation, 0),
        (READER, 1),
        (PutUserPage(), 1),
    ):
        does(story, step)
        story.look(VmStat(nr_foll_pin_acquired=count, nr_foll_pin_released=0))

    assert story.premises(zero_pages_are_balanced) == 0


# --- forks ----------------------------------------------------------------------------


def after_a_write(parent: int, child: int, *steps: Operation) -> Story:
    """Tell what parent and child show after the file was written to."""
    story = told(Write(value=1), *steps, Write(value=7))
    story.do(Load(process=1, mapping=1), child)
    story.do(Load(mapping=1), parent)
    return story


def test_a_child_that_copied_a_files_page_is_out_of_date() -> None:
    """It shows what the file was at the fork, while the parent shows the file."""
    steps = (PRIVATE, READER, Fork())

    assert found(after_a_write(7, 1, *steps), fork_copies_no_file_pages) == [
        (
            "word 0 of page 0 is 1 in a private mapping that nobody wrote to "
            "(should be 7, as in file 0, and for the parent)"
        )
    ]
    assert found(after_a_write(7, 7, *steps), fork_copies_no_file_pages) == []
    assert found(after_a_write(1, 1, *steps), fork_copies_no_file_pages) == []


@pytest.mark.parametrize(
    "steps",
    [
        (PRIVATE, STORE, READER, Fork()),
        (PRIVATE, PIN, Fork()),
        (PRIVATE, GetUserPages(mapping=1, write=False, longterm=True), Fork()),
        (PRIVATE, READER, Fork(), Store(process=1, mapping=1, word=1, value=2)),
        (PRIVATE, READER, DeviceAbort(), Fork()),
    ],
    ids=["stored", "write pin", "long pin", "child stored", "put"],
)
def test_a_child_with_a_page_of_its_own_may_be_out_of_date(
    steps: tuple[Operation, ...],
) -> None:
    """A page that was copied before, or after, does not follow the file."""
    story = after_a_write(7, 1, *steps)

    assert found(story, fork_copies_no_file_pages) == []


def snapshot(first: int, second: int) -> Story:
    """Tell of two stores one after the other during a fork, and what the child has."""
    story = told(ANONYMOUS, STORE, Store(mapping=1, page=1, value=1))
    fork = story.ask(Fork())
    does(story, Store(mapping=1, value=2))
    does(story, Store(mapping=1, page=1, value=3))
    story.answer(fork)
    story.do(Load(process=1, mapping=1), first)
    story.do(Load(process=1, mapping=1, page=1), second)
    return story


@pytest.mark.parametrize("values", [(1, 1), (2, 1), (2, 3)])
def test_a_child_may_have_any_moment_of_the_fork(values: tuple[int, int]) -> None:
    """Nothing, the first store, or both."""
    story = snapshot(*values)

    assert found(story, fork_takes_a_snapshot) == []
    assert story.premises(fork_takes_a_snapshot)


def test_a_child_has_no_store_without_those_before_it() -> None:
    """The second store without the first is no moment of the parent."""
    assert found(snapshot(1, 3), fork_takes_a_snapshot) == [
        (
            "word 0 of page 0 is 1 in a child that shows the later "
            f"{Store(mapping=1, page=1, value=3)} in call 7 (should be 2)"
        )
    ]


def test_what_the_child_stored_itself_is_no_part_of_the_snapshot() -> None:
    """It may have any value of its own."""
    story = snapshot(2, 3)
    story.do(Store(process=1, mapping=1, value=9))
    story.do(Load(process=1, mapping=1), 9)

    assert found(story, fork_takes_a_snapshot) == []


def test_stores_that_overlap_have_no_order() -> None:
    """Then the child may have either, or both."""
    story = told(ANONYMOUS, STORE)
    fork = story.ask(Fork())
    store = story.ask(Store(mapping=1, value=2))
    does(story, Store(mapping=1, page=1, value=3))
    story.answer(store)
    story.answer(fork)
    story.do(Load(process=1, mapping=1), 1)
    story.do(Load(process=1, mapping=1, page=1), 3)

    assert found(story, fork_takes_a_snapshot) == []


def test_samples_are_not_needed() -> None:
    """No rule of the chapter fails on a history in which nothing was shown."""
    story = told(ANONYMOUS, STORE, PIN, Fork(), DeviceComplete(value=3))
    story.history.samples = list[Sample]()

    outcomes = story.judged(RULES).outcomes
    assert [o.error for o in outcomes.values() if o.error or o.findings] == []


def test_chapters_on_references_know_the_zero_page() -> None:
    """It need not be counted, nor be said to be pinned; a page that is written must."""
    rules = (no_false_negatives, each_pin_adds_the_bias)
    view = PageView(maybe_pinned=False, refcount=1, frame=3)

    for rule in rules:
        assert found(shown(view, ANONYMOUS, READER), rule) == []
        assert len(found(shown(view, ANONYMOUS, PIN), rule)) == 1


def test_a_read_pin_of_a_private_mapping_holds_the_files_page() -> None:
    """Then its count is that of a pinned page, and rightly so."""
    story = told(PRIVATE, READER)
    story.look(pages={(0, 0): PageView(is_cached=True, refcount=1026)})

    assert found(story, nothing_stays_behind) == []
    does(story, DeviceAbort())
    story.look(pages={(0, 0): PageView(is_cached=True, refcount=1026)})
    assert len(found(story, nothing_stays_behind)) == 1
