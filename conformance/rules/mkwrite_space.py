"""page_mkwrite when the disk is full, or becomes so.

page_mkwrite is where a write access can still be refused. What it lets through can
be written back later.

Verified: write accesses while the disk is full, and the first fsync after them; the
first fsync of what was written before the disk became full.
Not verified: files that were written by write(2) or truncated too, since data that
no page_mkwrite announced may be refused space by fsync.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceComplete,
    DirectWrite,
    Errno,
    FillDisk,
    Freeze,
    Fsync,
    GetUserPages,
    KernelError,
    PunchHole,
    Reclaim,
    Store,
    Sync,
    Truncate,
    Umount,
    Write,
    Writeback,
)
from conformance.oracle.history import Call, Sample
from conformance.rules.evidence import lost_in_memory
from conformance.rules.rule import (
    DOCUMENT,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.transitions import (
    PageName,
    claims_clean,
    is_clean,
    is_full,
    is_pinned,
    is_writer,
    pages_written,
    samples_around,
)
from conformance.verdicts import Kind, Level

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
    was_asked = before.mkwrites.get(name[0]) != after.mkwrites.get(name[0])
    trouble = None
    if (
        was is None
        or now is None
        or not claims_clean(case, was, before.moment)
        or (was_asked and not isinstance(call.operation, Store))
    ):
        pass
    elif now.is_dirty:
        trouble = "became dirty"
    elif (now.writable_ptes or 0) > (was.writable_ptes or 0):
        trouble = "became writable through a PTE"
    return trouble


def _shows_refused(case: Case, call: Call, name: PageName) -> Iterator[Finding]:
    """Yield losses that show a value whose store was refused."""
    if not isinstance(call.operation, Store):
        return
    for loss in lost_in_memory(case):
        is_it = (loss.file, loss.page) == name and loss.seen == call.operation.value
        if is_it and loss.call.asked > call.ended:
            yield case.found(loss.call, loss.sentence)


def _accepted(case: Case, call: Call) -> Iterator[Finding]:
    """Judge the clean pages that a full disk had room for."""
    before = case.history.sample_before(call.asked)
    if not call.succeeded or before is None:
        return
    for name in pages_written(case, call):
        sync = _first_sync(case, call, name[0])
        if sync is None or not is_clean(case, name, before):
            continue
        case.premise()
        failed = _fsync_without_space(case, call, name[0])
        if failed is not None:
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
    sync = _first_sync(case, call, file)
    if sync is None or not isinstance(sync.error, KernelError):
        return None
    is_full = sync.error.errno is Errno.ENOSPC
    in_doubt = _is_pinned_since(case, call, sync) or _has_other_data(case, sync)
    return sync if is_full and not in_doubt else None


def _first_sync(case: Case, call: Call, file: int) -> Call | None:
    """Return the first call after an access that writes its file to the disk.

    None: there is none, or one was under way when the access ended.
    """
    kinds = (Fsync, Sync, Writeback, Freeze, Umount, Reclaim)
    for sync, operation in case.history.asked(*kinds):
        is_its = getattr(operation, "file", file) == file
        if is_its and sync.ended > call.ended:
            is_later = sync.asked > call.ended and sync.answered is not None
            return sync if is_later else None
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


# --- MKW-RESERVE --------------------------------------------------------------------


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
    if sync is None or sync.asked < filled.ended:
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


SPACE_RULES: tuple[Rule, ...] = (refused_means_untouched, accepted_means_space)
