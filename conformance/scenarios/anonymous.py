"""Anonymous memory: fork, copy on write, and pins that must not lose their page."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
