"""page_mkwrite and the space on the disk; files that have no disk behind them.

page_mkwrite is where a write access can still be refused. What it accepts can be
written back later; what it promised and nobody used goes back.

Verified: accesses and fsyncs while the disk is full; free space at rest, against the
pages that may hold data; what memory shows of files without writeback.
Not verified: blocks that a filesystem needs for itself; space where data is kept
with parity, beyond that all of it is free again when there is no data.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceComplete,
    DirectWrite,
    Errno,
    Evict,
    Feature,
    FillDisk,
    Freeze,
    FreeDisk,
    Fsync,
    GetUserPages,
    KernelError,
    Load,
    Mount,
    PunchHole,
    Read,
    Reclaim,
    Store,
    Sync,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.rules.evidence import lost_in_memory, rests
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
from conformance.rules.transitions import (
    WRITERS,
    PageName,
    claims_clean,
    is_clean,
    is_full,
    is_pinned,
    is_writer,
    pages_written,
    samples_around,
    syncs,
)
from conformance.verdicts import Kind, Level, Promise

_TRACKED = ("no_dirty_tracking",)
_GUP = "get_user_pages|get_user_pages_fast"
_LONG_REFUSALS = {Errno.EFAULT, Errno.EINVAL, Errno.EOPNOTSUPP}


# --- MKW-FAIL ---------------------------------------------------------------------


@rule(
    "MKW-FAIL",
    clause=Clause(
        DOCUMENT,
        "S10; vm_fault_to_errno, vmf_fs_error",
        "page_mkwrite may refuse; then the page is not made writable and not dirtied, "
        "a store ends in SIGBUS and get_user_pages in an error or a shorter answer",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(f"store|{_GUP}", "fill_disk"), absent_features=_TRACKED),
)
def refused_means_untouched(case: Case) -> Iterator[Finding]:
    """A write access without space is refused and changes nothing, or it is kept."""
    for call, _ in case.history.asked(Store, GetUserPages):
        is_over = call.answered is not None and is_writer(case, call)
        if not is_over or not is_full(case, call.asked, call.ended):
            continue
        yield from _refused(case, call)
        yield from _accepted(case, call)


def _refused(case: Case, call: Call) -> Iterator[Finding]:
    """Judge the pages that a call was not granted."""
    around = samples_around(case, call)
    for name in _not_granted(case, call):
        case.premise()
        if around is None:
            continue
        trouble = _touched(case, call, name, *around)
        if trouble is not None:
            yield case.found(
                call,
                f"{call.operation.name} was refused on a full disk, and page "
                f"{name[1]} of file {name[0]} {trouble} (should be as before)",
            )
        yield from _shows_refused(case, call, name)


def _not_granted(case: Case, call: Call) -> list[PageName]:
    operation = call.operation
    if isinstance(operation, Store):
        name = case.oracle.file_page(call) if call.refused else None
        return [] if name is None else [name]
    assert isinstance(operation, GetUserPages)
    granted = call.result if isinstance(call.result, int) else 0
    where = operation.process, operation.mapping
    names = [
        case.oracle.target(*where, operation.page + i, call.asked)
        for i in range(granted, operation.pages)
    ]
    return [name for name in names if name is not None]


def _touched(
    case: Case, call: Call, name: PageName, before: Sample, after: Sample
) -> str | None:
    """Say how a refused access changed a page.

    get_user_pages may have prepared a page and failed for another reason; then
    page_mkwrite was called with success.
    """
    was, now = before.pages.get(name), after.pages.get(name)
    if was is None or now is None or not claims_clean(case, was, before.moment):
        return None
    counts = before.mkwrites.get(name[0]), after.mkwrites.get(name[0])
    if not isinstance(call.operation, Store) and counts[0] != counts[1]:
        return None
    if now.is_dirty:
        return "became dirty"
    if (now.writable_ptes or 0) > (was.writable_ptes or 0):
        return "became writable through a PTE"
    return None


def _shows_refused(case: Case, call: Call, name: PageName) -> Iterator[Finding]:
    """Yield losses that show a value whose store was refused."""
    value = getattr(call.operation, "value", None)
    for loss in lost_in_memory(case):
        is_it = (loss.file, loss.page) == name and loss.seen == value
        if is_it and loss.call.asked > call.ended:
            yield case.found(loss.call, loss.sentence)


def _accepted(case: Case, call: Call) -> Iterator[Finding]:
    """Judge the pages of holes and the like that a full disk had room for."""
    before = case.history.sample_before(call.asked)
    if not call.succeeded or before is None:
        return
    for name in pages_written(case, call):
        failed = _fsync_without_space(case, call, name[0])
        if failed is not None and is_clean(case, name, before):
            case.premise()
            yield case.found(
                failed,
                f"page {name[1]} of file {name[0]}: {call.operation.name} was accepted "
                "on a full disk, and its fsync was refused with ENOSPC (should be "
                "refused at once, or be written)",
            )


def _fsync_without_space(case: Case, call: Call, file: int) -> Call | None:
    """Return the first fsync after an access, if it was refused for want of space.

    Data of write(2) may be accepted without space; then nothing can be said.
    """
    kinds = (Fsync, Sync, Writeback, Freeze, Umount)
    for sync, operation in case.history.asked(*kinds):
        if sync.ended < call.ended or getattr(operation, "file", file) != file:
            continue
        is_pin_put_off = _is_pinned_since(case, call, sync)
        if sync.asked < call.ended or is_pin_put_off or _has_other_data(case, sync):
            return None
        is_refused = isinstance(sync.error, KernelError)
        if is_refused and sync.error.errno is Errno.ENOSPC:  # type: ignore[union-attr]  # just asked
            return sync
        return None
    return None


def _is_pinned_since(case: Case, call: Call, sync: Call) -> bool:
    """Tell whether another pin than that of a call may need space of its own."""
    if not is_pinned(case, sync.asked):
        return False
    own = case.oracle.pin_of(call)
    return any(
        record is not own
        and record.write
        and record.maker.asked < sync.ended
        and record.put_ended >= sync.asked
        for record in case.oracle.pins
    )


def _has_other_data(case: Case, sync: Call) -> bool:
    """Tell whether a sync may have had to write data that no page_mkwrite announced."""
    kinds = (Write, Truncate, PunchHole, DirectWrite)
    return any(call.asked < sync.ended for call, _ in case.history.asked(*kinds))


# --- MKW-RESERVE, MKW-UNRESERVE ----------------------------------------------------


@rule(
    "MKW-RESERVE",
    clause=Clause(
        DOCUMENT,
        "S6, S10; delayed allocation in page_mkwrite",
        "a filesystem can write back what page_mkwrite let be dirtied: the space for "
        "it is found or promised there, anew after each cleaning",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}", "fsync", "fill_disk"), absent_features=_TRACKED
    ),
)
def accepted_means_space(case: Case) -> Iterator[Finding]:
    """What was dirtied while there was space is written although the disk fills up."""
    fills = [c for c, _ in case.history.asked(FillDisk) if c.succeeded]
    if not fills:
        return
    for call, _ in case.history.asked(Store, GetUserPages, DeviceComplete):
        filled = next((fill for fill in fills if fill.asked > call.ended), None)
        if filled is None or not call.succeeded or not is_writer(case, call):
            continue
        for file in _files_dirtied(case, call):
            yield from _written_when_full(case, call, filled, file)


def _files_dirtied(case: Case, call: Call) -> set[int]:
    if isinstance(call.operation, DeviceComplete):
        record = case.oracle.pin_of(call)
        names = [] if record is None else [page.file_page for page in record.pages]
        return {name[0] for name in names if name is not None}
    return {name[0] for name in pages_written(case, call)}


def _written_when_full(
    case: Case, call: Call, filled: Call, file: int
) -> Iterator[Finding]:
    """Judge the first fsync of a file after an access, if the disk is full by then."""
    sync = _first_sync(case, call, file)
    if sync is None or sync.asked < filled.ended or sync.answered is None:
        return
    case.premise()
    failed = _fsync_without_space(case, call, file)
    if failed is not None:
        yield case.found(
            failed,
            f"{call.operation.name} to file {file} was accepted while there was "
            "space, and its fsync was refused with ENOSPC (should have been promised "
            "space by page_mkwrite)",
        )


def _first_sync(case: Case, call: Call, file: int) -> Call | None:
    for sync, operation in case.history.asked(Fsync, Sync, Writeback, Freeze):
        is_its = getattr(operation, "file", file) == file
        if is_its and sync.ended > call.ended:
            return sync if sync.asked > call.ended else None
    return None


@rule(
    "MKW-UNRESERVE",
    clause=Clause(
        KERNEL,
        "ext4_da_release_space, xfs_reflink_cancel_cow, btrfs_delalloc_release_space",
        "space that was promised to a page and not used goes back, at the latest when "
        "the page is gone, or is clean and not pinned",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(observations=("statfs",), absent_features=_TRACKED),
)
def unused_space_goes_back(case: Case) -> Iterator[Finding]:
    """At rest, what is not free is no more than what holds data."""
    first = case.history.samples[0].statfs if case.history.samples else None
    if first is None or _cannot_be_reckoned(case):
        return
    for sample in rests(case.history):
        if sample.statfs is None or not _is_quiet(case, sample):
            continue
        case.premise()
        taken = first.blocks_free - sample.statfs.blocks_free
        holding = _pages_with_data(case, sample.moment)
        if taken < 0 or taken > holding:
            yield case.found(
                _call_at(case, sample),
                f"{taken} block(s) are not free at rest, and {holding} page(s) may "
                "hold data (should not be more, nor less than none)",
            )
            return
        if sample.statfs.blocks_reserved:
            yield case.found(
                _call_at(case, sample),
                f"{sample.statfs.blocks_reserved} block(s) are promised at rest, with "
                "nothing dirty and nothing pinned (should be none)",
            )
            return


def _call_at(case: Case, sample: Sample) -> Call | None:
    return case.history.calls[sample.after] if sample.after >= 0 else None


def _cannot_be_reckoned(case: Case) -> bool:
    """Tell whether files may keep blocks that no name shows."""
    return any(True for _ in case.history.asked(Unlink, Umount, Mount))


def _is_quiet(case: Case, sample: Sample) -> bool:
    """Tell whether every write has been made durable, and nothing is pinned."""
    moment = sample.moment
    filled = [c for c, _ in case.history.asked(FillDisk) if c.asked < moment]
    freed = [c for c, _ in case.history.asked(FreeDisk) if c.ended < moment]
    if len(filled) > len(freed) or is_pinned_at(case, moment):
        return False
    if any(v.is_dirty or v.is_under_writeback for v in sample.pages.values()):
        return False
    return all(_is_synced(case, file, moment) for file in sample.mtimes or {0: 0})


def is_pinned_at(case: Case, moment: Moment) -> bool:
    """Tell whether any page may be pinned at a moment."""
    return any(
        record.maker.asked < moment < record.put_ended for record in case.oracle.pins
    )


def _is_synced(case: Case, file: int, moment: Moment) -> bool:
    writes = [
        call.ended
        for call, _ in case.history.asked(*WRITERS)
        if call.asked < moment and is_writer(case, call)
    ]
    latest = max(writes, default=-1)
    return latest < 0 or any(
        sync.ended < moment for sync in syncs(case, file, after=latest)
    )


def _pages_with_data(case: Case, moment: Moment) -> int:
    """Count the pages that may hold data at a moment."""
    if Feature.PARITY in case.history.features:
        return case.history.geometry.disk_blocks if _written(case, moment) else 0
    return len(_written(case, moment))


def _written(case: Case, moment: Moment) -> set[PageName]:
    """Return the pages that were written, and not cut off since."""
    folio = case.history.geometry.folio_pages
    pages: dict[PageName, Moment] = {}
    for call, _ in case.history.asked(*WRITERS):
        if call.asked < moment and is_writer(case, call):
            for file, page in _touched_by(case, call):
                for name in ((file, page - page % folio + i) for i in range(folio)):
                    pages[name] = max(pages.get(name, -1), call.ended)
    return {
        name for name, last in pages.items() if not _is_cut(case, name, last, moment)
    }


def _touched_by(case: Case, call: Call) -> list[PageName]:
    """Name the pages that a call may have given data, refused ones included."""
    size = case.oracle.words_per_page
    match call.operation:
        case Store() | GetUserPages():
            return _asked_for(case, call)
        case Write(file, page):
            sizes = case.oracle.sizes(file, call.asked, call.ended)
            return [(file, page), *((file, s // size) for s in sizes if s % size)]
        case Truncate(file, words):
            sizes = case.oracle.sizes(file, call.asked, call.ended)
            return [(file, s // size) for s in {words, *sizes} if s % size]
        case DirectWrite(file=file, file_page=first, pages=count):
            return [(file, first + i) for i in range(count)]
        case _:
            record = case.oracle.pin_of(call)
            pages = [] if record is None else [page.file_page for page in record.pages]
            return [*(n for n in pages if n is not None), *pages_written(case, call)]


def _asked_for(case: Case, call: Call) -> list[PageName]:
    operation = call.operation
    assert isinstance(operation, Store | GetUserPages)
    count = operation.pages if isinstance(operation, GetUserPages) else 1
    names = [
        name
        for i in range(count)
        for name in case.oracle.layout.names(
            operation.process,
            operation.mapping,
            operation.page + i,
            call.asked,
            call.ended,
        )
    ]
    return [name for name in names if name[0] >= 0]


def _is_cut(case: Case, name: PageName, last: Moment, moment: Moment) -> bool:
    return any(
        cut.is_certain and cut.is_cut and cut.begin > last and cut.end < moment
        for cut in case.oracle.detaches.of(name)
    )


# --- MKW-NOTRACK -------------------------------------------------------------------


@rule(
    "MKW-NOTRACK",
    clause=Clause(
        KERNEL,
        "vma_needs_dirty_tracking",
        "pages that are never written back need no page_mkwrite, no space and no "
        "limit on pins, and memory is all that they have",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("store", "load|read"), features=("no_dirty_tracking",)),
)
def memory_is_all_there_is(case: Case) -> Iterator[Finding]:
    """A file without writeback keeps its data in memory and needs no space for it."""
    drops = [
        c.ended
        for c, _ in case.history.asked(Evict, Reclaim, Writeback)
        if c.answered is not None
    ]
    for call, _ in case.history.asked(Load, Read):
        if call.answered is not None and min(drops, default=call.ended) < call.asked:
            case.premise()
    for loss in lost_in_memory(case):
        if min(drops, default=loss.call.asked) < loss.call.asked:
            yield case.found(loss.call, loss.sentence)
    yield from _refused_for_space(case)
    if case.promise is Promise.MAINLINE:
        yield from _refused_for_long(case)


def _refused_for_space(case: Case) -> Iterator[Finding]:
    """Judge stores to pages that are in memory already, while the disk is full."""
    for call, _ in case.history.asked(Store):
        name = case.oracle.file_page(call)
        if name is None or not is_full(case, call.asked, call.ended):
            continue
        if not _is_in_memory(case, call, name):
            continue
        case.premise()
        if call.refused:
            yield case.found(
                call,
                f"store to page {name[1]} of file {name[0]}, which is in memory, ended "
                f"in {call.error} on a full disk (should need no space)",
            )


def _is_in_memory(case: Case, call: Call, name: PageName) -> bool:
    """Tell whether a page of the file was written before and stayed."""
    if case.oracle.must_signal(call) or case.oracle.detaches.of(name):
        return False
    return any(
        other.succeeded
        and other.ended < call.asked
        and (store.process, store.mapping) == _where(call)
        and case.oracle.file_page(other) == name
        for other, store in case.history.asked(Store)
    )


def _where(call: Call) -> tuple[int, int]:
    assert isinstance(call.operation, Store)
    return call.operation.process, call.operation.mapping


def _refused_for_long(case: Case) -> Iterator[Finding]:
    for call, pin in case.history.asked(GetUserPages):
        name = case.oracle.target(pin.process, pin.mapping, pin.page, call.asked)
        if not pin.longterm or not pin.write or name is None or call.is_pending:
            continue
        case.premise()
        error = call.error
        if isinstance(error, KernelError) and error.errno in _LONG_REFUSALS:
            yield case.found(
                call,
                f"long-term pin of page {name[1]} of file {name[0]} was refused with "
                f"{error} (should be granted: the page is never written back)",
            )


SPACE_RULES: tuple[Rule, ...] = (
    refused_means_untouched,
    accepted_means_space,
    unused_space_goes_back,
)
NOTRACK_RULES: tuple[Rule, ...] = (memory_is_all_there_is,)
