"""The chapter on direct I/O."""

import pytest

from conformance.interface import (
    Create,
    DirectRead,
    DirectWrite,
    Errno,
    Feature,
    Hold,
    KernelError,
    Load,
    Munmap,
    Operation,
    Read,
    Store,
    Truncate,
    VmStat,
    Write,
)
from conformance.rules.direct_calls import (
    blocks_stay_while_they_are_written,
    direct_io_within_a_file_ends,
    only_what_was_done_is_claimed,
)
from conformance.rules.direct_io import (
    RULES,
    a_changing_buffer_is_captured_once,
    buffers_are_pinned_to_the_end,
    direct_reads_see_the_cache,
    the_cache_is_invalidated_again,
    the_cache_makes_way,
    what_was_read_stays_in_the_buffer,
)
from conformance.rules.direct_losses import DIRECT_OWNERS
from conformance.rules.rule import Rule
from conformance.scenarios.direct_io import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.direct_io import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

EIO = KernelError(Errno.EIO, "no")

# --- whole stacks ---------------------------------------------------------------------


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
    """The scenarios of the chapter find all of its rules on direct I/O."""
    own = {rule.id for rule in RULES}

    found = accused(mutant.boot, SCENARIOS, RULES)
    assert found == set(mutant.violates) & own
    assert mutant.violates[0] in found


def test_each_rule_has_a_mutant_and_may_own_losses() -> None:
    """No rule of the chapter is without either."""
    ids = {rule.id for rule in RULES}

    assert {mutant.violates[0] for mutant in MUTANTS} == ids == DIRECT_OWNERS


# --- histories made up ----------------------------------------------------------------

STALE = "word 0 of page 0 of file 1 is 1 (should be 5)"


def told(*calls: tuple[Operation, object], features: tuple[Feature, ...] = ()) -> Story:
    """Return a story of calls that follow one another, with their answers."""
    story = Story(*features)
    for operation, answer in calls:
        if isinstance(answer, KernelError):
            story.do(operation, error=answer)
        else:
            story.do(operation, answer)
    return story


def blamed(story: Story) -> dict[str, list[str]]:
    """Return what each rule of the chapter finds, if anything."""
    findings = {rule.id: story.found(rule) for rule in RULES}
    return {rule: found for rule, found in findings.items() if found}


CACHED = (
    (Create(file=1), None),
    (Write(file=1, value=1), None),
    (Store(value=5), None),
)


def test_a_cache_that_hides_a_direct_write_is_found() -> None:
    """It was there before, and nobody came in between."""
    story = told(*CACHED, (DirectWrite(), 1), (Read(file=1), (1, 0)))

    assert blamed(story) == {"DIO-INV-BEFORE": [STALE]}
    assert story.premises(the_cache_makes_way) == 1


def test_a_cache_filled_during_a_direct_write_is_found() -> None:
    """A reader that overlaps it may be answered either way, but not a later one."""
    story = told(*CACHED)
    write = story.ask(DirectWrite())
    story.do(Read(file=1), (1, 0))
    story.answer(write, 1)
    story.do(Read(file=1), (1, 0))

    assert blamed(story) == {"DIO-INV-AFTER": [STALE]}
    assert story.premises(the_cache_is_invalidated_again) == 1


@pytest.mark.parametrize("seen", [(1, 0), (5, 0)])
def test_a_direct_write_in_flight_may_be_seen_or_not(seen: tuple[int, int]) -> None:
    """S4: nothing is ordered."""
    story = told(*CACHED, (Hold(), None))
    story.ask(DirectWrite())
    story.do(Read(file=1), seen)

    assert blamed(story) == {}


@pytest.mark.parametrize("answer", [EIO, 0])
def test_a_direct_write_that_failed_promises_nothing(answer: object) -> None:
    """The file may have the old content or the new."""
    for seen in ((1, 0), (5, 0)):
        story = told(*CACHED, (DirectWrite(), answer), (Read(file=1), seen))
        assert blamed(story) == {}


def test_a_stack_may_go_through_its_cache() -> None:
    """No observation of it can tell."""
    story = told(*CACHED, (DirectWrite(), 1), (Read(file=1), (5, 0)))

    assert blamed(story) == {}


def test_a_direct_read_of_what_the_disk_had_is_found() -> None:
    """The file was written to, and not synced."""
    story = told(*CACHED[:2], (DirectRead(), 1), (Load(), 0))

    sentence = "word 0 of page 0 of file 0 is 0 (should be 1)"
    assert blamed(story) == {"DIO-READ-FLUSH": [sentence]}
    assert story.premises(direct_reads_see_the_cache) == 1


