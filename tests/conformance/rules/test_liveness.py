"""Liveness: correct stacks answer every call, each mutant forgets one."""

from collections.abc import Callable

import pytest

from conformance.interface import (
    DeviceAbort,
    Fsync,
    GetUserPages,
    Load,
    Operation,
    PutUserPagesDirtyLock,
    Store,
    Truncate,
)
from conformance.interface.operations import OPERATIONS
from conformance.rules.liveness import (
    ANSWERING,
    RULES,
    accesses_answer,
    syncs_answer,
)
from conformance.scenarios.liveness import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.liveness import MUTANTS
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
    """Neither the reference nor the second stack violates a rule."""
    assert accused(boot, SCENARIOS, RULES, promise) == set()
    assert accused(second_stack.boot, SCENARIOS, RULES, promise) == set()


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_violates_its_rules(mutant: Mutant) -> None:
    """The rule it was made for is violated, and none that it does not name."""
    found = accused(mutant.boot, SCENARIOS, RULES)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_pending_call_is_overlooked(name: str) -> None:
    """Whatever it is, one of the two rules reports it, and only one."""
    make: Callable[..., Operation] = OPERATIONS[name]
    story = Story()
    call = story.ask(make(file=1) if name == "create" else make())
    call.blocked_on = "godot"
    found = [story.found(rule) for rule in ANSWERING]

    assert sorted(map(len, found)) == [0, 1]
    assert (
        f"{call.operation} has not answered, waiting for godot, though nothing is "
        "held back any more but 0 pinned page(s)"
    ) in found[0] + found[1]


def test_those_who_may_wait_for_a_sync_are_reported_with_it() -> None:
    """The fsync keeps the pages locked, perhaps."""
    story = Story()
    for operation in (Fsync(), Store(), Load()):
        story.ask(operation)

    assert story.found(accesses_answer) == []
    assert len(story.found(syncs_answer)) == 3


def test_skipped_and_answered_calls_are_not_pending() -> None:
    """A call that was never asked need not answer."""
    story = Story()
    story.do(Fsync())
    call = story.ask(Truncate())
    call.skipped = "file 0 does not exist"

    assert story.found(syncs_answer) == []


def test_a_request_that_never_waited_proves_nothing() -> None:
    """The premise is that it was seen to wait."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.look()
    waits = story.ask(GetUserPages(page=1, pin=1))
    story.look(pending=[waits.index])
    story.answer(waits, 1)
    parked = story.ask(GetUserPages(page=2, pin=2))
    story.look(pending=[parked.index], parked=[parked.index])
    story.answer(parked, 1)

    assert story.premises(accesses_answer) == 1


def test_a_sync_without_a_lasting_pin_proves_nothing() -> None:
    """The pin has to stay all the while."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Fsync())
    sync = story.ask(Fsync())
    story.do(PutUserPagesDirtyLock())
    story.answer(sync)
    story.do(GetUserPages(tracked=False), 1)
    story.do(Fsync())
    story.do(DeviceAbort())

    assert story.premises(syncs_answer) == 1
