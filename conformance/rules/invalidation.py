"""Truncate, punch, unmap and reuse while pages are pinned."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
