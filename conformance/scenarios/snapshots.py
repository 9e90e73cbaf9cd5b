"""Snapshots, clones, dedupe: content that must not change afterwards."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