def test_a_buffer_that_lost_its_data_is_found() -> None:
    """What is seen was in the buffer, never in the file that was read."""
    story = told(*CACHED[:2], (Store(value=9), None), (DirectRead(), 1), (Load(), 9))

    sentence = "word 0 of page 0 of file 0 is 9 (should be 1)"
    assert blamed(story) == {"DIO-BUF-WRITE": [sentence]}
    assert story.premises(what_was_read_stays_in_the_buffer) == 1


def test_a_buffer_taken_by_others_is_found() -> None:
    """Neither the file nor the buffer ever held what is read."""
    story = told(*CACHED)
    write = story.ask(DirectWrite())
    story.do(Munmap())
    story.answer(write, 1)
    story.do(Read(file=1), (7, 0))

    assert list(blamed(story)) == ["DIO-ASYNC-LIFETIME"]
    assert story.premises(buffers_are_pinned_to_the_end) == 1


def test_a_claim_beyond_the_buffer_is_found() -> None:
    """The second page of the buffer lies beyond the end of its file."""
    write = DirectWrite(page=2, pages=2)
    start = ((Create(file=1), None), (Truncate(words=6), None))

    story = told(*start, (write, 2))
    assert story.found(only_what_was_done_is_claimed) == [
        f"{write} answered 2 page(s), but its buffer has 1 (should be at most 1)"
    ]
    assert blamed(told(*start, (write, 1))) == {}
    assert blamed(told(*start, (write, EIO))) == {}


def test_content_that_appears_beyond_a_short_write_is_found() -> None:
    """It is neither old nor new: a block that nobody has written."""
    story = told(
        (Create(file=1), None),
        (Truncate(file=1, words=8), None),
        (Store(page=2, value=5), None),
        (Truncate(words=6), None),
        (DirectWrite(page=2, pages=2), 1),
        (Read(file=1, page=1), (9, 0)),
    )

    assert list(blamed(story)) == ["DIO-PARTIAL"]


def test_a_page_lost_with_each_failure_is_found() -> None:
    """The first failure may leave something behind, the third must not."""
    story = told(*CACHED)
    for free in (20, 19, 18):
        story.do(DirectWrite(), error=EIO)
        story.look(VmStat(nr_free_pages=free))

    assert story.found(only_what_was_done_is_claimed) == [
        (
            f"{DirectWrite()} failed again and left fewer free pages than the time "
            "before (should be as many)"
        )
    ]


def test_direct_io_that_waits_for_itself_is_found() -> None:
    """Its buffer is a mapping of what it reads."""
    story = told((Write(value=5), None))
    story.ask(DirectRead(file=0))

    assert story.found(direct_io_within_a_file_ends) == [
        f"{DirectRead(file=0)} on its own buffer has not answered"
    ]


def test_direct_io_on_another_file_is_not_its_own() -> None:
    """It is not this rule's business for what it waits."""
    story = told((Create(file=1), None))
    story.ask(DirectWrite())

    assert story.premises(direct_io_within_a_file_ends) == 0


@pytest.mark.parametrize(
    ("features", "found"), [((Feature.CHECKSUMS,), 1), ((Feature.STABLE_WRITES,), 0)]
)
def test_a_page_that_cannot_be_read_is_found(
    features: tuple[Feature, ...], found: int
) -> None:
    """Where there is nothing to contradict the content, an error is another matter."""
    story = told(*CACHED, (DirectWrite(), 1), (Read(file=1), EIO), features=features)

    assert len(story.found(a_changing_buffer_is_captured_once)) == found


def test_another_file_with_what_was_written_directly_is_found() -> None:
    """The target had lost its block meanwhile, and the other file got it."""
    story = told(*CACHED, (Create(file=2), None))
    write = story.ask(DirectWrite())
    story.do(Truncate(file=1))
    story.do(Write(file=2, value=9))
    story.answer(write, 1)
    story.do(Read(file=2), (5,))

    assert list(blamed(story)) == ["DIO-TRUNC"]
    assert story.premises(blocks_stay_while_they_are_written) == 1


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_quiet_history_has_no_premise(rule: Rule) -> None:
    """Without direct I/O there is nothing to judge."""
    story = told((Store(value=1), None), (Load(), 1))

    assert story.premises(rule) == 0
