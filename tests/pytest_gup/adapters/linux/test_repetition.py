"""On the running kernel a violation must show again: once is not enough."""

from typing import Any

import attrs
import pytest

from conformance.engines.plan import Plan
from conformance.engines.session import run_scenarios
from conformance.engines.tally import RuleResult
from conformance.interface import Setup, Store
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Verdict
from pytest_gup import connect
from pytest_gup.adapters.linux import boot_for

pytestmark = [pytest.mark.linux, pytest.mark.slow]

LOOK, FOUND = 0, 1
"""The boots before a violation is repeated: one to see what is offered, one in which it
is found."""


@attrs.define(eq=False)
class Lying:
    """Boots the kernel; in some boots no modification time is seen to move."""

    boots: range
    """Those in which it lies."""
    count: int = 0

    def __call__(self, setup: Setup) -> object:
        """Boot."""
        stack: Any = boot_for("ext4")(setup)
        if self.count in self.boots:
            stack.mtime = lambda file: 0
        self.count += 1
        return stack


def judged(boot: Lying) -> RuleResult:
    """Return what is said of the rule about which it lies."""
    implementation = connect._linux("linux:ext4", "ext4")
    scenario = Scenario("store", ("MKW-EVERY",), Program((Store(),)))
    plan = Plan(
        rules=(BY_ID["MKW-EVERY"],),
        scenarios=(scenario,),
        repeats=implementation.repeats,
        shrink_runs=0,
        isolated=False,
    )
    return run_scenarios(boot, plan).results["MKW-EVERY"]


@pytest.mark.parametrize(
    ("boots", "end"),
    [
        (range(FOUND, FOUND + 1), "(did not repeat when the program was run again)"),
        (range(FOUND, FOUND + 2), "(repeated in 1 of 12 runs)"),
        (range(FOUND, FOUND + 3), "(repeated in 2 of 12 runs)"),
    ],
)
def test_what_shows_too_seldom_does_not_count(boots: range, end: str) -> None:
    """It is no pass, either: the reason says what was seen, and how often."""
    found = judged(Lying(boots))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason is not None
    assert found.reason.endswith(end)


@pytest.mark.parametrize(
    ("boots", "verdict"),
    [
        (range(0), Verdict.HELD),
        (range(FOUND, FOUND + 4), Verdict.VIOLATED),
    ],
)
def test_what_shows_each_time_does(boots: range, verdict: Verdict) -> None:
    """The lie is seen, and nothing is without it."""
    boot = Lying(boots)

    assert judged(boot).verdict is verdict
    assert boot.count == max(FOUND + 1, boots.stop)
