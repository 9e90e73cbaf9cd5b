"""The chapter on stable content and bounce pages."""

import pytest

from conformance.engines.capabilities import capabilities_of
from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    UNREADABLE,
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    FailNext,
    Feature,
    FillDisk,
    Fsync,
    Geometry,
    GetUserPages,
    Hold,
    KernelError,
    Load,
    PowerCut,
    PutUserPagesDirtyLock,
    Read,
    Release,
    Setup,
    Store,
    Truncate,
    VmStat,
)
from conformance.interface.errors import Errno
from conformance.rules.bounce import RULES
from conformance.scenarios.bounce import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl import boot
from reference_impl.mutants.bounce import MUTANTS
from reference_impl.mutants.mutant import Mutant
from tests import second_stack
from tests.conformance.rules.made_up import CLEAN, DIRTY, WRITTEN, MadeUp

IDS = [rule.id for rule in RULES]
EIO = KernelError(Errno.EIO)


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
    """Each rule comes first in some scenario and in some mutant."""
    assert {scenario.rules[0] for scenario in SCENARIOS} == set(IDS)
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


# --- stable content ---------------------------------------------------------------


def in_flight(made: MadeUp) -> None:
    """Have a page on its way to a held disk."""
    made.does(Store(value=1), DIRTY)
    made.does(Hold(), DIRTY)
    made.ask(Fsync())
    made.show(WRITTEN, pending=(2,))


def test_a_store_gets_through_during_writeback() -> None:
    """Where content must be stable, a store may not answer meanwhile."""
    made = MadeUp(Feature.STABLE_WRITES)
    in_flight(made)
    made.answer(made.ask(Store(value=2)))
    made.show(WRITTEN, pending=(2,))

    assert made.sentences(RULES, "STB-CPU") == [
        (
            "page 0 of file 0 was under writeback before and after store answered "
            "(should wait until it is written)"
        )
    ]


def test_a_store_that_waits_is_judged_and_held() -> None:
    """The premise is the store, not its answer."""
    made = MadeUp(Feature.STABLE_WRITES)
    in_flight(made)
    made.ask(Store(value=2))
    made.show(WRITTEN, pending=(2, 3))

    assert made.sentences(RULES, "STB-CPU") == []
    assert made.premises(RULES, "STB-CPU") == 1


def test_a_store_where_the_copy_is_on_its_way() -> None:
    """Of a page that is pinned a copy may be written, which no store changes."""
    made = MadeUp(Feature.STABLE_WRITES)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Hold(), DIRTY)
    made.ask(Fsync())
    made.show(WRITTEN, pending=(2,))
    made.answer(made.ask(Store(value=2)))
    made.show(WRITTEN, pending=(2,))

    assert made.sentences(RULES, "STB-CPU") == []


def torn(made: MadeUp) -> None:
    """Let the disk go on, and find that the page cannot be read."""
    made.does(Release())
    made.answer(made.history.calls[2])
    made.cuts(UNREADABLE, UNREADABLE)


def test_a_page_that_a_device_changed_on_its_way() -> None:
    """One finding for the page, and none against CPUs."""
    made = MadeUp(Feature.CHECKSUMS)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Hold(), DIRTY)
    made.ask(Fsync())
    made.show(WRITTEN, pending=(2,))
    made.does(DeviceComplete(value=2), WRITTEN)
    torn(made)

    (sentence,) = made.sentences(RULES, "STB-PINNED")
    assert sentence.startswith("word 0 of page 0 of file 0 is unreadable")
    assert sentence.endswith(
        "a device changed it on its way to the disk (should be written from a copy)"
    )
    assert made.sentences(RULES, "STB-CPU") == []
    assert made.sentences(RULES, "BNC-FSYNC") == []


def test_a_page_that_a_cpu_changed_on_its_way() -> None:
    """A device that was done before the page was written has nothing to do with it."""
    made = MadeUp(Feature.CHECKSUMS)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(DeviceComplete(value=2), DIRTY)
    made.does(Store(value=3), DIRTY)
    made.does(Fsync(), CLEAN)
    made.cuts(UNREADABLE, UNREADABLE)

    assert len(made.sentences(RULES, "STB-CPU")) == 1
    assert made.sentences(RULES, "STB-PINNED") == []


def test_a_failed_write_may_leave_anything() -> None:
    """After the disk was told to fail, unreadable data proves nothing."""
    made = MadeUp(Feature.CHECKSUMS)
    made.does(Store(value=3), DIRTY)
    made.does(FailNext())
    made.does(Fsync(), CLEAN, error=EIO)
    made.cuts(UNREADABLE, UNREADABLE)

    assert made.sentences(RULES, "STB-CPU") == []


