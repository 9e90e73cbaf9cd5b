"""The catalogue: every rule, chapter by chapter, in the order of the document.

Interface:
  * `CHAPTERS` is the whole; `RULES` the rules alone; `BY_ID` finds one.
  * `matching(glob)` chooses rules by a pattern on their ids.
"""

from fnmatch import fnmatchcase

import attrs

from conformance.rules import (
    anonymous,
    bounce,
    counters,
    direct_io,
    dirty,
    folios,
    gup_writeback,
    invalidation,
    liveness,
    longterm,
    mkwrite,
    notifiers,
    references,
    snapshots,
    writeback,
)
from conformance.rules.rule import Rule
from conformance.rules.untested import UNTESTED


@attrs.frozen
class Chapter:
    """Rules that belong together."""

    title: str
    rules: tuple[Rule, ...]


CHAPTERS: tuple[Chapter, ...] = (
    Chapter("page_mkwrite on every write to a clean page", mkwrite.RULES),
    Chapter("get_user_pages against writeback", gup_writeback.RULES),
    Chapter("cleaning a page", writeback.RULES),
    Chapter("stable content and bounce pages", bounce.RULES),
    Chapter("dirtying and buffers", dirty.RULES),
    Chapter("references, pins, limits", references.RULES),
    Chapter("counters", counters.RULES),
    Chapter("long-term pins", longterm.RULES),
    Chapter("snapshots and shared extents", snapshots.RULES),
    Chapter("anonymous memory, fork, copy on write", anonymous.RULES),
    Chapter("devices that follow the page tables", notifiers.RULES),
    Chapter("direct I/O", direct_io.RULES),
    Chapter("pages that leave their file while pinned", invalidation.RULES),
    Chapter("large folios", folios.RULES),
    Chapter("liveness", liveness.RULES),
    Chapter("listed, and not judged", UNTESTED),
)

RULES: tuple[Rule, ...] = tuple(rule for chapter in CHAPTERS for rule in chapter.rules)

BY_ID: dict[str, Rule] = {rule.id: rule for rule in RULES}


def matching(glob: str) -> tuple[Rule, ...]:
    """Return the rules whose id matches a pattern such as "MKW-*"."""
    return tuple(rule for rule in RULES if fnmatchcase(rule.id, glob.upper()))
