"""Devices that follow page-table changes and hold no pin."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