# --- bounce pages -----------------------------------------------------------------


def test_a_shadow_owes_nothing_before_the_put() -> None:
    """Data that no CPU has seen need not be on the disk while it is pinned."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Fsync(), CLEAN)
    made.does(DeviceWrite(value=2), CLEAN)
    made.does(Load(), CLEAN, result=0)
    made.does(Fsync(), CLEAN)
    made.cuts(0)

    assert made.sentences(RULES, "BNC-KEEPDIRTY") == []
    assert made.premises(RULES, "BNC-KEEPDIRTY") == 1


def test_data_that_was_seen_has_to_be_synced() -> None:
    """What a load has shown is the file's content, pin or no pin."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Fsync(), CLEAN)
    made.does(DeviceWrite(value=2), CLEAN)
    made.does(Load(), CLEAN, result=2)
    made.does(Fsync(), CLEAN)
    made.cuts(0)

    assert made.sentences(RULES, "BNC-KEEPDIRTY") == [
        (
            "word 0 of page 0 of file 0 is 0 after a power cut (should be 2: a device "
            "wrote it, a CPU saw it, and it was synced while the page was pinned)"
        )
    ]


def test_a_sync_that_waits_for_a_pin() -> None:
    """Nothing else is under way, and nothing keeps the disk."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.ask(Fsync())
    made.show(DIRTY, pending=(1,))

    assert made.sentences(RULES, "BNC-FSYNC") == [
        "fsync waits for something while page 0 of file 0 is pinned (should answer)"
    ]


def test_a_sync_that_waits_for_the_disk() -> None:
    """While the disk is held nobody can tell what a sync waits for."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Hold(), DIRTY)
    made.ask(Fsync())
    made.show(DIRTY, pending=(2,))

    assert made.sentences(RULES, "BNC-FSYNC") == []


def test_a_full_disk_refuses_the_second_copy() -> None:
    """The device wrote to a page that had a block promised once."""
    made = MadeUp(Feature.COPY_ON_WRITE)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Fsync(), DIRTY)
    made.does(FillDisk(), DIRTY)
    made.does(DeviceComplete(value=2), DIRTY)
    made.does(Fsync(), DIRTY, error=KernelError(Errno.ENOSPC))

    assert made.sentences(RULES, "BNC-RESERVE") == [
        (
            "fsync of a page that was written while it was pinned is refused with "
            "ENOSPC (should have space)"
        )
    ]


def test_what_lies_beyond_the_end_may_be_written_while_the_file_grows() -> None:
    """A device whose page is put after the file has grown may write at any time."""
    made = MadeUp()
    made.does(Truncate(words=1), CLEAN)
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(DeviceWrite(word=1, value=2), DIRTY)
    made.does(Fsync(), DIRTY)
    made.does(Truncate(words=2), DIRTY)
    made.does(PutUserPagesDirtyLock(), DIRTY)
    made.does(Read(), DIRTY, result=(0, 2))

    assert made.sentences(RULES, "BNC-EOF") == []


def test_a_copy_that_is_kept_is_no_leak() -> None:
    """A stack may keep a page for copies; it may not take another each time."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, VmStat(nr_free_pages=9), result=1)
    made.does(Fsync(), DIRTY, VmStat(nr_free_pages=8))
    made.does(Fsync(), DIRTY, VmStat(nr_free_pages=8))

    assert made.sentences(RULES, "BNC-ERR") == []


def test_copies_that_are_never_let_go_of() -> None:
    """The same sync costs a page each time."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, VmStat(nr_free_pages=9), result=1)
    made.does(FailNext(), DIRTY, VmStat(nr_free_pages=9))
    made.does(Fsync(), DIRTY, VmStat(nr_free_pages=8), error=EIO)
    made.does(FailNext(), DIRTY, VmStat(nr_free_pages=8))
    made.does(Fsync(), DIRTY, VmStat(nr_free_pages=7), error=EIO)

    assert made.sentences(RULES, "BNC-ERR") == [
        (
            "fsync left 7 free page(s) (should be 8 again: the copy of a pinned page "
            "is let go of)"
        )
    ]


def test_a_writeback_that_begins_again_has_ended() -> None:
    """A page may be under writeback anew after a sync, but not for ever."""
    made = MadeUp()
    made.does(GetUserPages(), DIRTY, result=1)
    made.does(Fsync(), WRITTEN)
    made.does(DeviceAbort(), CLEAN)

    assert made.sentences(RULES, "BNC-COMPLETE") == []
    assert made.premises(RULES, "BNC-COMPLETE") == 1


def test_cuts_are_power_cuts() -> None:
    """The helper makes what the contract says."""
    assert isinstance(MadeUp().cuts(1).operation, PowerCut)
