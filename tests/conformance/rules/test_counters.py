"""The counters: held by correct stacks, broken by each mutant."""

import pytest

from conformance.interface import (
    DeviceAbort,
    DeviceTransfer,
    Errno,
    Feature,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    KernelError,
    Mmap,
    VmStat,
)
from conformance.interface.events import PinBackedOff
from conformance.rules import counters
from conformance.rules.rule import Rule
from conformance.scenarios.counters import SCENARIOS
from conformance.scenarios.references import SCENARIOS as REFERENCE_SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl.mutants.counters import MUTANTS
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from tests import second_stack
from tests.conformance.rules.chapter import accused, idle_rules, named
from tests.conformance.rules.story import Story

RULES = counters.RULES
SMALL = Geometry(refcount_max=63, pin_bias=16)
FAULT = KernelError(Errno.EFAULT)
OVERFLOW = KernelError(Errno.EOVERFLOW)


def five(
    slow: int = 0, fast: int = 0, backoffs: int = 0, overflows: int = 0, put: int = 0
) -> VmStat:
    """Return the document's five counters."""
    return VmStat(slow, fast, backoffs, overflows, put)


def two(acquired: int, released: int) -> VmStat:
    """Return today's two counters."""
    return VmStat(nr_foll_pin_acquired=acquired, nr_foll_pin_released=released)


# --- whole stacks -----------------------------------------------------------------


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
    found = accused(mutant.boot, (*SCENARIOS, *REFERENCE_SCENARIOS), RULES)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_has_a_mutant(rule: Rule) -> None:
    """There is one that was made for it."""
    assert rule.id in {mutant.violates[0] for mutant in MUTANTS}


# --- balance ------------------------------------------------------------------------


def test_counters_need_not_start_at_zero() -> None:
    """Only their changes are looked at."""
    story = Story(start=two(1000, 993))
    story.do(GetUserPages(pages=2), 2)
    story.look(two(1002, 993))
    story.do(DeviceAbort())
    story.look(two(1002, 995))

    assert story.found(counters.acquired_less_released_are_held) == []
    assert story.premises(counters.acquired_less_released_are_held) == 2


def test_a_missing_family_is_not_judged() -> None:
    """A stack that keeps today's counters only cannot be asked for the others."""
    story = Story(start=two(0, 0))
    story.do(GetUserPages(), 1)
    story.look(two(1, 0))

    judgement = story.judged(RULES)

    assert judgement.violated == set()
    assert "CNT-BAL" in judgement.unseen


def test_calls_in_flight_are_not_judged() -> None:
    """A pin may be counted before its call has answered."""
    story = Story(start=five())
    get = story.ask(GetUserPages())
    story.look(five(slow=1), pending=[get.index])
    story.answer(get, 1)
    story.look(five(slow=1))

    assert story.found(counters.requests_less_returns_are_held) == []


@pytest.mark.parametrize(("returned_at_rest", "found"), [(1, 0), (2, 1)])
def test_more_returned_than_requested_is_legal_beside_a_call(
    returned_at_rest: int, found: int
) -> None:
    """S30: who reads one counter after the other may see it; at rest nobody may."""
    story = Story(start=five())
    get = story.ask(GetUserPages())
    story.look(five(slow=0, put=1), pending=[get.index])
    story.answer(get, 1)
    story.look(five(slow=1))
    story.do(DeviceAbort())
    story.look(five(slow=1, put=returned_at_rest))

    assert len(story.found(counters.requests_less_returns_are_held)) == found


def test_what_a_driver_leaks_is_not_the_counters_fault() -> None:
    """The counters tell the truth about a driver that does not put."""
    story = Story(start=five())
    story.do(GetUserPages(), 1)
    story.look(five(slow=1))
    story.do(DeviceTransfer(pages=2), 2)
    story.look(five(slow=3, put=1))

    assert story.found(counters.requests_less_returns_are_held) == []


def test_a_request_counted_once_for_two_pages_is_found() -> None:
    """Pages are counted, not calls."""
    story = Story(start=five())
    call = story.do(GetUserPages(pages=2), 2)
    story.look(five(slow=1))

    assert story.found(counters.requests_less_returns_are_held) == [
        (
            f"requested less returned changed by 1 with {call.operation} (should "
            "change by 2, as the pins held do)"
        )
    ]


def test_a_read_pin_of_fresh_private_memory_may_be_uncounted() -> None:
    """It may be one of the zero page, which is not counted; or it may be counted."""
    for seen in (0, 1):
        story = Story(start=two(0, 0))
        story.do(Mmap(file=None))
        story.look(two(0, 0))
        story.do(GetUserPages(mapping=1, write=False), 1)
        story.look(two(seen, 0))

        assert story.found(counters.acquired_less_released_are_held) == []


