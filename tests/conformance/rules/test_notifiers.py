"""Devices that follow the page tables: followed well, and in every way badly."""

import pytest

from conformance.interface import (
    Attach,
    Detach,
    Errno,
    Evict,
    Fork,
    Fsync,
    KernelError,
    Load,
    MirrorRead,
    MirrorWrite,
    Mmap,
    Mprotect,
    Munmap,
    PageView,
    PowerCut,
    PunchHole,
    Read,
    Store,
    Truncate,
    VmStat,
)
from conformance.program import Preempt, Program
from conformance.rules.notifiers import (
    RULES,
    attached_devices_hold_no_pins,
    cleaning_is_an_event,
    copies_are_events,
    entries_do_not_outlive_pages,
    revoked_pages_are_dirty,
    stale_entries_are_not_taken_over,
)
from conformance.rules.rule import Rule
from conformance.scenarios.notifiers import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.mutant import Mutant
from reference_impl.mutants.notifiers import MUTANTS
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story
from tests.conformance.rules.told import cut

OWN = {rule.id for rule in RULES}
FAULT = KernelError(Errno.EFAULT)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_a_scenario_exercises_its_rules(scenario: Scenario) -> None:
    """Each rule that it is written for has something to judge."""
    assert idle_rules(boot, scenario, RULES) == []


@pytest.mark.parametrize("promise", list(Promise))
def test_correct_stacks_hold_the_chapter(promise: Promise) -> None:
    """Neither the reference nor the second stack violates a rule."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()
    assert accused(second_stack.boot, SCENARIOS, RULES, promise) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """Those of the chapter, and no other of it."""
    assert accused(mutant.boot, SCENARIOS, RULES) == OWN & set(mutant.violates)


def attached(*more: Mmap | Store | Fork) -> Story:
    """Return a story in which device 0 follows mapping 0."""
    story = Story()
    for operation in more:
        story.do(operation)
    story.do(Attach())
    return story


def owners(story: Story) -> list[str]:
    """Return which rules of the chapter find something."""
    return [rule.id for rule in RULES if story.found(rule)]


# --- MMU-NOPIN ---------------------------------------------------------------------


def accessed(after: PageView, *, requested: int = 0, returned: int = 0) -> Story:
    """Return a story in which a device writes, with what is shown then."""

    def stat(slow: int, put: int) -> VmStat:
        return VmStat(
            nr_gup_slow_pages_requested=slow,
            nr_gup_fast_pages_requested=0,
            nr_gup_pages_returned=put,
        )

    story = Story(start=stat(0, 0))
    story.do(Attach())
    story.look(stat(0, 0), {(0, 0): PageView(is_cached=True, maybe_pinned=False)})
    story.do(MirrorWrite())
    story.look(stat(requested, returned), {(0, 0): after})
    return story


def test_a_pin_that_stays_is_found() -> None:
    """It was counted, and not put."""
    story = accessed(PageView(is_cached=True), requested=1)

    assert story.found(attached_devices_hold_no_pins) == [
        "mirror_write changed the number of pins held by 1 (should leave it)"
    ]


def test_a_pin_may_be_taken_for_the_time_of_an_access() -> None:
    """Linux says: or drops it in the callback."""
    story = accessed(PageView(is_cached=True), requested=1, returned=1)

    assert story.found(attached_devices_hold_no_pins) == []


def test_a_pin_that_no_counter_tells_is_found() -> None:
    """The page begins to look pinned, and nobody else has pinned it."""
    story = accessed(PageView(is_cached=True, maybe_pinned=True))

    assert story.found(attached_devices_hold_no_pins) == [
        (
            "page 0 of file 0 may be pinned after mirror_write "
            "(should not be: nobody pins it)"
        )
    ]


def test_a_page_that_looked_pinned_before_says_nothing() -> None:
    """A yes may be wrong; a stack may always say it."""
    story = Story(pages={(0, 0): PageView(is_cached=True, maybe_pinned=True)})
    story.do(Attach())
    story.do(MirrorWrite())
    story.look(pages={(0, 0): PageView(is_cached=True, maybe_pinned=True)})

    assert story.found(attached_devices_hold_no_pins) == []


# --- MMU-ORDER ---------------------------------------------------------------------


@pytest.mark.parametrize("access", [MirrorRead(), MirrorWrite(value=2)], ids=named)
def test_an_access_to_a_mapping_that_is_gone_is_found(
    access: MirrorRead | MirrorWrite,
) -> None:
    """It was answered as if nothing had happened."""
    story = attached()
    story.do(Munmap())
    story.do(access, 0)

    assert story.found(entries_do_not_outlive_pages) == [
        f"{access} was answered after its mapping was gone (should be refused)"
    ]


def test_a_refused_access_to_a_mapping_that_is_gone_is_right() -> None:
    """The premise is there, and nothing is found."""
    story = attached()
    story.do(Munmap())
    story.do(MirrorRead(), error=FAULT)

    assert story.premises(entries_do_not_outlive_pages) == 1
    assert story.found(entries_do_not_outlive_pages) == []


def test_an_access_beside_munmap_may_be_answered_or_refused() -> None:
    """Nobody can tell which came first."""
    story = attached()
    munmap = story.ask(Munmap())
    story.do(MirrorRead(), 0)
    story.do(MirrorWrite(), error=FAULT)
    story.answer(munmap)

    assert owners(story) == []


def test_what_was_cut_off_is_not_read_again() -> None:
    """The device reads a page that is the file's no more."""
    story = attached()
    story.do(MirrorWrite(value=1))
    story.do(PunchHole())
    story.do(MirrorRead(), 1)

    assert story.found(entries_do_not_outlive_pages) == [
        "word 0 of page 0 of file 0 is 1 (should be 0)"
    ]
    assert owners(story) == ["MMU-ORDER"]


