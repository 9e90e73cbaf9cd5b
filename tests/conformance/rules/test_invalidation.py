"""Pages that leave their file while pinned: correct stacks, mutants, and histories."""

import attrs
import pytest

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    Dontneed,
    Feature,
    Fork,
    GetUserPages,
    Hold,
    Load,
    Mmap,
    Munmap,
    PageView,
    PunchHole,
    Read,
    Release,
    Store,
    Truncate,
    Unlink,
)
from conformance.interface.events import BlockSubmitted, WritebackEnded
from conformance.rules.gone_files import a_file_goes_though_pinned
from conformance.rules.invalidation import (
    RULES,
    a_mapping_goes_without_its_pins,
    a_new_page_takes_the_place,
    blocks_wait_for_their_last_write,
    cuts_do_not_wait_for_pins,
    orphans_reach_no_file,
    pinned_pages_are_not_reused,
)
from conformance.scenarios.invalidation import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.invalidation import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

WRITTEN = PageView(is_cached=True, is_under_writeback=True)


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
    """The rule it was made for is violated, and none that it does not name."""
    found = accused(mutant.boot, SCENARIOS, RULES)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


def test_a_munmap_may_wait_for_the_disk() -> None:
    """Only where nothing is held back, a wait is a wait for a pin."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Hold())
    held = story.ask(Munmap())
    story.look(pending=[held.index])
    story.do(Release())
    assert story.found(a_mapping_goes_without_its_pins) == []

    story.look(pending=[held.index])
    assert story.found(a_mapping_goes_without_its_pins) == [
        f"{Munmap()} waits for a pin to be put"
    ]


def test_data_lost_after_the_mapping_went() -> None:
    """The rule tells that the mapping had gone when the device wrote."""
    story = Story()
    story.do(Mmap(mapping=1))
    story.do(GetUserPages(mapping=1), 1)
    story.do(Munmap(mapping=1))
    story.do(DeviceComplete(value=7))
    story.do(Read(), (0, 0))

    (first, _) = story.found(a_mapping_goes_without_its_pins)
    assert first == (
        "word 0 of page 0 of file 0 is 0 (should be 7): munmap had removed the "
        "mapping of the pin"
    )


def test_an_orphans_value_in_another_file() -> None:
    """It does not matter in which file it is seen."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(PunchHole())
    story.do(DeviceWrite(value=7))
    story.do(Load(page=1), 7)

    assert len(story.found(orphans_reach_no_file)) == 1


def test_a_write_before_the_cut_is_no_orphans() -> None:
    """What was written while the page was the file's is no business of the rule."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(DeviceWrite(value=7))
    story.do(PunchHole())
    story.do(Load(), 7)

    assert story.found(orphans_reach_no_file) == []
    assert story.premises(orphans_reach_no_file) == 0


def test_a_truncate_may_wait_for_another_call() -> None:
    """It is answered in the end: only what was seen waiting is reported."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Truncate())

    assert story.found(cuts_do_not_wait_for_pins) == []
    assert story.premises(cuts_do_not_wait_for_pins) == 1


@pytest.mark.parametrize(("frame", "findings"), [(5, 1), (6, 0), (None, 0)])
def test_the_place_is_filled_by_another_page(frame: int | None, findings: int) -> None:
    """A stack that does not tell frames is not accused."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(PunchHole())
    story.look(
        pages={(0, 0): PageView(is_cached=True, frame=frame)},
        pins={(0, 0): PageView(frame=5)},
    )

    assert len(story.found(a_new_page_takes_the_place)) == findings
    assert len(story.found(pinned_pages_are_not_reused)) == findings


@pytest.mark.parametrize("forked", [False, True])
def test_a_page_given_up_may_be_the_childs(forked: bool) -> None:
    """After a fork, what one process gives up another may still have."""
    story = Story()
    story.do(Mmap(mapping=1, file=None, shared=False, pages=1))
    story.do(Store(mapping=1, value=1))
    story.do(GetUserPages(mapping=1), 1)
    if forked:
        story.do(Fork())
    story.do(Dontneed(mapping=1))
    story.look(pins={(0, 0): PageView(frame=5)})
    last = story.history.samples[-1]
    mapped = {(1, 1, 0): PageView(frame=5)}
    story.history.samples[-1] = attrs.evolve(last, mapped=mapped)

    assert len(story.found(pinned_pages_are_not_reused)) == (not forked)


def test_two_writes_of_one_block() -> None:
    """The first has to end before the second is handed to the disk."""
    story = Story(Feature.CHECKSUMS)
    story.look(pages={(0, 0): WRITTEN})
    story.do(PunchHole())
    first = (story.history.tick(), BlockSubmitted((0, 0), 1, 4, False))
    ended = (story.history.tick(), WritebackEnded((0, 0), 1, False))
    second = (story.history.tick(), BlockSubmitted((0, 1), 2, 4, False))

    story.history.events = [first, ended, second]
    assert story.found(blocks_wait_for_their_last_write) == []
    story.history.events = [first, second]
    assert len(story.found(blocks_wait_for_their_last_write)) == 1


@pytest.mark.parametrize("unmapped", [False, True])
def test_a_file_goes_with_its_last_mapping(unmapped: bool) -> None:
    """While it is mapped, its page is the file's."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Unlink())
    if unmapped:
        story.do(Munmap())
    story.look(pins={(0, 0): PageView(is_cached=True)})

    assert len(story.found(a_file_goes_though_pinned)) == unmapped
