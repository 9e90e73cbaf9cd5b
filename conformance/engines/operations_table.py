"""How often each operation was drawn, executed, skipped and refused.

None may starve: an operation that is hardly ever executed is hardly tested.
"""

from collections.abc import Iterable

import attrs

from conformance.oracle.history import Call


@attrs.define
class Row:
    """The counts of one operation."""

    drawn: int = 0
    executed: int = 0
    """Asked of the stack, refusals included."""
    skipped: int = 0
    refused: int = 0


@attrs.define(eq=False)
class OperationsTable:
    """The counts of all operations of one engine."""

    rows: dict[str, Row] = attrs.field(factory=dict[str, Row])

    def add(self, calls: Iterable[Call]) -> None:
        """Count the calls of one program; the epilogue's do not count."""
        for call in calls:
            if call.is_epilogue:
                continue
            row = self.rows.setdefault(call.operation.name, Row())
            row.drawn += 1
            row.executed += call.was_asked
            row.skipped += not call.was_asked
            row.refused += call.refused

    def merge(self, other: "OperationsTable") -> None:
        """Add the counts of another table."""
        for name, row in other.rows.items():
            mine = self.rows.setdefault(name, Row())
            mine.drawn += row.drawn
            mine.executed += row.executed
            mine.skipped += row.skipped
            mine.refused += row.refused

    def lines(self) -> list[str]:
        """Return the table as text, the most executed first."""
        rows = sorted(self.rows.items(), key=lambda item: -item[1].executed)
        return [
            _line("operation", "drawn", "executed", "skipped", "refused"),
            *(
                _line(name, row.drawn, row.executed, row.skipped, row.refused)
                for name, row in rows
            ),
        ]


def _line(name: str, *counts: object) -> str:
    return f"{name:<28}" + "".join(f"{count!s:>10}" for count in counts)
