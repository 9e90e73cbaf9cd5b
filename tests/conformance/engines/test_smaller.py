"""A crash is made small like a violation."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from conformance.engines.budget import Budget
from conformance.engines.plan import Known, Plan
from conformance.engines.session import EngineResult, run_scenarios, run_search
from conformance.engines.tally import Crashing
from conformance.interface import (
    Boot,
    Feature,
    Fsync,
    Load,
    Operation,
    Setup,
    Step,
    Store,
)
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Verdict
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import Stack, boot as boot_good

RULES = tuple(BY_ID[rule] for rule in ("STB-CPU", "MKW-EVERY", "CNT-BAL"))
LONG = Scenario(
    "long",
    ("MKW-EVERY",),
    Program((Load(), Store(value=1), Load(), Fsync(), Load(), Fsync(), Load())),
)


def _raise() -> None:
    raise RuntimeError("broken")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


ENDS = {"raised": _raise, "exited": lambda: os._exit(3), "killed": _kill}
ENDINGS = pytest.mark.parametrize("ending", ENDS)


def breaking(end: Callable[[], None], extra: Callable[[], None] | None = None) -> Boot:
    """Return a stack that breaks in an fsync after a store; by `extra`, in others."""

    def boot(setup: Setup) -> object:
        stored: list[int] = []

        def store(self: Stack, **given: int) -> None:
            stored.append(1)
            Stack.store(self, **given)

        def fsync(self: Stack, **given: int) -> None:
            if stored:
                end()
            elif extra is not None:
                extra()
            Stack.fsync(self, **given)

        return but(but(boot_good(setup), "store", store), "fsync", fsync)

    return boot


def crashing(found: EngineResult, rule: str = "MKW-EVERY") -> Crashing:
    """Return the program that a rule could not be judged for."""
    assert found.results[rule].verdict is Verdict.CRASHED
    there = found.results[rule].crashing
    assert there is not None
    return there


def plan(**more: object) -> Plan:
    """Return a plan for a few rules."""
    known: dict[str, object] = {"rules": RULES, "scenarios": (), **more}
    return Plan(**known)  # type: ignore[arg-type]


def kinds(program: Program) -> list[type[Operation]]:
    """Return what a program consists of."""
    return [type(operation) for operation in program.operations]


@ENDINGS
def test_the_program_of_a_scenario_is_made_small(ending: str) -> None:
    """However the process ended; the rules of other scenarios have their verdict."""
    found = run_scenarios(breaking(ENDS[ending]), plan(scenarios=[LONG]))

    there = crashing(found)
    assert kinds(there.shown.program) == [Store, Fsync]
    assert there.shown.is_minimal
    assert (there.rule, there.rules) == ("MKW-EVERY", ("MKW-EVERY",))
    assert found.results["CNT-BAL"].verdict is not Verdict.CRASHED


@ENDINGS
def test_a_drawn_program_is_known_and_made_small(ending: str) -> None:
    """It is no rule's, so it concerns all."""
    given = plan(budget=Budget(20, 30))

    found = run_search("explorer", breaking(ENDS[ending]), given)

    there = crashing(found, "STB-CPU")
    assert kinds(there.shown.program) == [Store, Fsync]
    assert (there.rule, there.rules) == ("STB-CPU", ())
    assert crashing(found, "CNT-BAL") == there


@ENDINGS
def test_another_crash_is_no_smaller_one(ending: str) -> None:
    """A program without the store crashes, too, but elsewhere or otherwise."""

    def elsewhere() -> None:
        if ending == "raised":
            raise RuntimeError("broken as well")
        os._exit(5)

    boot = breaking(ENDS[ending], elsewhere)

    found = run_scenarios(boot, plan(scenarios=[LONG]))

    assert kinds(crashing(found).shown.program) == [Store, Fsync]


@ENDINGS
def test_making_it_small_is_bounded(ending: str) -> None:
    """What was found is what is shown then, and it is said."""
    given = plan(scenarios=[LONG], shrink_runs=0)

    shown = crashing(run_scenarios(breaking(ENDS[ending]), given)).shown

    assert (shown.program, shown.is_minimal) == (LONG.program, False)
    assert shown.scenario == "long"


@ENDINGS
def test_what_does_not_crash_again_says_so(ending: str) -> None:
    """It is a crash all the same."""
    left = [1]

    def once() -> None:
        if left:
            ENDS[ending]()

    boot = breaking(once)
    # A child that ends reports nothing; the program after it does.
    after = Scenario("after", (), Program((Load(),)))
    given = plan(scenarios=[LONG, after], on_progress=lambda _: left.clear())

    shown = crashing(run_scenarios(boot, given)).shown

    assert shown.sentence.endswith("(did not repeat when the program was run again)")
    assert not shown.is_minimal


@ENDINGS
@pytest.mark.parametrize("crashes", [True, False])
def test_a_known_crash_is_tried_again(ending: str, *, crashes: bool) -> None:
    """It is a crash, or it is not; a rule has nothing to do with that."""
    known = Known("abc", "CNT-BAL", LONG.program, is_crash=True, crashed=("CNT-BAL",))
    boot = breaking(ENDS[ending]) if crashes else boot_good

    found = run_scenarios(boot, plan(known=[known]))

    assert found.known == {"abc": Verdict.CRASHED if crashes else Verdict.HELD}
    if crashes:
        assert crashing(found, "CNT-BAL").shown.made_from == "abc"


def test_a_known_crash_that_is_minimal_stays_as_it_is() -> None:
    """It is run, and that is that."""
    known = Known("abc", "CNT-BAL", LONG.program, is_minimal=True, is_crash=True)

    shown = crashing(run_scenarios(breaking(_raise), plan(known=[known]))).shown

    assert (shown.program, shown.is_minimal) == (LONG.program, True)


def test_a_setup_that_does_not_boot_is_made_small() -> None:
    """All that is left of the program is what the factory is asked for."""
    features = {Feature.CHECKSUMS, Feature.COPY_ON_WRITE}
    program = Program((Load(), Store()), Setup(features=features))

    def boot(setup: Setup) -> object:
        if setup.has(Feature.CHECKSUMS):
            raise OSError("no checksums today")
        return boot_good(setup)

    asked = Scenario("asked", ("MKW-EVERY",), program)
    shown = crashing(run_scenarios(boot, plan(scenarios=[asked]))).shown

    assert shown.program == Program((), Setup(features={Feature.CHECKSUMS}))
    assert shown.sentence == "boot fails: OSError: no checksums today"


# --- programs without end -------------------------------------------------------------


@pytest.mark.parametrize("repeats", [0, 1])
def test_a_program_without_end_is_made_small_where_it_is_sure(
    monkeypatch: pytest.MonkeyPatch, repeats: int
) -> None:
    """What must repeat may be a hiccup, and each try would take its time."""
    monkeypatch.setattr("conformance.engines.invocation.STEPS_MAX", 50)

    def turns(_: object, **__: object) -> Iterator[Step]:
        while True:
            yield Step("disk.request_taken")

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "fsync", turns)

    given = plan(budget=Budget(10, 30), repeats=repeats)
    lost = run_search("explorer", boot, given).lost

    assert lost is not None
    assert lost.ends
    assert lost.shown.is_minimal is not bool(repeats)
    assert (kinds(lost.shown.program) == [Fsync]) is not bool(repeats)
