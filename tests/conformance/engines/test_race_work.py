"""Going through schedules as an engine: what cannot be stepped is not judged."""

from collections.abc import Callable
from functools import partial

import pytest

from conformance.engines.plan import Plan, RaceBudget
from conformance.engines.running import run
from conformance.engines.session import run_schedules
from conformance.interface import Setup
from conformance.rules.catalogue import BY_ID, RULES
from conformance.scenarios.races import RACED, RACES
from conformance.verdicts import Verdict
from reference_impl import boot as reference
from reference_impl.gup import GupFlags
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.memory import Page
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


class _FallsOver(GupFast):
    """Backing off, to which it comes in a race only, is not written yet."""

    def back_off(self, page: Page, flags: GupFlags) -> None:
        raise RuntimeError("no way back")


def test_a_crash_in_a_race_has_its_schedule() -> None:
    """In few turns, so that it is run again as it came about."""
    falling = partial(reference, parts=Parts(make_gup_fast=_FallsOver))
    race = next(each for each in RACES if each.name == "gup-fast-mkclean")
    rules = [BY_ID[rule] for rule in race.rules]

    found = run_schedules(falling, Plan(rules, races=[race]))

    results = found.results.values()
    assert {each.verdict for each in results} == {Verdict.CRASHED}
    (shown,) = {each.crashing.shown.program for each in results if each.crashing}
    assert 0 < len(shown.turns) <= 4
    again = run(falling, shown).crash
    assert again is not None
    assert "no way back" in again.message
    assert run(reference, shown).crash is None
