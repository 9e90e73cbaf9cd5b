"""How much of what engines draw each operation is: none may starve.

Interface:
  * `starving(histories)` are the operations that the reference offers and that are
    less than `EXECUTED_MIN` of all that are executed, or skipped too often.
"""

from collections.abc import Iterable

from conformance.engines.operations_table import OperationsTable
from conformance.engines.scenario_run import probe
from conformance.oracle.history import History
from reference_impl import boot

EXECUTED_MIN = 0.01
"""Of all operations that are executed."""
SKIPPED_MAX = 0.5
"""Of those drawn of one kind."""


def starving(histories: Iterable[History]) -> set[str]:
    """Return the operations that are executed too seldom, or skipped too often."""
    table = OperationsTable()
    for history in histories:
        table.add(history.calls[: history.drawn])
    rows = table.rows
    least = EXECUTED_MIN * sum(row.executed for row in rows.values())
    seldom = {
        name
        for name in probe(boot).parameters
        if name not in rows or rows[name].executed < least
    }
    skipped = {n for n, row in rows.items() if row.skipped > SKIPPED_MAX * row.drawn}
    return seldom | skipped