def test_what_is_being_cut_off_may_be_read_or_not() -> None:
    """The read and the cut overlap."""
    for seen in (0, 1):
        story = attached()
        story.do(MirrorWrite(value=1))
        read = story.ask(MirrorRead())
        story.do(PunchHole())
        story.answer(read, seen)

        assert owners(story) == []


def test_what_is_written_to_a_page_that_was_cut_off_is_lost() -> None:
    """The device wrote to nobody's page."""
    story = attached()
    story.do(MirrorWrite(value=1))
    story.do(Truncate(words=0))
    story.do(Truncate(words=8))
    story.do(MirrorWrite(value=2))
    story.do(Load(), 0)

    assert owners(story) == ["MMU-ORDER"]


def stopped(at: str) -> Story:
    """Return a story in which a device's write is stopped while a sync runs."""
    story = Story()
    story.history.program = Program(
        (Attach(), MirrorWrite(value=1), Fsync(), Fsync(), PowerCut()),
        schedule=(Preempt(1, at, until=2),),
    )
    story.do(Attach())
    story.look()
    write = story.ask(MirrorWrite(value=1))
    story.look(parked=[1], pending=[1])
    story.do(Fsync())
    story.look(parked=[1], pending=[1])
    story.answer(write)
    story.look()
    story.do(Fsync())
    story.do(PowerCut(), cut(0))
    return story


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        ("mirror.started", entries_do_not_outlive_pages),
        ("notifier.pte_found", stale_entries_are_not_taken_over),
    ],
)
def test_where_an_access_was_stopped_tells_whose_loss_it_is(
    at: str, rule: Rule
) -> None:
    """In flight it was not drained; while it looked up, the entry was stale."""
    story = stopped(at)

    assert story.premises(rule) == 1
    assert story.found(rule) == [
        "word 0 of page 0 of file 0 is 0 after a power cut (should be 1)"
    ]
    assert owners(story) == [rule.id]


# --- MMU-DOWNGRADE -----------------------------------------------------------------


