"""Writeback: what it cleans, what it leaves alone, and what it does when it fails.

How a page is cleaned is judged in `cleaning.py`; here is which pages are written, and
what becomes of their data when memory is short or the disk fails.

Verified: which pinned pages go under writeback to clean memory; what reclaim takes
from a pinned page; data after a failed write or read. Not verified: pages that a
stack writes of its own accord between two operations.
"""

from collections.abc import Iterator

from conformance.interface import (
    Errno,
    Evict,
    FailNext,
    Freeze,
    Fsync,
    GetUserPages,
    KernelError,
    Load,
    PageView,
    Read,
    Reclaim,
    Signal,
    SignalName,
    Store,
    Sync,
    Umount,
    Write,
    Writeback,
)
from conformance.interface.events import BlockCaptured, BlockSubmitted, WritebackEnded
from conformance.oracle.history import INFINITY, Call, Sample
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules import cleaning
from conformance.rules.evidence import Loss, at_rest, lost_in_memory, lost_on_disk
from conformance.rules.pinned import is_held_over, may_be_full
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
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


# --- errors -----------------------------------------------------------------------


@rule(
    "WB-ERROR",
    clause=Clause(
        KERNEL,
        "mm/filemap.c, file_check_and_advance_wb_err",
        "when a page cannot be written, fsync says so; it is not silently taken for "
        "clean",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("fail_next", "fsync"), absent_features=("no_dirty_tracking",)
    ),
)
def failed_write_is_reported(case: Case) -> Iterator[Finding]:
    """After a failed write, fsync reports the error or the data is there."""
    failure = next((c for c, o in case.history.asked(FailNext) if o.write), None)
    if failure is None or any(
        c.ended > failure.asked for c, _ in case.history.asked(Sync)
    ):
        return
    for call, _ in case.history.asked(Fsync):
        if call.asked > failure.ended and call.answered is not None:
            case.premise()
    for loss in _unreported(case, failure):
        if _may_have_failed(case, loss) and not _is_told(case, failure, loss):
            yield case.found(
                loss.call,
                f"{loss.sentence}: a write failed before, and no error tells of it",
            )


def _unreported(case: Case, failure: Call) -> Iterator[Loss]:
    """Yield the losses that a failed write explains: on the disk, or read from it."""
    for loss in lost_on_disk(case):
        if loss.call.asked > failure.ended:
            yield loss
    for loss in lost_in_memory(case):
        is_read = isinstance(loss.call.operation, Load | Read)
        if is_read and any(
            failure.ended < call.asked < loss.call.asked and operation.file == loss.file
            for call, operation in case.history.asked(Evict, Reclaim)
        ):
            yield loss


def _is_told(case: Case, failure: Call, loss: Loss) -> bool:
    """Tell whether something reported the error before the loss was seen."""
    return any(
        call.refused and failure.asked < call.ended < loss.call.asked
        for call, operation in case.history.asked(Fsync, Freeze, Umount)
        if getattr(operation, "file", loss.file) == loss.file
    )


def _may_have_failed(case: Case, loss: Loss) -> bool:
    """Tell whether the write that failed may have been one of the page that is lost.

    A stack that tells of its writebacks says which one it was. Should that be a lie,
    the loss has an owner, who reports it.
    """
    return not case.history.events or any(
        isinstance(event, WritebackEnded)
        and event.failed
        and event.page == (loss.file, loss.page)
        for moment, event in case.history.events
        if moment < loss.call.ended
    )


@rule(
    "WB-UPTODATE",
    clause=Clause(
        THREAD,
        "s390 and the not-uptodate page, April 2007",
        "a hint that a page is dirty is believed only if the page is uptodate: what "
        "was never read in is not written out",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("fail_next", "load|read", "fsync|power_cut"),
        absent_features=("no_dirty_tracking",),
    ),
)
def page_that_could_not_be_read_is_not_written(case: Case) -> Iterator[Finding]:
    """A page whose reading failed is not written over what the disk has."""
    for failed, name in _failed_reads(case):
        case.premise()
        yield from _claimed_writes(case, failed, name)
        for loss in (*lost_in_memory(case), *lost_on_disk(case)):
            if (loss.file, loss.page) == name and _may_be_written(case, failed, loss):
                yield case.found(
                    loss.call, f"{loss.sentence}: reading the page had failed before"
                )


def _failed_reads(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the first refused access to each page after a read was made to fail."""
    failure = next((c for c, o in case.history.asked(FailNext) if not o.write), None)
    if failure is None:
        return
    seen = set()
    for call, _ in case.history.asked(Load, Read, Store, GetUserPages):
        name = case.oracle.file_page(call) if _could_not_read(case, call) else None
        if name is not None and call.asked > failure.ended and name not in seen:
            seen.add(name)
            yield call, name


def _could_not_read(case: Case, call: Call) -> bool:
    """Tell whether it may only be for a failed read that an access was refused."""
    match call.error:
        case Signal(name=SignalName.SIGBUS):
            may_be = True
        case KernelError(errno=Errno.EIO | Errno.EFAULT):
            may_be = not getattr(call.operation, "longterm", False)
        case _:
            may_be = False
    has_space = not may_be_full(case.history, call.asked)
    return may_be and (has_space or isinstance(call.operation, Load | Read))


def _may_be_written(case: Case, failed: Call, loss: Loss) -> bool:
    """Tell whether a lost page may have been written when its reading had failed.

    A stack that tells what it writes says so, if only by the block.
    """
    events, name = case.history.events, (loss.file, loss.page)
    blocks = {
        event.block
        for _, event in events
        if isinstance(event, BlockSubmitted) and event.page == name
    }
    return loss.call.asked > failed.ended and (
        not events
        or any(
            isinstance(event, BlockCaptured) and event.block in blocks
            for moment, event in events
            if failed.asked < moment < loss.call.ended
        )
    )


def _claimed_writes(case: Case, failed: Call, name: PageName) -> Iterator[Finding]:
    """Yield a page that is dirty or written although it was never read in."""
    writers = case.history.asked(Store, Write, GetUserPages)
    end = min((c.asked for c, _ in writers if c.asked > failed.ended), default=INFINITY)
    for sample in case.history.samples_between(failed.ended, end):
        view = view_of(sample, name)
        if view is None or view.is_uptodate is not False or not at_rest(sample):
            continue
        if view.is_dirty or view.is_under_writeback:
            yield case.found(
                failed,
                f"{place_of(name)} is not uptodate, and dirty or under writeback "
                "(should be neither)",
            )
            return


RULES: tuple[Rule, ...] = (
    *cleaning.RULES,
    memory_cleaning_leaves_pinned_pages_alone,
    reclaim_leaves_pinned_pages_alone,
    failed_write_is_reported,
    page_that_could_not_be_read_is_not_written,
)
