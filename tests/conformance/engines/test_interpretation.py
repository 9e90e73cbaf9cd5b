"""The counters read as the document does, and the table of operations."""

from conformance.engines.execution import run
from conformance.engines.interpretation import NAMED_MAX, Readings
from conformance.engines.operations_table import OperationsTable
from conformance.interface import (
    GetUserPages,
    GetUserPagesFast,
    Load,
    PutUserPage,
    PutUserPages,
    Setup,
)
from conformance.oracle.history import History
from conformance.program import Program
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot

LEAK = Program(
    (
        GetUserPages(pages=2),
        PutUserPage(page=0),
        GetUserPagesFast(pin=1, page=2),
        PutUserPages(pin=1),
        Load(mapping=5),
    )
)


def without_counters(setup: Setup) -> object:
    """Return a stack that shows no counters."""
    return but(boot(setup), "vmstat", None)  # type: ignore[arg-type]  # that hides it


def readings(*histories: tuple[History, str | None]) -> Readings:
    """Return the readings of several programs."""
    found = Readings()
    for history, name in histories:
        each = Readings()
        each.add(history, name)
        found.merge(each)
    return found


def test_a_get_without_a_put_is_named() -> None:
    """Requests, returns, the difference, and which get it was."""
    lines = readings((run(boot, LEAK), "leak")).lines()

    assert [line.split()[-1] for line in lines[:6]] == ["3", "2", "1", "3", "2", "1"]
    assert lines[6:] == [
        "1 get(s) without a put when their program ended:",
        "  leak, call 0: get_user_pages(pages=2) (1 page(s))",
    ]


def test_only_a_few_are_named() -> None:
    """The rest is counted."""
    history = run(boot, LEAK)
    lines = readings(*[(history, None)] * (NAMED_MAX + 2)).lines()

    assert lines[6] == f"{NAMED_MAX + 2} get(s) without a put when their program ended:"
    assert lines[7].startswith("  drawn program, call 0: ")
    assert lines[-1] == "  and 2 more"
    assert len(lines) == 8 + NAMED_MAX


def test_balanced_counters_say_so() -> None:
    """Every get has its put."""
    program = Program((GetUserPages(), PutUserPages()))

    assert readings((run(boot, program), "even")).lines()[-1] == "every get has its put"


def test_without_counters_there_is_nothing_to_interpret() -> None:
    """Programs of stacks that keep none do not spoil the sums of others."""
    silent = run(without_counters, LEAK)

    assert readings((silent, "silent")).lines() == []
    both = readings((silent, "silent"), (run(boot, LEAK), "leak"))
    assert both.document == (3, 2)


def test_the_table_counts_what_became_of_operations() -> None:
    """Drawn, executed, skipped, refused; the most executed first."""
    table = OperationsTable()
    other = OperationsTable()
    table.add(run(boot, LEAK).calls)
    other.add(run(boot, Program((Load(page=9), Load()))).calls)

    table.merge(other)

    load = table.rows["load"]
    assert (load.drawn, load.executed, load.skipped, load.refused) == (3, 1, 2, 0)
    assert table.lines()[0].split()[1:] == ["drawn", "executed", "skipped", "refused"]
    assert len(table.lines()) == 1 + len(table.rows)
