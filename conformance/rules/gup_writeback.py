"""get_user_pages against writeback: who may hand out what, and when.

Writeback takes the right to write from all page tables and then believes the page to
be stable. get_user_pages must not undo that behind its back: not for a page that is
being written already, and not by what it read of the page tables before they changed.

The window between looking at a page table and taking a page is judged in
`gup_window.py`.

Verified: what was granted against what writeback claimed before and after. Not
verified: a writeback that begins while the call runs and finds the page pinned; that
is the business of stable pages (STB-PINNED).
"""

from collections.abc import Iterator

from conformance.interface import (
    TORN,
    UNREADABLE,
    Errno,
    Feature,
    Fsync,
    GetUserPages,
    KernelError,
    Store,
    Sync,
    Writeback,
)
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules import gup_window
from conformance.rules.evidence import lost_in_memory, lost_on_disk
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
from conformance.rules.sightings import (
    is_same_writeback,
    pages_asked,
    pages_granted,
    place_of,
    written_during_writeback,
)
from conformance.verdicts import Kind, Level, Promise

_GUP = "get_user_pages|get_user_pages_fast"
_STABLE = {Feature.STABLE_WRITES, Feature.CHECKSUMS}

# --- never a page under writeback ---------------------------------------------------


@rule(
    "GWB-NEVER",
    clause=Clause(
        DOCUMENT,
        "S25",
        "get_user_pages for writing never hands out a page under writeback: it takes "
        "the write fault, which waits until the writeback has ended",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "hold"), views=("is_under_writeback",)),
)
def never_granted_under_writeback(case: Case) -> Iterator[Finding]:
    """A page that is under writeback is not handed out for writing."""
    is_demanded = case.promise is Promise.DOCUMENT or _STABLE & case.history.features
    if not is_demanded:
        return
    for call, operation in case.history.asked(GetUserPages):
        before = case.history.sample_before(call.asked)
        if not operation.write or before is None:
            continue
        after = case.history.sample_after(call.ended)
        granted = pages_granted(case, call, operation)
        for place, name in enumerate(pages_asked(case, call, operation)):
            if not is_same_writeback(case, name, before, before):
                continue
            case.premise()
            is_granted = place < len(granted) and after is not None
            if is_granted and after and is_same_writeback(case, name, before, after):
                yield case.found(
                    call,
                    f"page {place} of pin {operation.pin} is {place_of(name)}, whose "
                    "writeback was in progress before it was asked for and still is "
                    "(should be granted when it has ended)",
                )


# --- readers, and callers that may not wait -------------------------------------------


def _may_lie_beyond(case: Case, call: Call, name: PageName) -> bool:
    """Whether a page may lie beyond the end of its file, and the pin be refused."""
    file, page = name
    sizes = case.oracle.sizes(file, call.asked, call.ended)
    return min(sizes) <= page * case.oracle.words_per_page


@rule(
    "GWB-READ-OK",
    clause=Clause(
        DOCUMENT,
        "S25",
        "only a device that writes endangers a page under writeback; a pin for "
        "reading may be granted at once",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MAY,
    needs=Needs(
        operations=("get_user_pages(write)|get_user_pages_fast(write)", "hold"),
        views=("is_under_writeback",),
    ),
)
def reader_does_not_wait(case: Case) -> Iterator[Finding]:
    """A pin for reading a page under writeback is granted without waiting."""
    for call, name in _asked_under_writeback(case, write=False, nowait=False):
        if isinstance(call.error, KernelError) and call.error.errno is Errno.EOPNOTSUPP:
            continue  # it would not be granted at another time, either
        case.premise()
        is_refused = call.refused and _is_alone(case, call)
        if _waits(case, call) or (is_refused and not _may_lie_beyond(case, call, name)):
            what = "waits" if call.error is None else f"is refused with {call.error}"
            yield case.found(
                call,
                f"get_user_pages of {place_of(name)} for reading {what} while the page "
                "is under writeback (may be granted at once)",
            )


@rule(
    "GWB-NOSLEEP",
    clause=Clause(
        KERNEL,
        "mm/gup.c, FOLL_NOWAIT",
        "a caller that may not sleep gets fewer pages or an error instead of a wait",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages(nowait)|get_user_pages_fast(nowait)", "hold"),
        views=("is_under_writeback",),
    ),
)
def nowait_does_not_wait(case: Case) -> Iterator[Finding]:
    """A caller that may not sleep does not wait for writeback."""
    for call, name in _asked_under_writeback(case, write=True, nowait=True):
        case.premise()
        if _waits(case, call):
            yield case.found(
                call,
                f"get_user_pages with nowait waits for {place_of(name)}, under "
                "writeback (should grant fewer pages or be refused)",
            )


def _asked_under_writeback(
    case: Case, *, write: bool, nowait: bool
) -> Iterator[tuple[Call, PageName]]:
    """Yield the calls that ask for a page under writeback, with the first such page."""
    for call, operation in case.history.asked(GetUserPages):
        before = case.history.sample_before(call.asked)
        if operation.write is not write or operation.nowait is not nowait:
            continue
        for name in pages_asked(case, call, operation):
            if before and is_same_writeback(case, name, before, before):
                yield call, name
                break


def _waits(case: Case, call: Call) -> bool:
    """Whether a call waited for nothing but what writeback, or its waiters, hold."""
    after = case.history.sample_after(call.asked)
    return after is not None and call.index in after.pending and _is_alone(case, call)


_HARMLESS = (Fsync, Sync, Writeback, Store, GetUserPages)
"""Calls that hold nothing but, at most, a page lock while they wait for writeback."""


def _is_alone(case: Case, call: Call) -> bool:
    after = case.history.sample_after(call.asked)
    if after is None or after.parked:
        return False
    others = after.pending - {call.index}
    return all(isinstance(case.history.calls[i].operation, _HARMLESS) for i in others)


# --- dirtied again during writeback ---------------------------------------------------


@rule(
    "GWB-REDIRTY-DURING",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, folio_end_writeback",
        "a page that is dirtied while it is under writeback stays dirty when that "
        "writeback ends, and is written again",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("hold", "store|device_complete")),
)
def redirtied_page_is_written_again(case: Case) -> Iterator[Finding]:
    """What is written to a page during its writeback is not lost when that ends."""
    during = set()
    for late in written_during_writeback(case):
        case.premise()
        during.add((late.call.index, late.name))
    if not during:
        return
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        writer = loss.writer if loss.seen not in {TORN, UNREADABLE} else None
        if writer and (writer.index, (loss.file, loss.page)) in during:
            yield case.found(
                loss.call,
                f"{loss.sentence}: it was written while the page was under writeback",
            )


RULES: tuple[Rule, ...] = (
    never_granted_under_writeback,
    *gup_window.RULES,
    reader_does_not_wait,
    nowait_does_not_wait,
    redirtied_page_is_written_again,
)
