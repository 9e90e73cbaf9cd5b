"""Long-term pins: pages that a device keeps for an unbounded time.

The document leaves open what is to become of them (S13); current Linux refuses those
that could dirty a page of a file behind the filesystem's back for ever.
"""

from collections.abc import Iterator

from conformance.interface import GetUserPages
from conformance.oracle.history import Call
from conformance.rules.longterm_moves import MOVE_RULES
from conformance.rules.rule import (
    DOCUMENT,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level


@rule(
    "LT-REFUSE",
    clause=Clause(
        DOCUMENT,
        "S13; Linux mm/gup.c, 8ac268436e6d",
        "a long-term pin for writing of a shared file page that is written back "
        "is refused",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages(longterm)|get_user_pages_fast(longterm)",),
        absent_features=("no_dirty_tracking",),
    ),
)
def longterm_writers_are_refused(case: Case) -> Iterator[Finding]:
    """A long-term write pin of a shared file mapping with dirty tracking is refused."""
    for call, operation in case.history.asked(GetUserPages):
        if not operation.longterm or not operation.write or call.answered is None:
            continue
        if not _is_of_writable_file(case, call, operation):
            continue
        case.premise()
        if call.succeeded:
            yield case.found(
                call,
                f"{operation} was granted {call.result} page(s) (should be refused)",
            )


def _is_of_writable_file(case: Case, call: Call, operation: GetUserPages) -> bool:
    """Whether the pages are those of a file, mapped so that they can be written."""
    where = operation.process, operation.mapping
    span = case.oracle.layout.find(*where, call.asked)
    is_file = case.oracle.target(*where, operation.page, call.asked) is not None
    return (
        is_file
        and span is not None
        and span.writabilities(call.asked, call.ended) == {True}
    )


RULES: tuple[Rule, ...] = (longterm_writers_are_refused, *MOVE_RULES)
