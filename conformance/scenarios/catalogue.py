"""Every scenario, chapter by chapter."""

from conformance.scenarios import (
    bounce,
    counters,
    dirty,
    gup_writeback,
    liveness,
    longterm,
    mkwrite,
    references,
    writeback,
)
from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *mkwrite.SCENARIOS,
    *gup_writeback.SCENARIOS,
    *writeback.SCENARIOS,
    *bounce.SCENARIOS,
    *dirty.SCENARIOS,
    *references.SCENARIOS,
    *counters.SCENARIOS,
    *longterm.SCENARIOS,
    *liveness.SCENARIOS,
)

BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
