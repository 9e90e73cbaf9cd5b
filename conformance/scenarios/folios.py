"""Large folios: one reference count for several pages."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
