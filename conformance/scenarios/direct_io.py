"""Direct I/O: the first user of get_user_pages."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
