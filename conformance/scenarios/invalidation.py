"""Truncate, punch, unmap and reuse while pages are pinned."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
