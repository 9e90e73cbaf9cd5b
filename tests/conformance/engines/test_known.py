"""Programs that violated a rule earlier: run first, or alone."""

import os

import attrs

from conformance.engines.plan import Known
from conformance.engines.session import run_replay, run_scenarios
from conformance.engines.tally import Violation
from conformance.interface import GetUserPages, Load, Setup, Store, Umount
from conformance.program import Program
from conformance.verdicts import Verdict
from tests.conformance.engines.small_plans import (
    PINS,
    RULES,
    STORES,
    forgetful,
    plan,
    scenario,
)
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot as boot_good


def known(id: str, *operations: object, rule: str = "MKW-EVERY") -> Known:
    """Return a program with which a rule was violated."""
    return Known(id, rule, Program(operations))  # type: ignore[arg-type]


def test_what_is_known_is_run_first() -> None:
    """It counts as its rule's violation, whatever a scenario shows."""
    small = scenario("small", Store(), rules=("MKW-EVERY",))
    pinned = known("1a", Store(), GetUserPages())
    given = plan(small, known=[pinned], shrink_runs=0)

    found = run_scenarios(forgetful, given)

    violation = found.results["MKW-EVERY"].violation
    assert violation is not None
    assert violation.program == pinned.program
    assert violation.scenario == "stored 1a"
    assert found.known == {"1a": Verdict.VIOLATED}
    assert found.programs == 2


def test_what_is_known_may_be_fixed() -> None:
    """Each has its own verdict, of its own rule; others are not asked."""
    given = plan(
        PINS,
        rules=RULES[:1],
        known=[
            known("1a", Store()),
            known("2b", GetUserPages(), rule="LT-REFUSE"),
            known("3c", Load()),
            known("4d", Umount()),
        ],
    )

    found = run_scenarios(boot_good, given)

    assert found.known == {"1a": Verdict.HELD, "3c": Verdict.NOT_EXERCISED}


def test_what_is_known_may_take_the_child_with_it() -> None:
    """It says so, and the scenarios are run."""

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: os._exit(3))

    found = run_scenarios(boot, plan(PINS, known=[known("1a", Load())]))

    assert found.known == {"1a": Verdict.CRASHED}
    assert found.results["MKW-EVERY"].verdict is Verdict.CRASHED
    assert found.results["CNT-BAL"].verdict is Verdict.HELD


LONG = Known("1a", "MKW-EVERY", Program((Load(), Store(value=7), Load())))
SHORT = Program((Store(),))


def replayed(known: Known, **more: object) -> Violation:
    """Return the violation that a replay finds."""
    found = run_replay(forgetful, plan(STORES, PINS, known=[known], **more))
    violation = found.results["MKW-EVERY"].violation
    assert (found.engine, found.programs) == ("replay", 1)
    assert violation is not None
    return violation


def test_a_replay_runs_what_is_known_and_nothing_else() -> None:
    """As it is, if nothing of it can go."""
    violation = replayed(attrs.evolve(LONG, is_minimal=True))

    assert violation.program == LONG.program
    assert (violation.is_minimal, violation.made_from) == (True, None)
    assert violation.scenario == "stored 1a"


def test_a_replay_goes_on_shrinking() -> None:
    """What was made of which is known."""
    violation = replayed(LONG)

    assert violation.program == SHORT
    assert (violation.is_minimal, violation.made_from) == (True, "1a")
    assert violation.scenario is None


def test_shrinking_goes_on_run_after_run() -> None:
    """Two programs at a time; what one run has tried, the next does not."""
    known, runs = LONG, 0

    while not known.is_minimal:
        found = replayed(known, shrink_runs=2)
        known = Known("1a", "MKW-EVERY", found.program, found.is_minimal, found.tried)
        runs += 1
        assert runs < 9

    assert known.program == SHORT
    assert runs > 1


def test_what_is_known_and_minimal_is_not_shrunk_in_any_run() -> None:
    """It costs one run more, to see whether it repeats."""
    booted: list[Setup] = []

    def boot(setup: Setup) -> object:
        booted.append(setup)
        return forgetful(setup)

    known = attrs.evolve(LONG, is_minimal=True)
    found = run_scenarios(boot, plan(known=[known], isolated=False))

    violation = found.results["MKW-EVERY"].violation
    assert violation is not None
    assert violation.is_minimal
    assert len(booted) == 3  # looked at, run, run again
