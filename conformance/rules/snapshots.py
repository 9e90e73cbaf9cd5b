"""Snapshots, clones, dedupe: content that must not change afterwards."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
