"""The chapter on dirtying and buffers."""

import pytest

from conformance.engines.capabilities import capabilities_of
from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    Create,
    DeviceComplete,
    DeviceTransfer,
    DirectWrite,
    Evict,
    Feature,
    Freeze,
    Fsync,
    Geometry,
    GetUserPages,
    Load,
    Mount,
    PageView,
    PutUserPages,
    Read,
    Reclaim,
    Setup,
    Store,
    Truncate,
    Umount,
    Unlink,
    VmStat,
    Writeback,
)
from conformance.program import Program
from conformance.rules.dirty import RULES
from conformance.scenarios.dirty import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl import boot
from reference_impl.mutants.catalogue import BY_NAME
from reference_impl.mutants.dirty import MUTANTS
from reference_impl.mutants.mutant import Mutant
from tests import second_stack
from tests.conformance.rules.made_up import CLEAN, DIRTY, MadeUp

IDS = [rule.id for rule in RULES]
GONE = PageView(is_cached=False)


def named(item: Scenario | Mutant) -> str:
    """Name a parameter."""
    return item.name


# --- whole stacks -----------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_the_reference_holds(scenario: Scenario) -> None:
    """The premise of each rule of a scenario comes up, and no rule is violated."""
    history = run(boot, scenario.program)

    judgement = judge(history, RULES)
    assert history.crash is None
    assert history.parked_as_asked
    assert not judgement.violated
    assert not any(outcome.error for outcome in judgement.outcomes.values())
    for rule in set(scenario.rules) & set(IDS):
        assert judgement.outcomes[rule].premises > 0, rule


def test_every_rule_has_a_scenario_and_a_mutant() -> None:
    """Each rule has a scenario, and comes first in some mutant."""
    assert {rule for scenario in SCENARIOS for rule in scenario.rules} == set(IDS)
    assert {mutant.violates[0] for mutant in MUTANTS} == set(IDS)


SECOND = capabilities_of(second_stack.boot(Setup()), Geometry())


@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if SECOND.missing_for(each.program) is None],
    ids=named,
)
def test_the_second_stack_holds(scenario: Scenario) -> None:
    """A stack that keeps a device's data apart until the put is not accused."""
    history = run(second_stack.boot, scenario.program)

    assert history.crash is None
    for promise in Promise:
        assert not judge(history, RULES, promise).violated


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    """The scenarios of the chapter find its first rule, and no rule that it hides."""
    found: set[str] = set()
    for scenario in SCENARIOS:
        history = run(mutant.boot, scenario.program)
        assert history.crash is None, f"{scenario.name}: {history.crash}"
        found |= judge(history, RULES).violated

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


# --- histories made up ------------------------------------------------------------


def test_device_data_is_missing_after_eviction() -> None:
    """A page that was put as dirty is not dropped before it is written."""
    made = MadeUp()
    made.does(GetUserPages(), CLEAN, result=1)
    made.does(DeviceComplete(value=2), CLEAN)
    made.does(Evict(), GONE)
    made.does(Load(), CLEAN, result=0)

    assert made.sentences(RULES, "DRT-SKIP-IF-DIRTY") == [
        "word 0 of page 0 of file 0 is 0 (should be 2)"
    ]
    assert made.sentences(RULES, "DRT-AFTER") == []


def test_a_page_may_be_clean_when_it_is_put() -> None:
    """A stack may have written it at once: only what is lost counts."""
    made = MadeUp()
    made.does(GetUserPages(), CLEAN, result=1)
    made.does(DeviceComplete(value=2), CLEAN)
    made.does(Evict(), GONE)
    made.does(Load(), CLEAN, result=2)

    assert made.sentences(RULES, "DRT-SKIP-IF-DIRTY") == []
    assert made.premises(RULES, "DRT-SKIP-IF-DIRTY") == 1


def test_what_a_driver_lost_is_the_drivers() -> None:
    """The stack's own driver is the caller that did not mark its page."""
    made = MadeUp()
    made.does(DeviceTransfer(value=2), CLEAN, result=1)
    made.does(Evict(), GONE)
    made.does(Load(), CLEAN, result=0)

    assert len(made.sentences(RULES, "DRT-AFTER")) == 1
    assert made.sentences(RULES, "DRT-SKIP-IF-DIRTY") == []


def test_a_put_that_is_not_dirty_promises_nothing() -> None:
    """A caller who does not say that the device wrote is not owed its data."""
    made = MadeUp()
    made.does(GetUserPages(), CLEAN, result=1)
    made.does(PutUserPages(), CLEAN)
    made.does(Fsync(), CLEAN)
    made.cuts(0)

    assert made.sentences(RULES, "DRT-FSYNC") == []
    assert made.premises(RULES, "DRT-FSYNC") == 0


