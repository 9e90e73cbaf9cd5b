"""Liveness: every call answers in the end.

At the end of a program the disk is released, the filesystem thawed, space given back;
pins are kept. What is still pending then waits for something that never comes. Each
such call is reported by one of the two rules: if one that works on a file as a whole
is among them, all by LIVE-SYNC, because the others may wait for it; else by LIVE-GUP.
"""

from collections.abc import Iterator

from conformance.interface import (
    Evict,
    Freeze,
    Fsync,
    GetUserPages,
    Operation,
    PunchHole,
    Reclaim,
    Sync,
    Truncate,
    Umount,
    Unlink,
    Writeback,
)
from conformance.oracle.history import Call
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

_SYNCS = (Fsync, Sync, Umount)
_WHOLE_FILE: tuple[type[Operation], ...] = (
    *_SYNCS,
    Writeback,
    Freeze,
    Truncate,
    PunchHole,
    Evict,
    Reclaim,
    Unlink,
)
"""Operations that might wait for pins to be put, and must not."""


@rule(
    "LIVE-GUP",
    clause=Clause(
        DOCUMENT,
        "S25",
        "get_user_pages waits for the writeback that is active, and for no longer",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("get_user_pages|get_user_pages_fast|store",)),
)
def accesses_answer(case: Case) -> Iterator[Finding]:
    """An access that waits for writeback is answered when the writeback has ended."""
    waited = _waited(case)
    for call, _ in case.history.asked(GetUserPages):
        if call.index in waited:
            case.premise()
    pending = _pending(case)
    if not any(isinstance(call.operation, _WHOLE_FILE) for call in pending):
        yield from _endless(case, pending)


@rule(
    "LIVE-SYNC",
    clause=Clause(
        DOCUMENT,
        "S5, S6",
        "files are written back for integrity however long their pages are pinned",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("fsync|sync", "get_user_pages|get_user_pages_fast"),
    ),
)
def syncs_answer(case: Case) -> Iterator[Finding]:
    """A sync is answered although pages stay pinned for ever."""
    for call, _ in case.history.asked(*_SYNCS):
        if _is_beside_pins(case, call):
            case.premise()
    pending = _pending(case)
    if any(isinstance(call.operation, _WHOLE_FILE) for call in pending):
        yield from _endless(case, pending)


def _waited(case: Case) -> frozenset[int]:
    """Return the calls that were seen to wait, not being parked."""
    return frozenset(
        index
        for sample in case.history.samples
        for index in sample.pending - sample.parked
    )


def _is_beside_pins(case: Case, call: Call) -> bool:
    """Whether some page was surely pinned all the while that a call took."""
    end = min(call.ended, case.history.now)
    return any(
        record.is_certain
        and record.tracked
        and record.maker.ended < call.asked
        and any(page.put_asked > end for page in record.pages)
        for record in case.oracle.pins
    )


def _pending(case: Case) -> list[Call]:
    return [call for call in case.history.calls if call.is_pending]


def _endless(case: Case, pending: list[Call]) -> Iterator[Finding]:
    pins = sum(
        page.put_ended > case.history.now
        for record in case.oracle.pins
        if record.is_certain
        for page in record.pages
    )
    for call in pending:
        waits = f", waiting for {call.blocked_on}" if call.blocked_on else ""
        yield case.found(
            call,
            f"{call.operation} has not answered{waits}, though nothing is held back "
            f"any more but {pins} pinned page(s)",
        )


RULES: tuple[Rule, ...] = (accesses_answer, syncs_answer)
