"""Liveness: every call answers in the end.

At the end of a program the disk is released, the filesystem thawed, space given back;
pins are kept. What is still pending then waits for something that never comes. Each
such call is reported by one of the two rules: if one that works on a file as a whole
is among them, all by LIVE-SYNC, because the others may wait for it; else by LIVE-GUP.
The other rules say, of calls that wait for a pin, what it keeps from going on.
"""

from collections.abc import Iterator

from conformance.interface import (
    Errno,
    Evict,
    Freeze,
    Fsync,
    GetUserPages,
    KernelError,
    Operation,
    Pageout,
    PunchHole,
    Reclaim,
    Store,
    Sync,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)
from conformance.oracle.history import Call
from conformance.rules.detached import pins_beside, stuck
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


@rule(
    "LIVE-UMOUNT",
    clause=Clause(
        KERNEL,
        "fs/namespace.c, do_umount; fs/super.c, generic_shutdown_super",
        "a filesystem is kept busy by open files and mappings, not by pinned pages",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(operations=("umount", "get_user_pages|get_user_pages_fast")),
)
def umount_goes_on_beside_pins(case: Case) -> Iterator[Finding]:
    """An umount is neither refused nor kept waiting because pages are pinned."""
    waiting = {call.index for call in stuck(case, Umount)}
    for call, _ in case.history.asked(Umount):
        if not pins_beside(case, call):
            continue
        case.premise()
        if call.index in waiting:
            yield case.found(call, "umount waits for a pin to be put")
        is_busy = (
            isinstance(call.error, KernelError) and call.error.errno is Errno.EBUSY
        )
        if is_busy and not _has_mappings(case, call):
            yield case.found(
                call, "umount is refused with EBUSY, though no file is mapped"
            )


@rule(
    "LIVE-THROTTLE",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, balance_dirty_pages",
        "pages that cannot be made clean because they are pinned do not stop those "
        "who write to other pages",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages|get_user_pages_fast", "write|store"),
        absent_features=("no_dirty_tracking",),
    ),
)
def writers_go_on_beside_pins(case: Case) -> Iterator[Finding]:
    """A write is answered however much of memory is pinned and dirty."""
    waiting = {call.index for call in stuck(case, Write, Store)}
    for call, _ in case.history.asked(Write, Store):
        if not _is_crowded(case, call):
            continue
        case.premise()
        if call.index in waiting:
            yield case.found(call, f"{call.operation} waits for a pin to be put")


@rule(
    "LIVE-RECLAIM",
    clause=Clause(
        KERNEL,
        "mm/vmscan.c, shrink_folio_list",
        "reclaim passes over pages that are pinned, and comes to an end",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages|get_user_pages_fast", "reclaim|evict|pageout"),
    ),
)
def reclaim_passes_over_pins(case: Case) -> Iterator[Finding]:
    """Reclaim is answered although pages stay pinned."""
    kinds = (Reclaim, Evict, Pageout)
    waiting = {call.index for call in stuck(case, *kinds)}
    for call, _ in case.history.asked(*kinds):
        if not pins_beside(case, call):
            continue
        case.premise()
        if call.index in waiting:
            yield case.found(call, f"{call.operation} waits for a pin to be put")


def _is_busy(call: Call) -> bool:
    return isinstance(call.error, KernelError) and call.error.errno is Errno.EBUSY


def _has_mappings(case: Case, call: Call) -> bool:
    """Tell whether a file may have been mapped while a call was under way."""
    return any(
        span.memory.file is not None and span.may_be_there(call.asked, call.ended)
        for spans in case.oracle.layout.spans.values()
        for span in spans
    )


def _is_crowded(case: Case, call: Call) -> bool:
    """Tell whether pinned and written pages are more than half of memory."""
    dirty = {
        page.file_page
        for record in case.oracle.pins
        if record.is_certain and record.write and record.maker.ended < call.asked
        for page in record.pages
        if page.put_asked > call.asked
    }
    if not dirty:
        return False
    dirty |= {
        case.oracle.file_page(writer)
        for writer, _ in case.history.asked(Write, Store)
        if writer.asked <= call.asked
    }
    return len(dirty - {None}) > case.history.geometry.memory_pages // 2


ANSWERING: tuple[Rule, ...] = (accesses_answer, syncs_answer)
"""Between them they report whatever is pending at the end, each call once."""

RULES: tuple[Rule, ...] = (
    *ANSWERING,
    umount_goes_on_beside_pins,
    writers_go_on_beside_pins,
    reclaim_passes_over_pins,
)
