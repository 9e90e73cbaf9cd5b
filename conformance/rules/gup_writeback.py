"""get_user_pages against writeback: who may hand out what, and when.

Writeback takes the right to write from all page tables and then believes the page to
be stable. get_user_pages must not undo that behind its back: not for a page that is
being written already, and not by what it read of the page tables before they changed.

Verified: what was granted against what writeback claimed before and after; what a
back-off leaves behind. Not verified: a writeback that begins while the call runs and
finds the page pinned; that is the business of stable pages (STB-PINNED).
"""

from collections.abc import Iterator

from conformance.interface import (
    Feature,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Store,
    Sync,
    Writeback,
)
from conformance.oracle.history import Call, Sample
from conformance.oracle.layout import PageName
from conformance.rules.evidence import at_rest, lost_in_memory, lost_on_disk
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
    Parking,
    is_clean,
    is_same_writeback,
    mkwrite_did_not_run,
    pages_asked,
    pages_granted,
    parking,
    view_of,
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
                    f"page {place} of pin {operation.pin} is {_place(name)}, whose "
                    "writeback was in progress before it was asked for and still is "
                    "(should be granted when it has ended)",
                )


def _place(name: PageName) -> str:
    file, page = name
    return f"page {page} of file {file}"


# --- the window between looking and taking ------------------------------------------


@rule(
    "GWB-FAST-RECHECK",
    clause=Clause(
        DOCUMENT,
        "S24, S25",
        "GUP-fast reads the page table entry again when it holds the page; if it has "
        "changed, the page goes back and the slow path decides",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",), views=("maybe_pinned",), stepping=True
    ),
)
def fast_path_looks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after GUP-fast read its PTE is not granted by that PTE."""
    yield from _granted_behind_writeback(case, "gup_fast.pte_read")


@rule(
    "GWB-FAST-ORDER",
    clause=Clause(
        KERNEL,
        "mm/gup.c, try_grab_folio_fast",
        "the pin counts before the page table entry is read again, so that either "
        "writeback sees the pin or GUP-fast sees the changed entry",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",), views=("maybe_pinned",), stepping=True
    ),
)
def fast_path_counts_before_it_looks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after GUP-fast's second look was seen to be pinned."""
    for point in ("gup_fast.pte_checked", "gup_fast.reference_taken"):
        yield from _granted_behind_writeback(case, point)


