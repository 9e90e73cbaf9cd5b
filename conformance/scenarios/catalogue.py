"""Every scenario, chapter by chapter."""

from conformance.scenarios import (
    anonymous,
    bounce,
    counters,
    direct_io,
    dirty,
    folios,
    gup_writeback,
    invalidation,
    liveness,
    longterm,
    mkwrite,
    notifiers,
    references,
    snapshots,
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
    *snapshots.SCENARIOS,
    *anonymous.SCENARIOS,
    *notifiers.SCENARIOS,
    *direct_io.SCENARIOS,
    *invalidation.SCENARIOS,
    *folios.SCENARIOS,
    *liveness.SCENARIOS,
)

BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
