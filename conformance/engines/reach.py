"""Which lines each rule has exercised: those run in a program in which it had a case.

Interface:
  * `Reach.add(lines, rules)` after each program.
  * `Reach.by_file()` gives it as plain values; `merge` adds two of these, of two
    engines or of two workers.
  * `as_text` and `from_text` write line numbers as `3-7,12`.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from conformance.engines.lines import Line, Lines

ByFile = dict[str, dict[str, str]]
"""By file and rule: the lines, as text."""


@attrs.define(eq=False)
class Reach:
    """The lines of one engine, as they come in."""

    _places: dict[Line, int] = attrs.field(factory=dict[Line, int])
    """Which bit stands for which line."""
    _masks: dict[str, int] = attrs.field(factory=dict[str, int])
    """By rule: its lines, as bits. There are many programs, rules and lines."""

    def add(self, lines: Lines, rules: Iterable[str]) -> None:
        """Add a program: the lines that it ran, the rules that it exercised."""
        mask = 0
        for line in lines:
            mask |= 1 << self._places.setdefault(line, len(self._places))
        for rule in rules:
            self._masks[rule] = self._masks.get(rule, 0) | mask

    def by_file(self) -> ByFile:
        """Return the lines of each rule in each file."""
        found: dict[str, dict[str, set[int]]] = {}
        for (file, line), place in self._places.items():
            for rule, mask in self._masks.items():
                if mask >> place & 1:
                    found.setdefault(file, {}).setdefault(rule, set()).add(line)
        return {
            file: {rule: as_text(lines) for rule, lines in sorted(by_rule.items())}
            for file, by_rule in sorted(found.items())
        }


def merge(one: Mapping[str, Mapping[str, str]], other: ByFile) -> ByFile:
    """Return what is in either."""
    merged = {file: dict(by_rule) for file, by_rule in one.items()}
    for file, by_rule in other.items():
        mine = merged.setdefault(file, {})
        for rule, text in by_rule.items():
            mine[rule] = as_text(from_text(mine.get(rule, "")) | from_text(text))
    return merged


def as_text(lines: Iterable[int]) -> str:
    """Return line numbers as text."""
    return ",".join(
        str(first) if first == last else f"{first}-{last}"
        for first, last in _ranges(sorted(lines))
    )


def _ranges(lines: list[int]) -> Iterator[tuple[int, int]]:
    first = 0
    for place, line in enumerate(lines):
        if place + 1 == len(lines) or lines[place + 1] > line + 1:
            yield lines[first], line
            first = place + 1


def from_text(text: str) -> set[int]:
    """Return the line numbers of a text."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
