"""The chapter on page_mkwrite: held by correct stacks, broken by each mutant."""

from functools import partial

import pytest

from conformance.engines.capabilities import capabilities_of
from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.interface import (
    Boot,
    DeviceComplete,
    Evict,
    FailNext,
    Feature,
    FillDisk,
    Fsync,
    Geometry,
    GetUserPages,
    KernelError,
    Load,
    Mount,
    Operation,
    PageView,
    Read,
    Setup,
    Store,
    Sync,
    Truncate,
    Umount,
    VmStat,
)
from conformance.interface.errors import Errno
from conformance.oracle.history import Call, History, Sample
from conformance.program import Program
from conformance.rules.mkwrite import RULES
from conformance.rules.rule import Finding
from conformance.scenarios.mkwrite import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise
from reference_impl import stack
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.layers import Parts
from reference_impl.mutants.catalogue import BY_NAME
from reference_impl.mutants.mkwrite import MUTANTS
from reference_impl.mutants.mutant import Mutant
from tests import second_stack

IDS = tuple(rule.id for rule in RULES)

CLEAN = PageView(is_cached=True, is_dirty=False)
DIRTY = PageView(is_cached=True, is_dirty=True)


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


@pytest.mark.parametrize("promise", list(Promise))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_reference_holds_its_scenarios(scenario: Scenario, promise: Promise) -> None:
    """The premise of each rule of a scenario comes up, and no rule is violated."""
    history = run(stack.boot, scenario.program)

    judgement = judge(history, RULES, promise)
    assert history.crash is None
    assert history.parked_as_asked
    assert not any(call.is_pending for call in history.calls)
    assert not judgement.violated
    assert not any(outcome.error for outcome in judgement.outcomes.values())
    for rule in scenario.rules:
        assert judgement.outcomes[rule].premises > 0, rule


def test_every_rule_has_a_scenario_and_a_mutant() -> None:
    """Each rule comes first in some scenario and in some mutant."""
    assert {rule for scenario in SCENARIOS for rule in scenario.rules} == set(IDS)
    assert {mutant.violates[0] for mutant in MUTANTS} == set(IDS)


SECOND = capabilities_of(second_stack.boot(Setup()), Geometry())


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
    """A mutant violates the rule it was made for, and none that it does not name."""
    found = violated(mutant.boot)

    assert mutant.violates[0] in found
    assert found <= set(mutant.violates)


class RefusesLongterm(GupSlow):
    """Refuses long-term pins for writing, whatever page it is."""

    def refuses_longterm(self, flags: GupFlags, *, is_tracked: bool) -> bool:
        """Refuse."""
        return flags.longterm and flags.write


@pytest.mark.slow
def test_long_term_pins_of_tmpfs_are_mainline_only() -> None:
    """The document does not promise long-term pins, so it does not miss them."""
    boot = partial(stack.boot, parts=Parts(make_gup_slow=RefusesLongterm))

    assert violated(boot) == set()
    assert violated(boot, Promise.MAINLINE) == {"MKW-NOTRACK"}


# --- histories written by hand ----------------------------------------------------


class Told:
    """A history that is made up, sample by sample."""

    def __init__(self, *features: Feature) -> None:
        setup = Setup(features=features)
        self.history = History(Program(setup=setup), Geometry(), setup.features)
        self.show(-1)

    def show(
        self,
        after: int,
        view: PageView | None = None,
        *,
        mkwrites: int | None = None,
        mtime: int | None = None,
        pending: tuple[int, ...] = (),
    ) -> None:
        """Take a sample; page 0 of file 0 is all there is to see."""
        self.history.samples.append(
            Sample(
                moment=self.history.tick(),
                after=after,
                pages={} if view is None else {(0, 0): view},
                pins={},
                mkwrites={} if mkwrites is None else {0: mkwrites},
                mtimes={} if mtime is None else {0: mtime},
                vmstat=VmStat(),
                statfs=None,
                parked=frozenset(),
                pending=frozenset(pending),
            )
        )

    def ask(self, operation: Operation) -> Call:
        """Ask an operation, and do not answer it."""
        call = Call(len(self.history.calls), operation, asked=self.history.tick())
        self.history.calls.append(call)
        return call

    def answer(
        self, call: Call, result: object = None, error: KernelError | None = None
    ) -> None:
        """Answer a call."""
        call.answered = self.history.tick()
        call.result, call.error = result, error

    def does(
        self,
        operation: Operation,
        view: PageView | None = None,
        *,
        mkwrites: int | None = None,
        mtime: int | None = None,
        result: object = None,
        error: KernelError | None = None,
    ) -> Call:
        """Ask and answer an operation, and show the page afterwards."""
        call = self.ask(operation)
        self.answer(call, result, error)
        self.show(call.index, view, mkwrites=mkwrites, mtime=mtime)
        return call

    def findings(self, rule: str, promise: Promise = Promise.DOCUMENT) -> list[Finding]:
        """Judge by one rule."""
        outcome = judge(self.history, RULES, promise).outcomes[rule]
        assert outcome.error is None
        return list(outcome.findings)

    def premises(self, rule: str) -> int:
        """Count how often the premise of a rule came up."""
        return judge(self.history, RULES).outcomes[rule].premises


