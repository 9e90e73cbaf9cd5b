"""Direct I/O: the first user of get_user_pages."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
