"""Direct I/O as a call: that it ends, what it claims, and what must wait for it.

Verified: answers, against what the buffer can have taken; blocks that a file loses
meanwhile. Not verified: which way a write went, past the cache or through it.
"""

from collections.abc import Iterator

from conformance.interface import (
    DirectRead,
    DirectWrite,
    FailNext,
    PunchHole,
    Truncate,
)
from conformance.oracle.history import Call
from conformance.rules.direct_losses import (
    PARTIAL,
    SELF,
    TRUNC,
    buffer_pages,
    is_self_io,
    is_there,
)
from conformance.rules.evidence import at_rest, found_losses
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level

_LOOK = "load|read|power_cut"


@rule(
    SELF,
    clause=Clause(
        DOCUMENT,
        "S3, S4; 4f06dd92b5d0",
        "the buffer of direct I/O may be a mapping of the very pages that it reads "
        "or writes: it ends, and touches nothing else",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_read|direct_write",)),
)
def direct_io_within_a_file_ends(case: Case) -> Iterator[Finding]:
    """Direct I/O between a range and a mapping of it is answered."""
    for call, operation in case.history.asked(DirectRead, DirectWrite):
        if not is_self_io(case.oracle, call, operation):
            continue
        case.premise()
        if call.is_pending:
            waits = f", waiting for {call.blocked_on}" if call.blocked_on else ""
            yield case.found(
                call, f"{operation} on its own buffer has not answered{waits}"
            )
    yield from found_losses(case, SELF)


@rule(
    PARTIAL,
    clause=Clause(
        KERNEL,
        "fs/iomap/direct-io.c, iomap_dio_rw; on S3",
        "where direct I/O ends early it answers what it has done, or an error, and "
        "leaves the rest as it was",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_read|direct_write",)),
)
def only_what_was_done_is_claimed(case: Case) -> Iterator[Finding]:
    """Direct I/O claims no page that it cannot have done, and spoils no other."""
    for call, operation in case.history.asked(DirectRead, DirectWrite):
        if call.answered is None:
            continue
        names = list(buffer_pages(case.oracle, call, operation))
        missing = [
            i for i, name in enumerate(names) if not is_there(case.oracle, call, name)
        ]
        there = min(missing, default=len(names))
        is_short = call.refused or call.result != operation.pages
        if there < len(names) or is_short:
            case.premise()
        if isinstance(call.result, int) and call.result > there:
            yield case.found(
                call,
                f"{operation} answered {call.result} page(s), but its buffer has "
                f"{there} (should be at most {there})",
            )
    yield from found_losses(case, PARTIAL)
    yield from _leaks(case)


def _leaks(case: Case) -> Iterator[Finding]:
    """Yield direct I/O that fails again and again, and keeps a page each time.

    The first time may leave something behind that is kept; the others must not.
    """
    row: list[Call] = []
    for call in case.history.calls:
        if not call.was_asked or isinstance(call.operation, FailNext):
            continue
        is_direct = isinstance(call.operation, DirectRead | DirectWrite)
        is_again = bool(row) and row[-1].operation == call.operation
        row = [*(row if is_again else ()), call] if is_direct and call.refused else []
        if len(row) >= _ENOUGH and _grows(case, row[-2], call):
            yield case.found(
                call,
                f"{call.operation} failed again and left fewer free pages than the "
                "time before (should be as many)",
            )


_ENOUGH = 3
"""Failures in a row, of which the last two are compared."""


def _grows(case: Case, before: Call, after: Call) -> bool:
    """Tell whether a call left fewer free pages, and no more pages cached."""
    was, now = (case.history.sample_after(call.ended) for call in (before, after))
    if was is None or now is None or not at_rest(was) or not at_rest(now):
        return False
    free = was.vmstat.nr_free_pages, now.vmstat.nr_free_pages
    cached = [
        {name for name, view in sample.pages.items() if view.is_cached}
        for sample in (was, now)
    ]
    is_less = free[0] is not None and free[1] is not None and free[1] < free[0]
    return is_less and cached[0] >= cached[1]


@rule(
    TRUNC,
    clause=Clause(
        KERNEL,
        "include/linux/fs.h, inode_dio_begin and inode_dio_wait; on S3",
        "a file does not lose blocks while a direct write to them is under way",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_write", "truncate|punch_hole", _LOOK)),
)
def blocks_stay_while_they_are_written(case: Case) -> Iterator[Finding]:
    """A direct write does not reach blocks that its file has lost."""
    for call, operation in case.history.asked(DirectWrite):
        for other, cut in case.history.asked(Truncate, PunchHole):
            is_beside = call.asked < other.asked < call.ended and not other.refused
            if is_beside and getattr(cut, "file", None) == operation.file:
                case.premise()
    yield from found_losses(case, TRUNC)


CALL_RULES: tuple[Rule, ...] = (
    direct_io_within_a_file_ends,
    only_what_was_done_is_claimed,
)
BLOCK_RULES: tuple[Rule, ...] = (blocks_stay_while_they_are_written,)
