"""Themes: operations that belong together, out of which a program is made.

A defect shows when a few operations meet on one page, in some order. Among sixty kinds
of operations they hardly ever do; so a program has a theme, mostly: the operations of
one scenario, whose fields and order are drawn anew, and how that one is set up.

Interface:
  * `THEMES` has no two alike; `theme.names` are its operations, with what it takes to
    do them.
"""

from collections.abc import Iterable, Iterator

import attrs

from conformance.engines.vocabulary import MAKERS
from conformance.interface import Setup
from conformance.program import Program
from conformance.scenarios.catalogue import SCENARIOS


@attrs.frozen
class Theme:
    """What a program is about."""

    names: tuple[str, ...]
    """Its operations, in the order of the catalogue's; each once."""
    setup: Setup


def _with_makers(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield name
        if name in MAKERS:
            yield MAKERS[name].name


def _theme(program: Program) -> Theme:
    names = (operation.name for operation in program.operations)
    return Theme(tuple(sorted({*_with_makers(names)})), program.setup)


THEMES = tuple(
    dict.fromkeys(
        _theme(scenario.program)
        for scenario in SCENARIOS
        if not scenario.program.misuse
    )
)
