"""Writeback: which pages it cleans, and which it leaves alone.

How a page is cleaned is judged in `cleaning.py`, what is done when the disk fails in
`failed_io.py`; here is what becomes of pinned pages when memory is short.

Verified: which pinned pages go under writeback to clean memory; what reclaim takes
from a pinned page. Not verified: pages that a stack writes of its own accord between
two operations.
"""

from collections.abc import Iterator

from conformance.interface import (
    Evict,
    Fsync,
    PageView,
    Reclaim,
    Sync,
    Writeback,
)
from conformance.oracle.history import Call, Sample
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules import cleaning, failed_io
from conformance.rules.evidence import Loss, at_rest, lost_in_memory, lost_on_disk
from conformance.rules.pinned import is_held_over
from conformance.rules.rule import (
    DOCUMENT,
    THREAD,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sightings import place_of, reported, view_of
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"

# --- pinned pages -------------------------------------------------------------------


@rule(
    "WB-SKIP",
    clause=Clause(
        THREAD,
        "Kara, RFC of 2023 on pinned pages in writeback",
        "writeback that is to clean memory leaves a page alone that may be pinned: "
        "it would not be clean afterwards",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP, "writeback", "hold"), views=("is_under_writeback|is_dirty",)
    ),
)
def memory_cleaning_leaves_pinned_pages_alone(case: Case) -> Iterator[Finding]:
    """A page that is pinned for writing is not written to clean memory."""
    for call, operation in case.history.asked(Writeback):
        before, after = _around(case, call)
        if before is None or after is None or not _is_quiet(before, call):
            continue
        if _is_beside_sync(case, call):
            continue
        for name in _pinned_for_writing(case, operation.file, before, after):
            was, now = view_of(before, name), view_of(after, name)
            if not _is_idle_dirty(was) or now is None:
                continue
            case.premise()
            if now.is_under_writeback or now.is_dirty is False:
                what = "under writeback" if now.is_under_writeback else "clean"
                yield case.found(
                    call,
                    f"{place_of(name)} is pinned for writing and {what} after "
                    "writeback to clean memory (should have been left dirty)",
                )


def _around(case: Case, call: Call) -> tuple[Sample | None, Sample | None]:
    """Return the samples before a call was asked and after it was answered."""
    before = case.history.sample_before(call.asked)
    return before, case.history.sample_after(call.ended)


def _is_beside_sync(case: Case, call: Call) -> bool:
    """Whether an fsync, which does write pinned pages, was under way meanwhile."""
    return any(
        other.asked < call.ended and not other.ended_before(call.asked)
        for other, _ in case.history.asked(Fsync, Sync)
    )


def _is_quiet(before: Sample, call: Call) -> bool:
    """Whether a call was answered at once and had nobody beside it."""
    return at_rest(before) and call.succeeded


def _is_idle_dirty(view: PageView | None) -> bool:
    return (
        view is not None
        and view.is_dirty is True
        and view.is_under_writeback is not True
    )


def _pins_for_writing(case: Case) -> Iterator[tuple[PinRecord, PinnedPage, PageName]]:
    for record in case.oracle.pins:
        if record.write and record.tracked and record.is_certain:
            for page in record.pages:
                if page.file_page is not None:
                    yield record, page, page.file_page


def _pinned_for_writing(
    case: Case, file: int, before: Sample, after: Sample
) -> Iterator[PageName]:
    """Yield the pages of a file that are pinned for writing from sample to sample.

    A page that somebody may have truncated meanwhile is not the file's any more.
    """
    seen = set()
    for record, page, name in _pins_for_writing(case):
        begin, end = before.moment, after.moment
        lasts = is_held_over(case.oracle, (record, page), begin, end)
        if lasts and name[0] == file and name not in seen:
            seen.add(name)
            if case.oracle.pins_outstanding(*name, before.moment)[0] > 0:
                yield name


@rule(
    "WB-RECLAIM",
    clause=Clause(
        DOCUMENT,
        "S8, S9",
        "reclaim neither frees a page that may be pinned nor takes from it what "
        "writeback will need",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "reclaim|evict")),
)
def reclaim_leaves_pinned_pages_alone(case: Case) -> Iterator[Finding]:
    """A pinned page keeps its place in the file, and its buffers, through reclaim."""
    lost: list[Loss] = []
    for call, operation in case.history.asked(Reclaim, Evict):
        before, after = _around(case, call)
        if before is None or after is None or not _is_quiet(before, call):
            continue
        for name in _pinned_for_writing(case, operation.file, before, after):
            case.premise()
            yield from _taken(case, call, name, before, after)
            lost += _lost_by_device(case, call, name)
    yield from reported(case, "WB-RECLAIM", lost)


def _taken(
    case: Case, call: Call, name: PageName, before: Sample, after: Sample
) -> Iterator[Finding]:
    """Yield what reclaim took from a pinned page."""
    was, now = view_of(before, name), view_of(after, name)
    if was is None or now is None:
        return
    if was.has_buffers and now.has_buffers is False and now.is_cached is not False:
        yield case.found(
            call,
            f"{place_of(name)} is pinned for writing and has lost its buffers "
            "(should keep them)",
        )
    if was.frame is None or not _is_behind_pin(case, name, was.frame, after):
        return
    if now.is_cached is False or now.frame not in {was.frame, None}:
        yield case.found(
            call,
            f"{place_of(name)} was frame {was.frame}, which is still pinned, and is "
            f"{_frame(now)} now (should stay)",
        )


def _is_behind_pin(case: Case, name: PageName, frame: int, sample: Sample) -> bool:
    """Whether a pin of the page shows this frame: the page itself is pinned."""
    return any(
        (view := sample.pins.get((record.handle, record.pages.index(page)))) is not None
        and view.frame == frame
        for record, page, other in _pins_for_writing(case)
        if other == name
    )


def _frame(view: PageView) -> str:
    return "not cached" if view.is_cached is False else f"frame {view.frame}"


def _lost_by_device(case: Case, call: Call, name: PageName) -> list[Loss]:
    """Return the losses of what devices wrote through pins that outlasted a call."""
    writers = {
        write.index
        for record, page, other in _pins_for_writing(case)
        if other == name and record.maker.ended < call.asked < page.put_asked
        for write in page.device_writes
    }
    return [
        loss
        for loss in (*lost_in_memory(case), *lost_on_disk(case))
        if loss.writer is not None
        and loss.writer.index in writers
        and (loss.file, loss.page) == name
        and loss.call.asked > call.ended
    ]


RULES: tuple[Rule, ...] = (
    *cleaning.RULES,
    memory_cleaning_leaves_pinned_pages_alone,
    reclaim_leaves_pinned_pages_alone,
    *failed_io.RULES,
)