# --- back-offs ----------------------------------------------------------------------


def backed_off(vmstat: VmStat, *, told: int = 1) -> list[str]:
    """Judge a request of one page that backed off and went the slow way."""
    story = Story(start=five())
    get = story.ask(GetUserPagesFast())
    for _ in range(told):
        event = PinBackedOff((0, 0), 3, 2)
        story.history.events.append((story.history.tick(), event))
    story.answer(get, 1)
    story.look(vmstat)
    return story.found(counters.backoffs_are_requests_and_returns)


def test_a_backoff_counts_three_times() -> None:
    """As a request of the fast path, a back-off and a return."""
    assert backed_off(five(slow=1, fast=1, backoffs=1, put=1)) == []
    assert backed_off(five(slow=1, fast=1, backoffs=1)) == [
        (
            "0 page(s) counted as returned beside those of the callers (should be at "
            "least 1, one for each back-off)"
        )
    ]
    assert backed_off(five(slow=1, backoffs=1, put=1)) == [
        "1 back-off(s) in 0 request(s) of the fast path",
        (
            "0 page(s) counted as requested beside those of the callers (should be at "
            "least 1, one for each back-off)"
        ),
    ]
    assert backed_off(five(slow=1, fast=1, put=1)) == [
        "1 back-off(s), but 0 counted as such"
    ]


def test_references_given_back_otherwise_are_no_backoffs() -> None:
    """A stack may take a reference and give it back for reasons of its own."""
    assert backed_off(five(slow=2, fast=1, backoffs=1, put=2)) == []


# --- totals and refusals --------------------------------------------------------------


def test_a_counter_that_goes_down_is_found() -> None:
    """Even if the difference is right."""
    story = Story(start=five(slow=4, put=1))
    story.do(DeviceAbort())
    story.look(five(slow=3, put=1))

    assert story.found(counters.counters_never_go_down) == [
        "nr_gup_slow_pages_requested went from 4 down to 3"
    ]


def overflowed(vmstat: VmStat, *, fast: bool = False) -> list[str]:
    """Judge a request that was refused because the count of its page was full."""
    story = Story(Feature.SMALL_LIMITS, geometry=SMALL, start=five())
    kind = GetUserPagesFast if fast else GetUserPages
    story.do(kind(), None, OVERFLOW)
    story.look(vmstat)
    return story.found(counters.refused_pins_are_counted)


def test_a_refused_pin_counts_once() -> None:
    """The fast path may meet the limit first, and the slow way once more."""
    operation = GetUserPages()

    assert overflowed(five(overflows=1)) == []
    assert overflowed(five(overflows=2), fast=True) == []
    assert overflowed(five()) == [
        f"{operation} met a full count, but no overflow counted"
    ]
    assert overflowed(five(overflows=2)) == [
        f"{operation} left out 1 page(s), but 2 overflow(s) were counted"
    ]
    assert overflowed(five(slow=1, overflows=1)) == [
        (
            f"{operation} was granted 0 page(s) at an overflow, but the pins counted "
            "changed by 1 (should be 0)"
        )
    ]


def test_a_failed_request_for_one_page_counts_nothing() -> None:
    """Not even for a moment."""
    story = Story(start=five())
    call = story.do(GetUserPages(), None, FAULT)
    story.look(five(slow=1, put=1))

    assert story.found(counters.failed_requests_count_nothing) == [
        (
            f"{call.operation} was refused, but nr_gup_pages_returned went from 0 to 1 "
            "(should stay)"
        ),
        (
            f"{call.operation} was refused, but nr_gup_slow_pages_requested went "
            "from 0 to 1 (should stay)"
        ),
    ]


def test_a_failed_request_for_several_pages_may_have_held_the_first() -> None:
    """They were counted, and given back."""
    story = Story(start=five())
    story.do(GetUserPages(pages=2), None, FAULT)
    story.look(five(slow=1, put=1))

    assert story.found(counters.failed_requests_count_nothing) == []
    assert story.premises(counters.failed_requests_count_nothing) == 0


def test_a_request_that_would_have_to_wait_may_back_off() -> None:
    """It failed neither in the fault nor in the check."""
    story = Story(start=five())
    story.do(GetUserPagesFast(nowait=True), None, KernelError(Errno.EAGAIN))
    story.look(five(fast=1, backoffs=1, put=1))

    assert story.found(counters.failed_requests_count_nothing) == []
