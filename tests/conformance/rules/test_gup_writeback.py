"""get_user_pages against writeback: held by correct stacks, broken by each mutant."""

import attrs
import pytest

from conformance.engines.capabilities import capabilities_of
from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    Boot,
    Errno,
    FailNext,
    Feature,
    Fsync,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    KernelError,
    Load,
    Munmap,
    Release,
    Setup,
    Store,
    Truncate,
    VmStat,
    Writeback,
)
from conformance.program import Preempt
from conformance.rules.gup_writeback import RULES
from conformance.scenarios.gup_writeback import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl import stack
from reference_impl.mutants.gup_writeback import MUTANTS
from reference_impl.mutants.mutant import Mutant
from tests import second_stack
from tests.conformance.rules.told import BOUNCED, CLEAN, DIRTY, WRITTEN, Told

BY_ID = {rule.id: rule for rule in RULES}
SECOND = capabilities_of(second_stack.boot(Setup()), Geometry())
PINNED = {(0, 0): attrs.evolve(DIRTY, maybe_pinned=True)}


def named(item: Scenario | Mutant) -> str:
    """Name a parameter."""
    return item.name


def violated(boot: Boot, promise: Promise = Promise.DOCUMENT) -> set[str]:
    """Return the rules that a stack violates in the scenarios; it may not crash."""
    found: set[str] = set()
    for scenario in SCENARIOS:
        history = run(boot, scenario.program)
        assert history.crash is None, f"{scenario.name}: {history.crash}"
        assert history.inconclusive is None, f"{scenario.name}: {history.inconclusive}"
        found |= judge(history, RULES, promise).violated
    return found


# --- whole stacks -----------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_reference_holds_its_scenarios(scenario: Scenario) -> None:
    """The premise of each rule of a scenario comes up, and no rule is violated."""
    history = run(stack.boot, scenario.program)

    judgement = judge(history, RULES)
    assert history.crash is None
    assert history.parked_as_asked
    assert not judgement.violated
    assert not any(outcome.error for outcome in judgement.outcomes.values())
    for rule in BY_ID.keys() & set(scenario.rules):
        assert judgement.outcomes[rule].premises > 0, rule


def test_every_rule_has_a_scenario_and_a_mutant() -> None:
    """Each rule comes first in some scenario and in some mutant."""
    assert {scenario.rules[0] for scenario in SCENARIOS} == set(BY_ID)
    assert {mutant.violates[0] for mutant in MUTANTS} == set(BY_ID)


@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if SECOND.missing_for(each.program) is None],
    ids=named,
)
def test_second_stack_holds(scenario: Scenario) -> None:
    """A correct stack that works differently is not complained about."""
    history = run(second_stack.boot, scenario.program)

    assert history.crash is None
    for promise in Promise:
        assert not judge(history, RULES, promise).violated


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_mutants_are_caught(mutant: Mutant) -> None:
    """Each is caught by the rule that it was made for, and by none that it hides."""
    found = violated(mutant.boot)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


@pytest.mark.slow
def test_mainline_waits_only_where_content_must_be_stable() -> None:
    """What today's kernel does without stable writes is wrong by the document only."""
    boot = next(m.boot for m in MUTANTS if m.name == "gup.waits_only_for_stable_pages")

    assert "GWB-NEVER" in violated(boot)
    assert "GWB-NEVER" not in violated(boot, Promise.MAINLINE)


# --- never: histories written by hand ---------------------------------------------


def under_writeback() -> Told:
    """Return a history in which the page went under writeback on a held disk."""
    told = Told()
    told.does(Store(value=1), DIRTY)
    told.does(Hold(), DIRTY)
    told.asks(Fsync(), WRITTEN)
    return told


def test_a_page_under_writeback_is_granted() -> None:
    """The finding says which page of which pin, and what should have been."""
    told = under_writeback()
    call = told.does(GetUserPages(pin=3), BOUNCED, result=1)

    (finding,) = told.judged(BY_ID["GWB-NEVER"]).findings
    assert finding.call == call.index
    assert finding.sentence == (
        "page 0 of pin 3 is page 0 of file 0, whose writeback was in progress before "
        "it was asked for and still is (should be granted when it has ended)"
    )


def test_a_writeback_that_begins_during_the_call_is_another_matter() -> None:
    """It finds the page pinned, and has to copy it."""
    told = Told()
    told.does(Hold(), DIRTY)
    told.does(GetUserPages(), BOUNCED, result=1)

    outcome = told.judged(BY_ID["GWB-NEVER"])
    assert not outcome.findings
    assert not outcome.premises


