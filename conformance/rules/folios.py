"""Large folios: one reference count for several pages."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
