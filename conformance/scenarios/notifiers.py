"""Devices that follow page-table changes and hold no pin."""

from conformance.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