def test_linux_cleans_a_pinned_page() -> None:
    """By the modification time alone a device's write without page_mkwrite shows."""
    told = Told()
    told.does(GetUserPages(), DIRTY, mtime=1, result=1)
    told.does(Fsync(), CLEAN, mtime=1)
    told.does(DeviceComplete(value=7), DIRTY, mtime=1)

    (finding,) = told.findings("MKW-DEVICE")
    assert finding.sentence == (
        "page 0 of file 0 was clean when a device wrote to it, and became dirty "
        "without page_mkwrite (should be called before, or never be clean)"
    )


def test_a_shadow_is_merged_at_put() -> None:
    """A stack may put page_mkwrite off until the data is put into the page."""
    told = Told()
    told.does(GetUserPages(), CLEAN, mkwrites=0, result=1)
    told.does(Fsync(), CLEAN, mkwrites=0)
    told.does(DeviceComplete(value=7), DIRTY, mkwrites=1)

    assert told.findings("MKW-EVERY") == []
    assert told.findings("MKW-DEVICE") == []
    assert told.premises("MKW-DEVICE") == 1


def test_a_pinned_page_that_is_never_clean() -> None:
    """A stack that keeps a pinned page dirty need not call page_mkwrite again."""
    told = Told()
    told.does(GetUserPages(), DIRTY, mkwrites=1, result=1)
    told.does(Fsync(), DIRTY, mkwrites=1)
    told.does(DeviceComplete(value=7), DIRTY, mkwrites=1)

    assert told.findings("MKW-DEVICE") == []
    assert told.premises("MKW-DEVICE") == 1


def test_a_dropped_device_write_is_damage() -> None:
    """A page that is called dirty and loses a device's data is caught by that."""
    told = Told()
    told.does(GetUserPages(), DIRTY, mkwrites=1, result=1)
    told.does(Fsync(), DIRTY, mkwrites=1)
    told.does(DeviceComplete(value=7), DIRTY, mkwrites=1)
    told.does(Evict(), PageView(is_cached=False), mkwrites=1)
    load = told.does(Load(), CLEAN, mkwrites=1, result=0)

    assert [finding.call for finding in told.findings("MKW-DEVICE")] == [load.index]


def test_a_device_write_to_an_orphan() -> None:
    """What a device writes to a page that was cut off is nobody's business."""
    told = Told()
    told.does(GetUserPages(), DIRTY, mkwrites=1, result=1)
    told.does(Truncate(words=0), PageView(is_cached=False), mkwrites=1)
    told.does(DeviceComplete(value=7), PageView(is_cached=False), mkwrites=1)

    assert told.findings("MKW-DEVICE") == []


def test_stores_beside_each_other_are_not_told_apart() -> None:
    """Of two stores in flight one page_mkwrite may do, seen before or after."""
    told = Told()
    first = told.ask(Store(value=1))
    told.show(0, CLEAN, mkwrites=1, pending=(0,))
    second = told.ask(Store(value=2))
    told.answer(first)
    told.answer(second)
    told.show(1, DIRTY, mkwrites=1)

    assert told.findings("MKW-EVERY") == []
    assert told.premises("MKW-EVERY") == 0


