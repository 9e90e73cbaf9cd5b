"""Going through schedules as an engine: what cannot be stepped is not judged."""

from collections.abc import Callable

import pytest

from conformance.engines.plan import Plan, RaceBudget
from conformance.engines.session import run_schedules
from conformance.interface import Setup
from conformance.rules.catalogue import RULES
from conformance.scenarios.races import RACED
from conformance.verdicts import Verdict
from tests.second_stack import Stack, boot

RACED_RULES = tuple(rule for rule in RULES if rule.id in RACED)


class Stepless(Stack):
    """Can be compared, and names its things; but its calls run to their ends."""

    def fingerprint(self) -> object:
        """Return what is equal for equal states."""
        return ()

    def name_of(self, thing: object) -> None:
        """Name nothing."""


@pytest.mark.parametrize("made", [boot, Stepless])
def test_what_is_not_stepped_is_not_observable(
    made: Callable[[Setup], object],
) -> None:
    """It is asked nothing, and every rule says that it lacks stepping."""
    found = run_schedules(made, Plan(RACED_RULES, race_budget=RaceBudget(calls=3)))

    results = found.results
    assert {each.verdict for each in results.values()} == {Verdict.NOT_OBSERVABLE}
    others = {rule for rule in RACED if results[rule].reason != "stepping"}
    assert others <= {"DRT-AFTER"}, "the stack lacks an operation that it needs, too"
    assert found.races == ()
