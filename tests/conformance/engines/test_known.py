"""Programs that violated a rule earlier: run first, or alone."""

import os

from conformance.engines.plan import Known
from conformance.engines.session import run_replay, run_scenarios
from conformance.interface import GetUserPages, Load, Setup, Store, Umount
from conformance.program import Program
from conformance.verdicts import Verdict
from tests.conformance.engines.test_broken_implementations import but
from tests.conformance.engines.test_session import (
    PINS,
    RULES,
    STORES,
    forgetful,
    plan,
    scenario,
)
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
    """Nothing is said of it, and the scenarios are run."""

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: os._exit(3))

    found = run_scenarios(boot, plan(PINS, known=[known("1a", Load())]))

    assert found.known == {}
    assert found.results["MKW-EVERY"].verdict is Verdict.CRASHED
    assert found.results["CNT-BAL"].verdict is Verdict.HELD


def test_a_replay_runs_what_is_known_and_nothing_else() -> None:
    """As it is: it is not made smaller."""
    long = known("1a", Load(), Store(), Load())

    found = run_replay(forgetful, plan(STORES, PINS, known=[long]))

    violation = found.results["MKW-EVERY"].violation
    assert violation is not None
    assert violation.program == long.program
    assert (found.engine, found.programs) == ("replay", 1)