def test_a_good_fsync_stands_for_a_claim() -> None:
    """A stack without page views is judged by what fsync says."""
    told = Told()
    told.does(Store(value=1), mkwrites=1)
    told.does(Fsync(), mkwrites=1)
    told.does(Store(value=2), mkwrites=1)

    (finding,) = told.findings("MKW-EVERY")
    assert finding.call == 2


def test_a_stack_without_views_may_keep_a_pinned_page_dirty() -> None:
    """After fsync of a page that is pinned nothing says that it is clean."""
    told = Told()
    told.does(GetUserPages(), mkwrites=1, result=1)
    told.does(Fsync(), mkwrites=1)
    told.does(Store(value=2), mkwrites=1)

    assert told.findings("MKW-EVERY") == []


def test_time_may_move_as_late_as_fsync() -> None:
    """The document leaves time until fsync, mainline does not."""
    told = Told()
    told.does(Fsync(), CLEAN, mkwrites=0, mtime=1)
    told.does(Store(value=1), DIRTY, mkwrites=1, mtime=1)
    told.does(Fsync(), CLEAN, mkwrites=1, mtime=2)

    assert told.findings("MKW-MTIME") == []
    assert len(told.findings("MKW-MTIME", Promise.MAINLINE)) == 1


def test_hardware_dirty_bits_explain_a_clean_flag() -> None:
    """A stack may keep what is dirty in the page table until it is collected."""
    told = Told()
    view = PageView(is_cached=True, is_dirty=False, writable_ptes=1, dirty_ptes=1)
    told.does(Store(value=1), view, mkwrites=1)

    assert told.findings("MKW-ORDER") == []
    told.does(Fsync(), PageView(is_dirty=False, writable_ptes=1), mkwrites=1)
    assert len(told.findings("MKW-ORDER")) == 1


def test_a_locked_page_may_be_half_way() -> None:
    """Between the page table and the dirty flag the page lock is held."""
    told = Told()
    view = PageView(is_dirty=False, writable_ptes=1, is_locked=True)
    told.does(Store(value=1), view, mkwrites=1)

    assert told.findings("MKW-ORDER") == []


def test_a_refused_pin_may_have_prepared_its_page() -> None:
    """get_user_pages may fail for want of memory after page_mkwrite has succeeded."""
    told = Told()
    told.does(FillDisk(), CLEAN, mkwrites=0)
    refusal = KernelError(Errno.ENOMEM)
    told.does(GetUserPages(), DIRTY, mkwrites=1, error=refusal)

    assert told.findings("MKW-FAIL") == []


def test_a_refused_pin_dirties_nothing() -> None:
    """A page that page_mkwrite refused is not dirty."""
    told = Told()
    told.does(FillDisk(), CLEAN, mkwrites=0)
    refusal = KernelError(Errno.EFAULT)
    told.does(GetUserPages(), DIRTY, mkwrites=0, error=refusal)

    (finding,) = told.findings("MKW-FAIL")
    assert finding.sentence == (
        "get_user_pages was refused on a full disk, and page 0 of file 0 became "
        "dirty (should be as before)"
    )


def test_an_fsync_may_fail_for_what_write_left() -> None:
    """Data of other origin may be refused space by fsync, as NFS does."""
    told = Told()
    told.does(Store(value=1), DIRTY, mkwrites=1)
    told.does(Truncate(words=7), DIRTY, mkwrites=1)
    told.does(FillDisk(), DIRTY, mkwrites=1)
    told.does(Fsync(), DIRTY, mkwrites=1, error=KernelError(Errno.ENOSPC))

    assert told.findings("MKW-RESERVE") == []
    assert told.premises("MKW-RESERVE") == 1


def test_what_a_failed_read_spoilt_is_no_unannounced_write() -> None:
    """The device's data was in the file; the page was read wrongly afterwards."""
    program = Program(
        (
            GetUserPages(),
            FailNext(write=False),
            Sync(),
            DeviceComplete(value=9),
            Umount(),
            Mount(),
            Read(),
            Evict(),
            Read(),
        )
    )
    history = run(BY_NAME["writeback.writes_what_it_could_not_read"].boot, program)

    assert history.crash is None
    assert "MKW-DEVICE" not in judge(history, RULES).violated
