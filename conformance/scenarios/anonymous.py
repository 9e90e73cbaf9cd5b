"""Programs on anonymous and private memory: fork, copy on write, pins of its pages."""

from conformance.scenarios import (
    anonymous_fork,
    anonymous_isolation,
    anonymous_limits,
    anonymous_pins,
)
from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *anonymous_limits.SCENARIOS,
    *anonymous_fork.SCENARIOS,
    *anonymous_isolation.SCENARIOS,
    *anonymous_pins.SCENARIOS,
)
