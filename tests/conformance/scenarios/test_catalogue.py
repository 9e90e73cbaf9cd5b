"""The scenarios: each has a name of its own, and says what it is for."""

from conformance.interface.points import POINTS
from conformance.rules.catalogue import RULES
from conformance.scenarios.catalogue import BY_NAME, SCENARIOS


def test_every_name_is_given_once() -> None:
    """A name in a report leads to one program."""
    assert len(BY_NAME) == len(SCENARIOS)


def test_no_program_is_there_twice() -> None:
    """Two names for one program would be one too many."""
    assert len({scenario.program for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_rule_has_a_scenario() -> None:
    """Each rule is the main one of at least one scenario, or named by one."""
    named = {rule for scenario in SCENARIOS for rule in scenario.rules}

    assert named == {rule.id for rule in RULES if rule.untested is None}


def test_calls_are_parked_at_points_that_exist() -> None:
    """A misspelt point would never stop anything."""
    points = {park.at for each in SCENARIOS for park in each.program.schedule}

    assert points <= set(POINTS)