def test_a_sync_that_did_not_get_the_data() -> None:
    """The put had answered before the sync was asked."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(DeviceComplete(value=2), DIRTY)
    made.does(Fsync(), CLEAN)
    made.cuts(0, 2)

    assert made.sentences(RULES, "DRT-FSYNC") == [
        "word 0 of page 0 of file 0 is 0 after a power cut (should be 2)"
    ]


def test_a_sync_beside_the_put_promises_nothing() -> None:
    """The order of calls that overlap is not known."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    sync = made.ask(Fsync())
    made.does(DeviceComplete(value=2), DIRTY)
    made.answer(sync)
    made.cuts(0)

    assert made.sentences(RULES, "DRT-FSYNC") == []


def test_what_stays_in_the_cache_of_the_disk() -> None:
    """With a volatile cache it is the flush that is missing."""
    made = MadeUp(Feature.VOLATILE_CACHE)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(DeviceComplete(value=2), DIRTY)
    made.does(Fsync(), CLEAN)
    made.cuts(0, 0)

    assert len(made.sentences(RULES, "DRT-FLUSH")) == 2
    assert made.sentences(RULES, "DRT-FSYNC") == []


def test_the_account_is_wrong_from_one_call_on() -> None:
    """A count that stays wrong is told of once."""
    made = MadeUp()
    made.does(Store(value=1), DIRTY, VmStat(nr_dirty=1))
    made.does(Truncate(words=0), GONE, VmStat(nr_dirty=1))
    made.does(Writeback(), GONE, VmStat(nr_dirty=1))

    assert made.sentences(RULES, "DRT-ACCT") == ["nr_dirty is 1 (should be 0 at rest)"]


def test_pages_that_nothing_shows_may_be_dirty() -> None:
    """A file without a name has pages, which are counted and not shown."""
    made = MadeUp()
    made.does(Store(value=1), DIRTY, VmStat(nr_dirty=1))
    made.does(Unlink(), None, VmStat(nr_dirty=1))
    made.does(Create(file=1), GONE, VmStat(nr_dirty=1))

    assert made.sentences(RULES, "DRT-ACCT") == []


def test_too_few_dirty_pages_are_an_error_always() -> None:
    """More pages are shown dirty than are counted."""
    made = MadeUp()
    made.does(Store(value=1), DIRTY, VmStat(nr_dirty=0))

    assert made.sentences(RULES, "DRT-ACCT") == ["nr_dirty is 0 (should be 1 at rest)"]


def test_dirtying_an_orphan_is_counted() -> None:
    """The page had been cut off before it was put as dirty."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, VmStat(nr_dirty=1), result=1)
    made.does(Truncate(words=0), GONE, VmStat(nr_dirty=0))
    made.does(DeviceComplete(value=2), GONE, VmStat(nr_dirty=1))

    assert made.sentences(RULES, "DRT-ORPHAN") == [
        (
            "nr_dirty counts 1 page(s) more than are dirty, after device_complete of 1 "
            "page(s) that had lost their file"
        )
    ]


def test_a_stack_without_buffers_needs_none() -> None:
    """Who never shows any does not have them taken away."""
    bare = PageView(is_cached=True, is_dirty=True, has_buffers=False)
    made = MadeUp()
    made.does(GetUserPages(), bare, result=1)
    made.does(Reclaim(), bare)
    made.does(DeviceComplete(value=2), bare)

    assert made.sentences(RULES, "DRT-BUFFERS") == []
    assert made.premises(RULES, "DRT-BUFFERS") == 1


def test_buffers_that_reclaim_has_taken() -> None:
    """The page is pinned, and was ready to be written before."""
    ready = PageView(is_cached=True, is_dirty=True, has_buffers=True)
    bare = PageView(is_cached=True, is_dirty=True, has_buffers=False)
    made = MadeUp()
    made.does(GetUserPages(), ready, result=1)
    made.does(Reclaim(), bare)

    assert made.sentences(RULES, "DRT-BUFFERS") == [
        "page 0 of file 0 is dirty without buffers (should have what writeback needs)"
    ]


def test_a_direct_write_that_dirties_its_buffer() -> None:
    """The buffer was pinned for reading."""
    made = MadeUp()
    made.does(Create(file=1), CLEAN)
    made.does(DirectWrite(), DIRTY, result=1)

    assert made.sentences(RULES, "DRT-READPIN") == [
        (
            "page 0 of file 0 is dirty after direct_write has read it (should be clean "
            "as before)"
        )
    ]


def test_a_direct_write_that_waits_beside_a_write_pin() -> None:
    """Who dirtied the page cannot be told; here it was get_user_pages."""
    program = Program(
        (Create(file=1), Freeze(), DirectWrite(file_page=1), GetUserPages())
    )

    assert not judge(run(boot, program), RULES).violated


def test_buffers_that_reclaim_has_left_explain_no_loss() -> None:
    """The data is lost because umount passes over pages that are pinned."""
    program = Program(
        (
            GetUserPages(),
            Reclaim(),
            DeviceComplete(value=9),
            GetUserPages(write=False),
            Umount(),
            Mount(),
            Read(),
        )
    )
    history = run(BY_NAME["bounce.skips_pinned_pages"].boot, program)

    found = judge(history, RULES).violated
    assert found
    assert "DRT-BUFFERS" not in found
