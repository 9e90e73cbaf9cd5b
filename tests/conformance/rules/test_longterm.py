"""Long-term pins: refused by correct stacks, granted by each mutant."""

import pytest

from conformance.interface import (
    Feature,
    GetUserPages,
    Mmap,
    Mprotect,
    Operation,
)
from conformance.rules.longterm import RULES, longterm_writers_are_refused
from conformance.scenarios.longterm import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.longterm import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_a_scenario_exercises_its_rules(scenario: Scenario) -> None:
    """Each rule that it is written for has something to judge."""
    assert idle_rules(boot, scenario, RULES) == []


@pytest.mark.parametrize("promise", list(Promise))
def test_correct_stacks_hold_the_chapter(promise: Promise) -> None:
    """Neither the reference nor the second stack violates the rule."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()
    assert accused(second_stack.boot, SCENARIOS, RULES, promise) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """The rule it was made for is violated, and none that it does not name."""
    found = accused(mutant.boot, SCENARIOS, RULES)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


def sentences(*before: Operation, get: GetUserPages) -> list[str]:
    """Judge a request that is granted after some other calls."""
    story = Story()
    for operation in before:
        story.do(operation)
    story.do(get, 1)
    return story.found(longterm_writers_are_refused)


def test_a_long_term_write_pin_of_a_file_is_found() -> None:
    """It was granted one page."""
    get = GetUserPages(longterm=True)

    assert sentences(get=get) == [f"{get} was granted 1 page(s) (should be refused)"]


@pytest.mark.parametrize(
    ("before", "get"),
    [
        ((), GetUserPages(longterm=True, write=False)),
        ((), GetUserPages()),
        ((Mmap(file=None),), GetUserPages(mapping=1, longterm=True)),
        ((Mmap(shared=False),), GetUserPages(mapping=1, longterm=True)),
        ((Mprotect(writable=False),), GetUserPages(longterm=True)),
    ],
    ids=["reading", "short", "anonymous", "private", "read-only mapping"],
)
def test_other_pins_may_be_granted(
    before: tuple[Operation, ...], get: GetUserPages
) -> None:
    """None of these dirties a page of a file for ever; the last is another matter."""
    assert sentences(*before, get=get) == []


def test_a_stack_without_dirty_tracking_is_not_judged() -> None:
    """Its files are never written back, so nothing can be dirtied behind its back."""
    story = Story(Feature.NO_DIRTY_TRACKING)
    story.do(GetUserPages(longterm=True), 1)

    unseen = story.judged(RULES).unseen
    assert unseen["LT-REFUSE"] == "a stack without feature no_dirty_tracking"
