"""What was claimed of a page before and after a call, for the chapter on page_mkwrite.

A page goes from clean to dirty between two samples. Whether page_mkwrite ran in
between is told by its count where the stack keeps one, else by the modification
time.

Interface:
  * `accesses(case, ...)` yields the write accesses that were alone between the two
    samples around them, so that whatever changed is their doing.
  * `Access.was_clean(case)`, `shows_write`, `mkwrite_ran` say what changed.
  * `pages_asked` and `pages_written` name what a call is about.
  * `is_alone(case, call, begin, end)` for other calls.

A page is taken for clean if the stack claims so. Where it claims nothing, a good
fsync with no write since, and no write pin, is taken for the claim.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    FailNext,
    FillDisk,
    FreeDisk,
    Fsync,
    GetUserPages,
    MirrorWrite,
    PageView,
    PunchHole,
    PutPage,
    PutUserPage,
    PutUserPages,
    SetPageDirtyLock,
    Store,
    Sync,
    Truncate,
    Write,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.pins import PinRecord
from conformance.rules.rule import Case

PageName = tuple[int, int]
"""File and page."""

PIN_USERS = (
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    PutPage,
    PutUserPage,
    PutUserPages,
    SetPageDirtyLock,
)
WRITERS = (
    *PIN_USERS,
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    GetUserPages,
    MirrorWrite,
    PunchHole,
    Store,
    Truncate,
    Write,
)
"""Operations by which a page may become dirty."""


def is_writer(case: Case, call: Call) -> bool:
    """Tell whether a page may become dirty by a call."""
    operation = call.operation
    if isinstance(operation, GetUserPages):
        return operation.write
    if isinstance(operation, PIN_USERS):
        record = case.oracle.pin_of(call)
        return record is None or record.write
    return isinstance(operation, WRITERS)


def is_pin_of(case: Case, call: Call, record: PinRecord) -> bool:
    """Tell whether a call is a user of a pin: not the call that made it."""
    return isinstance(call.operation, PIN_USERS) and case.oracle.pin_of(call) is record


def others(case: Case, call: Call, begin: Moment, end: Moment) -> Iterator[Call]:
    """Yield the other calls that may have dirtied a page between two moments."""
    for other in case.history.calls:
        is_apart = other.asked < 0 or other.asked > end or other.ended < begin
        if not is_apart and other is not call and is_writer(case, other):
            yield other


def is_alone(case: Case, call: Call, begin: Moment, end: Moment) -> bool:
    """Tell whether no other call may have dirtied a page between two moments."""
    return next(others(case, call, begin, end), None) is None


def claims_clean(case: Case, view: PageView | None, moment: Moment) -> bool:
    """Tell whether the stack claims that a page is clean, or not in the cache.

    A write to the disk that is made to fail may turn a clean page dirty again.
    """
    if view is None or view.dirty_ptes:
        return False
    if view.is_under_writeback and _failed_before(case, moment):
        return False
    return view.is_dirty is False or view.is_cached is False


def claims_nothing(view: PageView | None) -> bool:
    """Tell whether the stack does not say whether a page is clean."""
    return view is None or (view.is_dirty is None and view.is_cached is not False)


def _failed_before(case: Case, moment: Moment) -> bool:
    return any(call.asked < moment for call, _ in case.history.asked(FailNext))


def is_clean(case: Case, name: PageName, sample: Sample) -> bool:
    """Tell whether a page was certainly clean in a sample."""
    view = sample.pages.get(name)
    if claims_nothing(view):
        return _is_synced(case, name[0], sample.moment)
    return claims_clean(case, view, sample.moment)


def _is_synced(case: Case, file: int, moment: Moment) -> bool:
    """Tell whether a good fsync came after every write, and no pin is left."""
    sync = next(syncs(case, file, after=-1, before=moment), None)
    if sync is None:
        return False
    quiet = all(
        call.ended < sync.asked
        for call in case.history.calls
        if 0 <= call.asked < moment and is_writer(case, call)
    )
    return quiet and not is_pinned(case, sync.asked)


def is_pinned(case: Case, moment: Moment) -> bool:
    """Tell whether any page may be pinned for writing at a moment, or later."""
    return any(
        record.write and page.put_ended >= moment
        for record in case.oracle.pins
        for page in record.pages
    )


def syncs(
    case: Case, file: int, *, after: Moment, before: Moment | None = None
) -> Iterator[Call]:
    """Yield the good syncs of a file asked and answered between two moments.

    The last comes first if `before` is given, else the first.
    """
    calls = case.history.calls
    for call in calls if before is None else reversed(calls):
        match call.operation:
            case Fsync(synced) if synced == file:
                pass
            case Sync():
                pass
            case _:
                continue
        is_in_time = before is None or call.ended < before
        if call.succeeded and call.asked > after and is_in_time:
            yield call


def mkwrite_ran(file: int, before: Sample, after: Sample) -> bool | None:
    """Tell whether page_mkwrite ran for a file between samples; None: unknown."""
    for shown in (before.mkwrites, before.mtimes):
        then = after.mkwrites if shown is before.mkwrites else after.mtimes
        if file in shown and file in then:
            return shown[file] != then[file]
    return None


@attrs.frozen
class Access:
    """A write access to one page of a file, between two samples."""

    call: Call
    name: PageName
    before: Sample
    after: Sample

    @property
    def view(self) -> PageView | None:
        """What the stack shows of the page afterwards."""
        return self.after.pages.get(self.name)

    @property
    def mkwrite_ran(self) -> bool | None:
        """Whether page_mkwrite ran for the file; None: unknown."""
        return mkwrite_ran(self.name[0], self.before, self.after)

    def was_clean(self, case: Case) -> bool:
        """Tell whether the page was clean before."""
        return is_clean(case, self.name, self.before)

    @property
    def shows_write(self) -> bool:
        """Whether the page is dirty or can be written through a PTE afterwards.

        A get_user_pages that leaves no such trace may have put off page_mkwrite
        until the device's data is put into the page.
        """
        if isinstance(self.call.operation, Store | MirrorWrite):
            return True
        view = self.view
        return view is not None and bool(view.is_dirty or view.writable_ptes)


def accesses(
    case: Case, *kinds: type[Store] | type[GetUserPages] | type[MirrorWrite]
) -> Iterator[Access]:
    """Yield the successful write accesses that were alone, page by page."""
    for call, _ in case.history.asked(*kinds):
        if not call.succeeded or not is_writer(case, call):
            continue
        around = samples_around(case, call)
        if around is None:
            continue
        for name in pages_written(case, call):
            yield Access(call, name, *around)


def samples_around(case: Case, call: Call) -> tuple[Sample, Sample] | None:
    """Return the samples around a call; None: it was not alone between them."""
    before = case.history.sample_before(call.asked)
    after = case.history.sample_after(call.ended)
    if before is None or after is None:
        return None
    if not is_alone(case, call, before.moment, after.moment):
        return None
    return before, after


def pages_written(case: Case, call: Call) -> Iterator[PageName]:
    """Name the pages of files that an access got to write, as far as is certain."""
    match call.operation:
        case Store() | MirrorWrite():
            names = [case.oracle.file_page(call)]
        case GetUserPages():
            record = case.oracle.pin_of(call)
            names = [] if record is None else [p.file_page for p in record.pages]
        case DirectRead() | DeviceTransfer() as driver:
            count = call.result if isinstance(call.result, int) else 0
            names = [
                case.oracle.target(
                    driver.process, driver.mapping, driver.page + i, call.asked
                )
                for i in range(count)
            ]
        case _:
            names = []
    yield from (name for name in names if name is not None)


def pages_asked(case: Case, call: Call) -> list[PageName]:
    """Name the pages of files that a Store or get_user_pages is about."""
    operation = call.operation
    assert isinstance(operation, Store | GetUserPages)
    count = operation.pages if isinstance(operation, GetUserPages) else 1
    where = operation.process, operation.mapping
    pages = range(operation.page, operation.page + count)
    names = [case.oracle.target(*where, page, call.asked) for page in pages]
    return [name for name in names if name is not None]


def is_full(case: Case, begin: Moment, end: Moment) -> bool:
    """Tell whether the disk was full all the time between two moments."""
    full = False
    for call in case.history.calls:
        if isinstance(call.operation, FillDisk) and call.succeeded:
            full |= call.ended < begin
        elif isinstance(call.operation, FreeDisk) and 0 <= call.asked <= end:
            full = False
    return full