def test_a_disk_that_was_held_too_late_may_have_ended_the_write() -> None:
    """A writeback from before the hold may end, and another one begin."""
    told = Told()
    told.does(Writeback(), WRITTEN)
    told.does(Hold(), WRITTEN)
    told.does(GetUserPages(), BOUNCED, result=1)

    assert not told.judged(BY_ID["GWB-NEVER"]).findings


def test_a_disk_that_was_let_go_may_have_ended_the_write() -> None:
    """The call waited, was granted its page, and the page is written once more."""
    told = under_writeback()
    call = told.asks(GetUserPages(), WRITTEN)
    release = told.ask(Release())
    told.answer(release)
    told.answer(call, result=1)
    told.show(BOUNCED)

    outcome = told.judged(BY_ID["GWB-NEVER"])
    assert not outcome.findings
    assert outcome.premises == 1


def test_a_write_that_fails_need_not_be_held() -> None:
    """A failed writeback may end at once, and be tried again."""
    told = Told()
    told.does(FailNext(), DIRTY)
    told.does(Hold(), DIRTY)
    told.asks(Fsync(), WRITTEN)
    told.does(GetUserPages(), BOUNCED, result=1)

    assert not told.judged(BY_ID["GWB-NEVER"]).findings


def test_another_page_may_have_taken_its_place() -> None:
    """A truncate beside the call may have replaced the page."""
    told = under_writeback()
    told.asks(Truncate(words=0), WRITTEN)
    told.does(GetUserPages(), BOUNCED, result=1)

    assert not told.judged(BY_ID["GWB-NEVER"]).findings


def test_a_shorter_answer_is_no_grant() -> None:
    """The page under writeback is not among those granted."""
    told = under_writeback()
    told.does(GetUserPages(), WRITTEN, error=KernelError(Errno.EAGAIN))

    assert not told.judged(BY_ID["GWB-NEVER"]).findings


def test_mainline_demands_it_where_data_has_checksums() -> None:
    """Stable content is the reason why today's kernel waits."""
    told = Told(Feature.CHECKSUMS)
    told.does(Hold(), DIRTY)
    told.asks(Fsync(), WRITTEN)
    told.does(GetUserPages(), BOUNCED, result=1)

    assert told.judged(BY_ID["GWB-NEVER"], Promise.MAINLINE).findings


# --- readers and sleepers -----------------------------------------------------------


def test_a_reader_may_wait_for_more_than_writeback() -> None:
    """Behind a munmap, for one, everybody queues."""
    told = under_writeback()
    told.asks(Munmap(), WRITTEN)
    told.asks(GetUserPages(write=False), WRITTEN)

    outcome = told.judged(BY_ID["GWB-READ-OK"])
    assert not outcome.findings


@pytest.mark.parametrize(("errno", "count"), [(Errno.EAGAIN, 1), (Errno.EOPNOTSUPP, 0)])
def test_what_is_never_granted_is_no_wait(errno: Errno, count: int) -> None:
    """A stack may have no such pins for reading, writeback or not."""
    told = under_writeback()
    get = GetUserPages(write=False, longterm=True)
    told.does(get, WRITTEN, error=KernelError(errno))

    outcome = told.judged(BY_ID["GWB-READ-OK"])
    assert (len(outcome.findings), outcome.premises) == (count, count)


def test_nowait_may_queue_behind_a_munmap() -> None:
    """It is not the writeback that it waits for."""
    told = under_writeback()
    told.asks(Munmap(), WRITTEN)
    told.asks(GetUserPages(nowait=True), WRITTEN)

    assert not told.judged(BY_ID["GWB-NOSLEEP"]).findings


def test_nowait_waits_behind_a_store_that_waits() -> None:
    """What a waiter for writeback holds is held by writeback."""
    told = under_writeback()
    told.asks(Store(value=2), WRITTEN)
    told.asks(GetUserPages(nowait=True), WRITTEN)

    (finding,) = told.judged(BY_ID["GWB-NOSLEEP"]).findings
    assert finding.sentence == (
        "get_user_pages with nowait waits for page 0 of file 0, under writeback "
        "(should grant fewer pages or be refused)"
    )


# --- the window -----------------------------------------------------------------------


def parked_at(point: str) -> Told:
    """Return a history in which GUP-fast is parked and the page is cleaned."""
    told = Told(schedule=(Preempt(call=1, at=point, until=2),))
    told.does(Store(value=1), DIRTY, mkwrites=1)
    told.asks(GetUserPagesFast(), DIRTY, mkwrites=1, parked=True)
    return told


@pytest.mark.parametrize("maybe_pinned", [True, None])
def test_a_pin_taken_early_excuses(maybe_pinned: bool | None) -> None:
    """A stack that pins before it reads the entry has told writeback."""
    told = parked_at("gup_fast.pte_read")
    view = attrs.evolve(CLEAN, maybe_pinned=maybe_pinned)
    told.does(Fsync(), view, mkwrites=1, parked=(1,))
    told.answer(told.history.calls[1], result=1)
    told.show(CLEAN, mkwrites=1)

    outcome = told.judged(BY_ID["GWB-FAST-RECHECK"])
    assert not outcome.findings
    assert outcome.premises == 1


