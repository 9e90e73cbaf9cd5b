"""A violation must show again, where the machine is not the stack's alone."""

import os
from pathlib import Path

import attrs
import pytest

from conformance.engines.plan import Known
from conformance.engines.session import EngineResult, run_scenarios
from conformance.engines.tally import RuleResult
from conformance.interface import (
    Fsync,
    GetUserPages,
    Load,
    PutUserPages,
    Setup,
    Store,
    VmStat,
)
from conformance.program import Program
from conformance.verdicts import Verdict
from tests.conformance.engines.small_plans import forgetful, plan, scenario
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot as boot_good

FIRST = scenario("first", Store(), rules=("MKW-EVERY",))
SECOND = scenario("second", Load(), Store(), rules=("MKW-EVERY",))
MISCOUNTED = VmStat(
    nr_gup_slow_pages_requested=9,
    nr_gup_fast_pages_requested=0,
    nr_gup_fast_page_backoffs=0,
    nr_gup_page_count_overflows=0,
    nr_gup_pages_returned=0,
)
TRIES = 12
"""Runs for three repetitions."""


class Flaky:
    """Boots stacks that obey, and others that do not, as told beforehand."""

    def __init__(self, boots: str) -> None:
        self.boots = boots
        """One letter for each boot, the last for all that follow.

        x disobeys MKW-EVERY, y CNT-BAL as well. The first boot is that of the look at
        what is offered.
        """
        self.count = 0

    def __call__(self, setup: Setup) -> object:
        """Boot."""
        which = min(self.count, len(self.boots) - 1)
        self.count += 1
        stack = (boot_good if self.boots[which] == "o" else forgetful)(setup)
        if self.boots[which] == "y":
            stack = but(stack, "vmstat", lambda _: MISCOUNTED)
        return stack


def judged(boot: object, *scenarios: object, **more: object) -> EngineResult:
    """Run scenarios in this process; a violation must show again three times."""
    known: dict[str, object] = {"repeats": 3, "isolated": False, **more}
    given = plan(*scenarios, **known)  # type: ignore[arg-type]
    return run_scenarios(boot, given)  # type: ignore[arg-type]


def result(boot: object, *scenarios: object, **more: object) -> RuleResult:
    """Return what becomes of the rule that is disobeyed now and then."""
    return judged(boot, *scenarios, **more).results["MKW-EVERY"]


def test_what_shows_every_time_is_violated() -> None:
    """Three more runs settle it, and the sentence is left alone."""
    boot = Flaky("xx")

    found = result(boot, FIRST, shrink_runs=0)

    assert found.verdict is Verdict.VIOLATED
    assert found.violation is not None
    assert "run" not in found.violation.sentence
    assert boot.count == 2 + 3


def test_what_shows_once_is_not_violated() -> None:
    """It is no pass, either: the reason says what was seen, and that it was once."""
    boot = Flaky("ox" + "o")

    found = result(boot, FIRST)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.violation is None
    assert found.reason is not None
    assert "without page_mkwrite" in found.reason
    assert found.reason.endswith("(did not repeat when the program was run again)")
    assert boot.count == 2 + TRIES


def test_what_shows_now_and_then_is_violated() -> None:
    """A race does not show every time, and is one all the same."""
    found = result(Flaky("ox" + "oxooxox" + "o"), FIRST, shrink_runs=0)

    assert found.verdict is Verdict.VIOLATED
    assert found.violation is not None
    assert found.violation.sentence.endswith("(repeated in 3 of 7 runs)")


def test_what_shows_too_seldom_is_not_violated() -> None:
    """The reason says how often."""
    found = result(Flaky("ox" + "xoox" + "o"), FIRST)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason is not None
    assert found.reason.endswith("(repeated in 2 of 12 runs)")


def test_another_violation_of_the_rule_takes_its_place() -> None:
    """One that does not count hides none that does."""
    boot = Flaky("oxx" + "o" * TRIES + "x")

    found = result(boot, FIRST, SECOND, shrink_runs=0)

    assert found.verdict is Verdict.VIOLATED
    assert found.violation is not None
    assert found.violation.scenario == "second"


def test_a_smaller_program_must_show_it_again_too() -> None:
    """Else the one that was found stays."""
    boot = Flaky("ox" + "xxx" + "xxx" + "o")

    found = result(boot, SECOND)

    assert found.violation is not None
    assert len(found.violation.program.operations) == 2
    assert found.violation.scenario == "second"


def test_a_smaller_program_that_shows_it_again_is_kept() -> None:
    """As often as the one that was found."""
    found = result(Flaky("xx"), SECOND)

    assert found.violation is not None
    assert found.violation.program.operations == (Store(),)


@pytest.mark.parametrize(
    ("boots", "verdict"), [("ooooox", Verdict.VIOLATED), ("o", Verdict.HELD)]
)
def test_what_is_known_is_tried_more_than_once(boots: str, verdict: Verdict) -> None:
    """A race that did not show is not fixed."""
    known = Known("1a", "MKW-EVERY", Program((Store(), Fsync())))

    found = judged(Flaky(boots), known=[known])

    assert found.known == {"1a": verdict}
    assert found.programs == 1


BOTH = scenario("both", GetUserPages(), Store(), PutUserPages(), rules=("CNT-BAL",))
"""It is written for one rule, and shows another."""


def test_where_there_is_a_race_other_rules_are_tried_again() -> None:
    """A scenario in which something was violated may show its own rule's, too."""
    boot = Flaky("oxx" + "oxxx" + "oxy" + "y")

    found = judged(boot, FIRST, BOTH, shrink_runs=0).results["CNT-BAL"]

    assert found.verdict is Verdict.VIOLATED
    assert found.violation is not None
    assert found.violation.scenario == "both"


@pytest.mark.parametrize(("again", "runs"), [("yyy", 3), ("yxyxy", 5)])
def test_a_run_says_something_about_each_rule(again: str, runs: int) -> None:
    """A program that violates two rules is not run three times for each of them."""
    boot = Flaky("oy" + again + "o")
    scenario = attrs.evolve(BOTH, rules=("CNT-BAL", "MKW-EVERY"))

    found = judged(boot, scenario, shrink_runs=0).results

    assert {found[rule].verdict for rule in scenario.rules} == {Verdict.VIOLATED}
    assert boot.count == 2 + runs


def test_where_there_is_none_one_run_is_enough() -> None:
    """What was violated shows every time, and what was not will not."""
    boot = Flaky("oxx" + "xxx" + "y")

    found = judged(boot, FIRST, BOTH, shrink_runs=0).results["CNT-BAL"]

    assert found.verdict is Verdict.HELD
    assert boot.count == 3 + 3


def test_without_others_on_the_machine_what_was_seen_counts() -> None:
    """It is marked, and that is all: nobody else can have done it."""
    boot = Flaky("ox" + "o")

    found = result(boot, FIRST, repeats=0)

    assert found.verdict is Verdict.VIOLATED
    assert found.violation is not None
    assert "did not repeat" in found.violation.sentence
    assert boot.count == 2 + 1


def test_a_stack_lost_in_a_repetition_repeats_nothing(tmp_path: Path) -> None:
    """The violation was seen, and does not count."""
    mark = tmp_path / "found"

    def boot(setup: Setup) -> object:
        if mark.exists():
            os._exit(5)
        return forgetful(setup)

    found = result(boot, FIRST, isolated=True, on_progress=lambda _: mark.touch())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason is not None
    assert found.reason.endswith("(the stack was lost in a repetition)")
