"""What the samples of a history show of one page, and of one writeback of it.

An observation is a claim of the stack. What is concluded here from a claim is only
what every correct stack, of whatever make, would have to admit.

Interface:
  * `view_of(sample, name)`: what a sample shows of a page of a file.
  * `is_clean(view)`: claimed to be as it is on the disk, and left in peace.
  * `is_same_writeback(case, name, first, last)`: one writeback lasted all the time.
  * `mkwrite_did_not_run(first, last, file)`: surely not, between two samples.
  * `parking(case)`: the calls that were parked, where, and while which samples.
  * `pages_asked(case, call)`: the pages of files that a get_user_pages names.
  * `written_during_writeback(case)`: writes that found their page under writeback.
  * `reported(case, owner, more)`: findings for losses, each of them once.
"""

from collections.abc import Iterable, Iterator

import attrs

from conformance.interface import (
    DeviceComplete,
    FailNext,
    GetUserPages,
    Hold,
    PageView,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    Release,
    SetPageDirtyLock,
    Store,
    Write,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.evidence import Loss, lost_in_memory, lost_on_disk
from conformance.rules.rule import Case, Finding

# --- samples --------------------------------------------------------------------


def view_of(sample: Sample | None, name: PageName | None) -> PageView | None:
    """Return what a sample shows of a page of a file; None: nothing."""
    return None if sample is None or name is None else sample.pages.get(name)


def place_of(name: PageName) -> str:
    """Say which page of which file it is."""
    file, page = name
    return f"page {page} of file {file}"


def is_clean(view: PageView | None) -> bool:
    """Whether a page is claimed to be cached, clean, and in nobody's hands."""
    return (
        view is not None
        and view.is_cached is not False
        and view.is_dirty is False
        and view.is_under_writeback is not True
        and view.is_locked is not True
    )


def mkwrite_did_not_run(first: Sample, last: Sample, file: int) -> bool:
    """Whether page_mkwrite of a file surely did not run between two samples."""
    for before, after in (
        (first.mkwrites, last.mkwrites),
        (first.mtimes, last.mtimes),
    ):
        if file in before and file in after:
            return before[file] == after[file]
    return False


# --- writebacks -------------------------------------------------------------------


def is_same_writeback(case: Case, name: PageName, first: Sample, last: Sample) -> bool:
    """Whether one writeback of a page was surely in progress from first to last.

    It was, if it began while the disk was held, and the disk was held ever since: a
    write that is held does not end, unless it was made to fail.
    """
    before, after = view_of(first, name), view_of(last, name)
    if not _is_written(before) or not _is_written(after):
        return False
    since = _held_since(case, first.moment, last.moment)
    return (
        since is not None
        and _began_later(case, name, since, first.moment)
        and not _is_replaced(case, name, first, last)
    )


def _is_written(view: PageView | None) -> bool:
    return view is not None and view.is_under_writeback is True


def _held_since(case: Case, first: Moment, last: Moment) -> Moment | None:
    """Return since when the disk is held; None: not all the time, or writes fail."""
    since: Moment | None = None
    for call, operation in case.history.asked(Hold, Release, FailNext):
        if call.asked > last:
            break
        if isinstance(operation, FailNext):
            if operation.write:
                return None
        elif isinstance(operation, Release):
            since = None
        elif call.succeeded and call.ended < first:
            since = call.ended
    return since


def _began_later(case: Case, name: PageName, since: Moment, until: Moment) -> bool:
    """Whether a sample shows the page not under writeback after a moment."""
    views = (view_of(s, name) for s in case.history.samples_between(since, until))
    return any(view is not None and view.is_under_writeback is False for view in views)


def _is_replaced(case: Case, name: PageName, first: Sample, last: Sample) -> bool:
    """Whether the page may have left its file in between, and another have come."""
    before, after = first.pages[name].frame, last.pages[name].frame
    if before is not None and after is not None and before != after:
        return True
    return any(
        detach.begin <= last.moment and detach.end >= first.moment
        for detach in case.oracle.detaches.of(name)
    )


# --- calls ----------------------------------------------------------------------------


@attrs.frozen
class Parking:
    """A call that the program's schedule stopped in its middle."""

    call: Call
    at: str
    """The point where it was stopped."""
    samples: tuple[Sample, ...]
    """Those taken while it was stopped."""

    def covers(self, other: Call) -> bool:
        """Whether another call was asked while it was stopped."""
        begin = self.samples[0].moment
        is_after = any(sample.moment > other.asked for sample in self.samples)
        return begin < other.asked and is_after


def parking(case: Case) -> Iterator[Parking]:
    """Yield the calls that were parked; most programs have none."""
    calls = case.history.calls
    for preempt in case.history.parks:
        index = preempt.call
        samples = tuple(s for s in case.history.samples if index in s.parked)
        if samples and index < len(calls):
            yield Parking(calls[index], preempt.at, samples)


def pages_asked(case: Case, call: Call, operation: GetUserPages) -> list[PageName]:
    """Return the pages of files that a call asks to pin, up to the first other one."""
    names: list[PageName] = []
    for page in range(operation.page, operation.page + operation.pages):
        where = operation.process, operation.mapping, page
        name = case.oracle.target(*where, call.asked)
        if name is None:
            break
        names.append(name)
    return names


def pages_granted(case: Case, call: Call, operation: GetUserPages) -> list[PageName]:
    """Return the pages of files that a call was granted."""
    if not call.succeeded or not isinstance(call.result, int):
        return []
    return pages_asked(case, call, operation)[: call.result]


@attrs.frozen
class LateWrite:
    """A write to a page that was under writeback all the time that it took."""

    call: Call
    """The call that wrote; a device's write counts when the page is marked dirty."""
    marked: Call
    """The call that made the page dirty; the same, but for a DeviceWrite."""
    name: PageName


def written_during_writeback(case: Case) -> Iterator[LateWrite]:
    """Yield the writes that were answered while one writeback was in progress."""
    if not any(True for _ in case.history.asked(Hold)):
        return
    kinds = (
        Store,
        Write,
        DeviceComplete,
        PutUserPagesDirty,
        PutUserPagesDirtyLock,
        SetPageDirtyLock,
    )
    for call, _ in case.history.asked(*kinds):
        before = case.history.sample_before(call.asked)
        after = case.history.sample_after(call.ended)
        if not call.succeeded or before is None or after is None:
            continue
        for writer, name in _written(case, call):
            if is_same_writeback(case, name, before, after):
                yield LateWrite(writer, call, name)


def _written(case: Case, call: Call) -> Iterator[tuple[Call, PageName]]:
    """Yield the pages of files that a call dirties, with the calls that wrote them."""
    if isinstance(call.operation, Store | Write):
        name = case.oracle.file_page(call)
        if name is not None:
            yield call, name
        return
    record = case.oracle.pin_of(call)
    for page in () if record is None else record.pages:
        if page.file_page is not None and call in page.dirties:
            for writer in page.device_writes:
                if writer.asked <= call.asked:
                    yield writer, page.file_page


# --- losses -----------------------------------------------------------------------


def reported(case: Case, owner: str, more: Iterable[Loss]) -> Iterator[Finding]:
    """Yield a finding for each loss that a rule owns, and for more, each once."""
    owned = [*lost_in_memory(case), *lost_on_disk(case)]
    wanted = {id(loss) for loss in more}
    for loss in owned:
        if loss.owner == owner or id(loss) in wanted:
            yield case.found(loss.call, loss.sentence)
