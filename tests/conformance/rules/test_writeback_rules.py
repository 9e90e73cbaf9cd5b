"""Writeback: held by correct stacks, broken by each mutant."""

import attrs
import pytest

from conformance.engines.capabilities import capabilities_of
from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    Boot,
    Evict,
    Fork,
    Fsync,
    Geometry,
    GetUserPages,
    Hold,
    Mmap,
    Operation,
    PowerCut,
    Reclaim,
    Release,
    Setup,
    Store,
    Sync,
    Truncate,
    Write,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.rules.writeback import RULES
from conformance.scenarios.scenario import Scenario
from conformance.scenarios.writeback import SCENARIOS
from conformance.verdicts import Promise
from reference_impl import stack
from reference_impl.mutants.mutant import Mutant
from reference_impl.mutants.writeback import MUTANTS
from tests import second_stack
from tests.conformance.rules.told import BOUNCED, CLEAN, DIRTY, WRITTEN, Told, cut

BY_ID = {rule.id: rule for rule in RULES}
SECOND = capabilities_of(second_stack.boot(Setup()), Geometry())


def named(item: Scenario | Mutant) -> str:
    """Name a parameter."""
    return item.name


def violated(boot: Boot) -> set[str]:
    """Return the rules that a stack violates in the scenarios; it may not crash."""
    found: set[str] = set()
    for scenario in SCENARIOS:
        history = run(boot, scenario.program)
        assert history.crash is None, f"{scenario.name}: {history.crash}"
        assert history.inconclusive is None, f"{scenario.name}: {history.inconclusive}"
        found |= judge(history, RULES).violated
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


# --- cleaning: histories written by hand ------------------------------------------


def mapped_twice() -> Told:
    """Return a history in which two processes have stored to a page."""
    told = Told()
    told.does(Mmap(process=1, mapping=1), DIRTY)
    told.does(Store(value=1), DIRTY, mkwrites=1)
    told.does(Store(process=1, mapping=1, word=1, value=2), DIRTY, mkwrites=2)
    return told


def test_a_mapping_that_was_forgotten() -> None:
    """Its entry is still writable, and the next store through it goes unnoticed."""
    told = mapped_twice()
    view = attrs.evolve(CLEAN, writable_ptes=1, dirty_ptes=1)
    sync = told.does(Fsync(), view, mkwrites=2)
    store = told.does(Store(process=1, mapping=1, word=1, value=3), view, mkwrites=2)

    entry, silent = told.judged(BY_ID["WB-PROTECT"]).findings
    assert entry.call == sync.index
    assert entry.sentence == (
        "page 0 of file 0 is clean, but 1 page table entry or entries let it be "
        "written (should be none)"
    )
    assert silent.call == store.index
    assert silent.sentence == (
        "page 0 of file 0 was clean and is stored to through mapping (1, 1) without "
        "page_mkwrite (should be noticed)"
    )


def test_dirty_bits_may_stand_for_the_flag() -> None:
    """After a noticed store a stack may call the page clean and know better."""
    told = mapped_twice()
    view = attrs.evolve(CLEAN, writable_ptes=1, dirty_ptes=1)
    told.does(Fsync(), attrs.evolve(CLEAN, writable_ptes=0), mkwrites=2)
    told.does(Store(process=1, mapping=1, word=1, value=3), view, mkwrites=3)
    told.does(Store(process=1, mapping=1, word=1, value=4), view, mkwrites=3)

    outcome = told.judged(BY_ID["WB-PROTECT"])
    assert not outcome.findings
    assert outcome.premises == 1


def test_a_stack_that_does_not_count_entries_is_judged_by_damage() -> None:
    """What was stored through the forgotten mapping is missing after a power cut."""
    told = mapped_twice()
    told.does(Fsync(), None)
    told.does(Store(process=1, mapping=1, word=1, value=3), None)
    told.does(Fsync(), None)
    lost = told.does(PowerCut(), None, result=cut(1, 2))

    (finding,) = told.judged(BY_ID["WB-PROTECT"]).findings
    assert finding.call == lost.index


def test_a_mapping_that_is_copied_beside_the_walk() -> None:
    """Only a stack that can be parked in its walk can be judged by it."""
    told = Told(schedule=(Preempt(call=1, at="mkclean.entered", until=2),))
    told.does(Store(value=1), DIRTY, mkwrites=1)
    walk = told.asks(Fsync(), DIRTY, mkwrites=1, parked=True)
    told.does(Fork(), DIRTY, mkwrites=1, parked=(walk.index,))
    told.answer(walk)
    told.show(attrs.evolve(CLEAN, writable_ptes=1), mkwrites=1)

    assert len(told.judged(BY_ID["WB-WALK"]).findings) == 1


