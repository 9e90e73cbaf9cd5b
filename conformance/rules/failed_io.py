"""Writes and reads that the disk fails, and what becomes of the data.

Verified: data after a failed write or read, and what was said about it. Not verified:
failures that a stack makes up for by trying again.
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
    Read,
    Reclaim,
    Signal,
    SignalName,
    Store,
    Sync,
    Umount,
    Write,
)
from conformance.interface.events import BlockCaptured, BlockSubmitted, WritebackEnded
from conformance.oracle.history import INFINITY, Call
from conformance.oracle.layout import PageName
from conformance.rules.evidence import Loss, at_rest, lost_in_memory, lost_on_disk
from conformance.rules.pinned import may_be_full
from conformance.rules.rule import (
    KERNEL,
    THREAD,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sightings import place_of, view_of
from conformance.verdicts import Kind, Level


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
    failed_write_is_reported,
    page_that_could_not_be_read_is_not_written,
)
