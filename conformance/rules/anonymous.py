"""Anonymous memory: fork, copy on write, and pins that must not lose their page."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
