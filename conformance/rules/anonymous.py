"""Anonymous and private memory: fork, copy on write, and pins of its pages.

The document speaks of pages of files. The pages that a process has for itself have
neither a filesystem nor writeback behind them, and one trouble of the same kind: what
is done to a page table is not noticed by a device that has the page pinned (S15). The
rules stand in four files: forks, pins, what may be handed out, and the zero page.
"""

from conformance.rules import (
    anonymous_fork,
    anonymous_limits,
    anonymous_pins,
    anonymous_zero,
)
from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *anonymous_limits.RULES,
    *anonymous_zero.RULES,
    *anonymous_fork.RULES,
    *anonymous_pins.RULES,
)