def test_a_new_fault_excuses() -> None:
    """page_mkwrite has been called since the page was cleaned."""
    told = parked_at("gup_fast.pte_read")
    view = attrs.evolve(CLEAN, maybe_pinned=False)
    told.does(Fsync(), view, mkwrites=1, parked=(1,))
    told.answer(told.history.calls[1], result=1)
    told.show(CLEAN, mkwrites=2)

    assert not told.judged(BY_ID["GWB-FAST-RECHECK"]).findings


def test_a_page_granted_by_a_stale_entry() -> None:
    """It was clean, nobody held it, and nobody asked the filesystem."""
    told = parked_at("gup_fast.pte_read")
    view = attrs.evolve(CLEAN, maybe_pinned=False)
    told.does(Fsync(), view, mkwrites=1, parked=(1,))
    told.answer(told.history.calls[1], result=1)
    told.show(CLEAN, mkwrites=1)

    (finding,) = told.judged(BY_ID["GWB-FAST-RECHECK"]).findings
    assert finding.sentence == (
        "page 0 of pin 0 is page 0 of file 0, which was cleaned, and is pinned for "
        "writing without page_mkwrite, while the call was at gup_fast.pte_read "
        "(should be granted after a new fault)"
    )


def test_nobody_can_see_a_plain_reference() -> None:
    """Writeback cannot ask for a reference that is not a pin."""
    told = Told(schedule=(Preempt(call=1, at="gup_fast.pte_checked", until=2),))
    told.does(Store(value=1), DIRTY, mkwrites=1)
    told.asks(GetUserPagesFast(tracked=False), DIRTY, mkwrites=1, parked=True)
    view = attrs.evolve(CLEAN, maybe_pinned=False)
    told.does(Fsync(), view, mkwrites=1, parked=(1,))
    told.answer(told.history.calls[1], result=1)
    told.show(CLEAN, mkwrites=1)

    outcome = told.judged(BY_ID["GWB-FAST-ORDER"])
    assert not outcome.findings
    assert not outcome.premises


def backed_off(count: int = 1) -> VmStat:
    """Return counters after back-offs."""
    return VmStat(nr_gup_fast_page_backoffs=count)


def test_a_page_that_looked_pinned_before_may_look_so_after() -> None:
    """A false positive is none of the back-off's doing."""
    told = Told()
    told.show(attrs.evolve(DIRTY, maybe_pinned=True), vmstat=backed_off(0))
    told.does(
        GetUserPagesFast(),
        attrs.evolve(DIRTY, maybe_pinned=True),
        error=KernelError(Errno.EFAULT),
        vmstat=backed_off(),
    )

    outcome = told.judged(BY_ID["GWB-BACKOFF-CLEAN"])
    assert not outcome.findings
    assert outcome.premises == 1


def test_a_page_that_stays_pinned_after_a_back_off() -> None:
    """Nobody has it pinned, and it was not pinned before."""
    told = Told()
    told.show(attrs.evolve(DIRTY, maybe_pinned=False), vmstat=backed_off(0))
    told.does(
        GetUserPagesFast(),
        attrs.evolve(DIRTY, maybe_pinned=True),
        error=KernelError(Errno.EFAULT),
        vmstat=backed_off(),
    )

    (finding,) = told.judged(BY_ID["GWB-BACKOFF-CLEAN"]).findings
    assert finding.sentence == (
        "page 0 of file 0 has no pin, but maybe_pinned is True after a back-off "
        "(should be False)"
    )


# --- dirtied again ------------------------------------------------------------------


def test_a_store_that_waited_is_not_late() -> None:
    """It was answered when the writeback had ended."""
    told = under_writeback()
    store = told.asks(Store(value=2), WRITTEN)
    release = told.ask(Release())
    told.answer(release)
    told.answer(store)
    told.show(DIRTY)
    told.does(Load(), DIRTY, result=2)

    assert not told.judged(BY_ID["GWB-REDIRTY-DURING"]).premises


def test_a_late_store_is_lost() -> None:
    """It was answered during the writeback, and is not there afterwards."""
    told = under_writeback()
    told.does(Store(value=2), BOUNCED)
    told.does(Release(), CLEAN)
    load = told.does(Load(), CLEAN, result=1)

    outcome = told.judged(BY_ID["GWB-REDIRTY-DURING"])
    assert outcome.premises == 1
    assert [finding.call for finding in outcome.findings] == [load.index]