@pytest.mark.parametrize("operation", [Fsync(), Sync()], ids=["fsync", "sync"])
def test_a_sync_that_believed_a_clean_page(operation: Operation) -> None:
    """While another writer was half way it promised what was not on the disk."""
    told = Told(schedule=(Preempt(call=1, at="writeback.dirty_cleared", until=3),))
    told.does(Store(value=1), DIRTY)
    half_way = told.asks(Writeback(), CLEAN, parked=True)
    told.does(operation, CLEAN, parked=(half_way.index,))
    lost = told.does(PowerCut(), CLEAN, result=cut(0), parked=(half_way.index,))

    (finding,) = told.judged(BY_ID["WB-LOCK"]).findings
    assert finding.call == lost.index


def test_a_sync_that_is_still_waiting_has_promised_nothing() -> None:
    """It waits for the page lock that the other writer holds."""
    told = Told(schedule=(Preempt(call=1, at="writeback.dirty_cleared", until=3),))
    told.does(Store(value=1), DIRTY)
    half_way = told.asks(Writeback(), CLEAN, parked=True)
    told.ask(Fsync())
    told.show(CLEAN, parked=(half_way.index,))
    told.does(PowerCut(), CLEAN, result=cut(0), parked=(half_way.index,))

    outcome = told.judged(BY_ID["WB-LOCK"])
    assert not outcome.findings
    assert outcome.premises == 1


@pytest.mark.parametrize(("on_disk", "findings"), [(1, 1), (2, 0)])
def test_a_sync_that_joined_an_older_writeback(on_disk: int, findings: int) -> None:
    """It must make durable what was stored since that one took its data."""
    told = Told()
    told.does(Store(value=1), DIRTY)
    told.does(Hold(), DIRTY)
    told.does(Writeback(), WRITTEN)
    told.does(Store(value=2), BOUNCED)
    sync = told.asks(Fsync(), BOUNCED)
    told.answer(told.ask(Release()))
    told.answer(sync)
    told.show(CLEAN)
    told.does(PowerCut(), CLEAN, result=cut(on_disk))

    outcome = told.judged(BY_ID["WB-SINGLE"])
    assert outcome.premises == 1
    assert len(outcome.findings) == findings


# --- pinned pages -------------------------------------------------------------------


def test_memory_cleaning_of_a_pinned_page() -> None:
    """The page was dirty and is being written, for nothing."""
    told = Told()
    told.does(GetUserPages(), DIRTY, result=1)
    told.does(Writeback(), BOUNCED)

    (finding,) = told.judged(BY_ID["WB-SKIP"]).findings
    assert finding.sentence == (
        "page 0 of file 0 is pinned for writing and under writeback after writeback "
        "to clean memory (should have been left dirty)"
    )


def test_a_sync_may_write_pinned_pages_beside_it() -> None:
    """Data integrity is another matter, and who wrote the page cannot be told."""
    told = Told()
    told.does(GetUserPages(), DIRTY, result=1)
    told.asks(Fsync(), DIRTY)
    told.does(Writeback(), BOUNCED)

    assert not told.judged(BY_ID["WB-SKIP"]).premises


def test_a_stack_with_shadows_may_drop_the_page() -> None:
    """The device has another page, and it is that which is pinned."""
    told = Told()
    before = attrs.evolve(CLEAN, frame=1)
    shadow = {(0, 0): attrs.evolve(CLEAN, frame=2)}
    told.does(GetUserPages(), before, result=1, pins=shadow)
    told.does(Reclaim(), attrs.evolve(CLEAN, is_cached=False), pins=shadow)

    outcome = told.judged(BY_ID["WB-RECLAIM"])
    assert not outcome.findings
    assert outcome.premises == 1


@pytest.mark.parametrize("operation", [Reclaim(), Evict()], ids=["reclaim", "evict"])
def test_a_pinned_page_is_taken_from_its_file(operation: Operation) -> None:
    """The pin still has the page, and the file has it no more."""
    told = Told()
    page = attrs.evolve(DIRTY, frame=1)
    told.does(GetUserPages(), page, result=1, pins={(0, 0): page})
    told.does(operation, attrs.evolve(CLEAN, is_cached=False), pins={(0, 0): page})

    (finding,) = told.judged(BY_ID["WB-RECLAIM"]).findings
    assert finding.sentence == (
        "page 0 of file 0 was frame 1, which is still pinned, and is not cached now "
        "(should stay)"
    )


def test_buffers_of_a_pinned_page_are_taken() -> None:
    """The device will dirty the page, and writeback will miss them."""
    told = Told()
    told.does(GetUserPages(), attrs.evolve(DIRTY, has_buffers=True), result=1)
    told.does(Reclaim(), attrs.evolve(DIRTY, has_buffers=False))

    (finding,) = told.judged(BY_ID["WB-RECLAIM"]).findings
    assert finding.sentence == (
        "page 0 of file 0 is pinned for writing and has lost its buffers (should "
        "keep them)"
    )


def test_reclaim_is_not_blamed_for_what_a_truncate_takes() -> None:
    """It was half way when the file was truncated; the page is an orphan then."""
    program = Program(
        (Write(value=1), GetUserPages(page=3), Reclaim(), Truncate(words=5)),
        schedule=(Preempt(call=2, at="writeback.dirty_cleared", until=3),),
    )

    assert not judge(run(stack.boot, program), RULES).violated