def test_a_write_to_a_read_only_mapping_is_found() -> None:
    """The process could not write there either."""
    story = attached()
    story.do(Mprotect(writable=False))
    story.do(MirrorWrite(value=2))

    assert story.found(cleaning_is_an_event) == [
        (
            "MirrorWrite(device=0, page=0, word=0, value=2) wrote to a mapping that is "
            "read-only (should be refused)"
        )
    ]


def test_a_write_while_the_mapping_becomes_read_only_may_be_answered() -> None:
    """Nobody can tell which came first."""
    story = attached()
    protect = story.ask(Mprotect(writable=False))
    story.do(MirrorWrite(value=2))
    story.answer(protect)

    assert story.found(cleaning_is_an_event) == []


def test_what_is_written_after_a_sync_is_not_lost() -> None:
    """The device kept its right to write, and the next sync did not notice."""
    story = attached()
    story.do(MirrorWrite(value=1))
    story.do(Fsync())
    story.do(MirrorWrite(value=2))
    story.do(Fsync())
    story.do(PowerCut(), cut(1))

    assert story.premises(cleaning_is_an_event) == 1
    assert owners(story) == ["MMU-DOWNGRADE"]


def test_what_was_not_synced_may_be_lost_in_a_power_cut() -> None:
    """The device wrote after the last sync."""
    for word in (1, 2):
        story = attached()
        story.do(MirrorWrite(value=1))
        story.do(Fsync())
        story.do(MirrorWrite(value=2))
        story.do(PowerCut(), cut(word))

        assert owners(story) == []


# --- MMU-DIRTY ---------------------------------------------------------------------


def test_what_a_device_wrote_before_it_went_is_not_lost() -> None:
    """The page was taken for clean, and dropped."""
    story = attached()
    story.do(MirrorWrite(value=1))
    story.do(Detach())
    story.do(Munmap())
    story.do(Evict())
    story.do(Read(), (0, 0))

    assert story.premises(revoked_pages_are_dirty) == 1
    assert owners(story) == ["MMU-DIRTY"]


def test_a_refused_write_is_owed_by_nobody() -> None:
    """The disk was full, for instance."""
    story = attached()
    story.do(MirrorWrite(value=1), error=KernelError(Errno.ENOSPC))
    story.do(Munmap())
    story.do(Read(), (0, 0))

    assert owners(story) == []


# --- MMU-FORKCOW -------------------------------------------------------------------


def private() -> Story:
    """Return a story with a device on private memory, shared by a fork."""
    story = Story()
    story.do(Mmap(file=None, shared=False))
    story.do(Attach(mapping=1))
    story.do(MirrorWrite(value=1))
    story.do(Fork())
    return story


def test_a_page_that_was_copied_is_not_read_again() -> None:
    """The process writes to its copy, and the device does not see it."""
    story = private()
    story.do(Store(mapping=1, value=2))
    story.do(MirrorRead(), 1)

    assert story.premises(copies_are_events) == 1
    assert story.found(copies_are_events) == [
        "word 0 of page 0 of private memory is 1 (should be 2)"
    ]


def test_a_child_does_not_see_what_the_parents_device_writes() -> None:
    """The page was shared, and the device did not hear of it."""
    story = private()
    story.do(MirrorWrite(value=2))
    story.do(Load(process=1, mapping=1), 2)

    assert owners(story) == ["MMU-FORKCOW"]


def test_a_child_sees_what_the_parents_device_wrote_before() -> None:
    """What a fork copies includes what devices have written."""
    story = private()
    story.do(Load(process=1, mapping=1), 1)
    story.do(MirrorRead(), 1)

    assert owners(story) == []


def test_a_loss_of_private_memory_without_a_device_is_not_of_this_chapter() -> None:
    """Nobody is attached to it."""
    story = Story()
    story.do(Mmap(file=None, shared=False))
    story.do(Store(mapping=1, value=1))
    story.do(Load(mapping=1), 0)

    assert owners(story) == []