@rule(
    "GWB-SLOW-RETRY",
    clause=Clause(
        KERNEL,
        "mm/gup.c, __get_user_pages",
        "after the fault slow GUP walks the page table again and takes what it finds "
        "there, faulting anew until the entry is writable",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), views=("maybe_pinned",), stepping=True),
)
def slow_path_walks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after the fault of slow GUP is not granted without one."""
    yield from _granted_behind_writeback(case, "gup_slow.faulted")


def _granted_behind_writeback(case: Case, point: str) -> Iterator[Finding]:
    """Yield the pages that were cleaned, unpinned, while a call was parked, and granted.

    That the page claims not to be pinned while it is cleaned makes it sure that the
    writeback did not come too late to see the pin.
    """
    for parked in parking(case):
        call, operation = parked.call, parked.call.operation
        is_write = isinstance(operation, GetUserPages) and operation.write
        if parked.at != point or not is_write or not _is_cleaned(case, parked):
            continue
        assert isinstance(operation, GetUserPages)
        case.premise()
        after = case.history.sample_after(call.ended)
        for place, name in enumerate(pages_granted(case, call, operation)):
            trouble = after and _trouble(case, name, parked.samples[-1], after)
            if trouble:
                yield case.found(
                    call,
                    f"page {place} of pin {operation.pin} is {_place(name)}, which "
                    f"{trouble}, while the call was at {point} (should be granted "
                    "after a new fault)",
                )


def _is_cleaned(case: Case, parked: Parking) -> bool:
    cleaners = case.history.asked(Fsync, Sync, Writeback)
    return any(parked.covers(call) for call, _ in cleaners)


def _trouble(case: Case, name: PageName, first: Sample, last: Sample) -> str | None:
    """Return what is wrong with granting a page between two samples, or None."""
    before, after = view_of(first, name), view_of(last, name)
    if before is None or before.maybe_pinned is not False:
        return None
    if is_same_writeback(case, name, first, last):
        return "went under writeback, and still is"
    is_silent = mkwrite_did_not_run(first, last, name[0])
    if is_clean(before) and is_clean(after) and is_silent:
        return "was cleaned, and is pinned for writing without page_mkwrite"
    return None


@rule(
    "GWB-BACKOFF-CLEAN",
    clause=Clause(
        KERNEL,
        "mm/gup.c, gup_fast_pte_range",
        "a back-off leaves no reference, no entry in the result and no dirty page, "
        "and ends the fast walk there",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",),
        views=("maybe_pinned",),
        counters=("nr_gup_fast_page_backoffs",),
    ),
)
def backoff_leaves_nothing(case: Case) -> Iterator[Finding]:
    """A back-off of GUP-fast leaves nothing behind but counters."""
    for call, operation in case.history.asked(GetUserPagesFast):
        before = case.history.sample_before(call.asked)
        after = case.history.sample_after(call.ended)
        if before is None or after is None or not _backoffs(before, after):
            continue
        case.premise()
        yield from _wrong_entries(case, call, operation, after)
        for name in pages_asked(case, call, operation):
            yield from _stray_reference(case, call, name, before)
            yield from _stray_dirt(case, call, name, after)


def _backoffs(before: Sample, after: Sample) -> int:
    was = before.vmstat.nr_gup_fast_page_backoffs
    now = after.vmstat.nr_gup_fast_page_backoffs
    return 0 if was is None or now is None else now - was


def _wrong_entries(
    case: Case, call: Call, operation: GetUserPages, after: Sample
) -> Iterator[Finding]:
    """Yield pages of the result that nothing holds, or that are there twice."""
    frames: dict[int, int] = {}
    for place, _name in enumerate(pages_granted(case, call, operation)):
        view = after.pins.get((operation.pin, place))
        if view is None:
            continue
        whose = f"page {place} of pin {operation.pin}"
        if view.maybe_pinned is False and operation.tracked:
            yield case.found(
                call,
                f"{whose} was granted after a back-off, but maybe_pinned is False "
                "(should be True)",
            )
        if view.frame is not None and operation.write:
            twin = frames.setdefault(view.frame, place)
            if twin != place:
                yield case.found(
                    call,
                    f"{whose} is the same as page {twin}, frame {view.frame}, after a "
                    "back-off (should be a page of its own)",
                )


def _stray_reference(
    case: Case, call: Call, name: PageName, before: Sample
) -> Iterator[Finding]:
    """Yield a page that stays pinned when nobody has it pinned any more."""
    was = view_of(before, name)
    is_sure = Feature.SMALL_LIMITS not in case.history.features
    unpinned = case.oracle.pins_outstanding(*name, before.moment) == (0, 0)
    if was is None or was.maybe_pinned is not False or not is_sure or not unpinned:
        return
    for sample in case.history.samples:
        if sample.moment < call.ended or not at_rest(sample):
            continue
        if case.oracle.pins_outstanding(*name, sample.moment) != (0, 0):
            continue
        view = view_of(sample, name)
        if view is not None and view.maybe_pinned and view.frame == was.frame:
            yield case.found(
                call,
                f"{_place(name)} has no pin, but maybe_pinned is True after a "
                "back-off (should be False)",
            )
        return


def _stray_dirt(
    case: Case, call: Call, name: PageName, after: Sample
) -> Iterator[Finding]:
    """Yield a page that was made dirty by a call that did not get it."""
    before = case.history.sample_before(call.ended)
    if (
        before is None
        or (call.succeeded and call.result)
        or before.pending - {call.index}
    ):
        return
    view = view_of(after, name)
    became_dirty = view is not None and view.is_dirty is True
    is_silent = mkwrite_did_not_run(before, after, name[0])
    if is_clean(view_of(before, name)) and became_dirty and is_silent:
        yield case.found(
            call,
            f"{_place(name)} was not granted, but is dirty after a back-off (should "
            "be clean)",
        )


# --- readers, and callers that may not wait -------------------------------------------


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
        case.premise()
        if _waits(case, call) or (call.refused and _is_alone(case, call)):
            what = "waits" if call.error is None else f"is refused with {call.error}"
            yield case.found(
                call,
                f"get_user_pages of {_place(name)} for reading {what} while the page "
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
                f"get_user_pages with nowait waits for {_place(name)}, which is under "
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
        writer = loss.writer
        if writer and (writer.index, (loss.file, loss.page)) in during:
            yield case.found(
                loss.call,
                f"{loss.sentence}: it was written while the page was under writeback",
            )


RULES: tuple[Rule, ...] = (
    never_granted_under_writeback,
    fast_path_looks_again,
    fast_path_counts_before_it_looks_again,
    backoff_leaves_nothing,
    slow_path_walks_again,
    reader_does_not_wait,
    nowait_does_not_wait,
    redirtied_page_is_written_again,
)
