"""page_mkwrite on every write to a clean page.

The filesystem is asked by page_mkwrite before a clean page of a file becomes
writable or dirty, each time, whoever is to write: a CPU or a device.

Verified: calls of page_mkwrite between two samples, by its count or by the
modification time; what may be read after a page that was called clean was dropped.
Not verified: which page of a file a call of page_mkwrite was for (the count is kept
by file), and accesses that ran beside another writer of the same stack.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    Evict,
    Fsync,
    GetUserPages,
    Load,
    MirrorWrite,
    Reclaim,
    Store,
    Sync,
    Writeback,
)
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.evidence import found_losses, lost_in_memory
from conformance.rules.mkwrite_fault import FAULT_RULES, FREEZE_RULES
from conformance.rules.mkwrite_readers import READER_RULES
from conformance.rules.mkwrite_rest import NOTRACK_RULES, REST_RULES
from conformance.rules.mkwrite_space import SPACE_RULES
from conformance.rules.pinned import has_failures
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
from conformance.rules.sightings import place_of
from conformance.rules.transitions import (
    Access,
    PageName,
    accesses,
    claims_clean,
    is_pin_of,
    mkwrite_ran,
    others,
    pages_written,
    samples_around,
    syncs,
)
from conformance.verdicts import Kind, Level, Promise

_TRACKED = ("no_dirty_tracking",)
_GUP = "get_user_pages|get_user_pages_fast"
_SHOWN = "page_mkwrite_count|mtime"


@rule(
    "MKW-EVERY",
    clause=Clause(
        DOCUMENT,
        "S10, S11",
        "page_mkwrite comes before a clean page is made writable and dirtied, at "
        "each write access to it and not at the first alone",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}",),
        observations=(_SHOWN,),
        absent_features=_TRACKED,
    ),
)
def asked_at_every_access(case: Case) -> Iterator[Finding]:
    """Every write access to a clean page calls page_mkwrite, again after cleaning."""
    for access in accesses(case, Store, GetUserPages, MirrorWrite):
        ran = access.mkwrite_ran
        if ran is None or not access.shows_write or not access.was_clean(case):
            continue
        case.premise()
        if not ran:
            yield case.found(
                access.call,
                f"{place_of(access.name)} was clean and {access.call.operation.name} "
                "wrote to it without page_mkwrite (should be called each time)",
            )
    yield from found_losses(case, "MKW-EVERY")


@rule(
    "MKW-DEVICE",
    clause=Clause(
        DOCUMENT,
        "S7, S10, S11",
        "what a device writes to a clean page of a file has been announced by "
        "page_mkwrite, however long ago the page was pinned",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP, "device_write|device_complete"),
        observations=(_SHOWN,),
        absent_features=_TRACKED,
    ),
)
def asked_for_devices_too(case: Case) -> Iterator[Finding]:
    """A device's data gets into a clean page of a file only after page_mkwrite."""
    for record in case.oracle.pins:
        if record.write:
            for page in record.pages:
                yield from _device_writes(case, record, page)
    for call, _ in case.history.asked(DirectRead, DeviceTransfer):
        yield from _driver_writes(case, call)


def _device_writes(
    case: Case, record: PinRecord, page: PinnedPage
) -> Iterator[Finding]:
    name = page.file_page
    if name is None:
        return
    for write in page.device_writes:
        before = case.history.sample_before(write.asked)
        fate = case.oracle.detaches.fate(name, record.maker, write.asked, write.ended)
        if before is None or fate is not Fate.ATTACHED:
            continue
        if before.moment < record.maker.ended:
            continue
        is_clean = claims_clean(case, before.pages.get(name), before.moment)
        if is_clean or _was_cleaned(case, name, record.maker, write):
            case.premise()
            yield from _lost_after_drop(case, name, write)
        if is_clean:
            yield from _unannounced(case, record, page, write, before)


def _was_cleaned(case: Case, name: PageName, maker: Call, write: Call) -> bool:
    """Tell whether the page may have been cleaned between its pin and a write."""
    kinds = (Fsync, Sync, Writeback, Reclaim, Evict)
    return any(
        call.ended_before(write.asked)
        and call.asked > maker.ended
        and getattr(operation, "file", name[0]) == name[0]
        for call, operation in case.history.asked(*kinds)
    )


def _unannounced(
    case: Case, record: PinRecord, page: PinnedPage, write: Call, before: Sample
) -> Iterator[Finding]:
    name = page.file_page
    assert name is not None
    for after, how in _landings(case, page, write):
        if not _only_this_pin(case, record, write, before.moment, after.moment):
            return
        if mkwrite_ran(name[0], before, after) is False:
            yield case.found(
                write,
                f"{place_of(name)} was clean when a device wrote to it, and {how} "
                "without page_mkwrite (should be called before, or never be clean)",
            )
        return


def _landings(
    case: Case, page: PinnedPage, write: Call
) -> Iterator[tuple[Sample, str]]:
    """Yield when the device's data is seen to be in the page, earliest first."""
    assert page.file_page is not None
    is_put = page.is_dirtied_after(write) or write in page.puts
    for sample in case.history.samples:
        if sample.moment < write.asked:
            continue
        view = sample.pages.get(page.file_page)
        if view is not None and view.is_dirty and sample.moment > write.ended:
            yield sample, "became dirty"
        elif is_put and sample.moment > page.put_ended:
            yield sample, "was put dirty"
        elif _shows_to_cpu(case, page.file_page, write, sample):
            yield sample, "showed the data"


def _shows_to_cpu(case: Case, name: PageName, write: Call, sample: Sample) -> bool:
    """Tell whether the last Load before a sample saw what only the device wrote."""
    call = case.history.calls[sample.after] if sample.after >= 0 else None
    value = getattr(write.operation, "value", None)
    if call is None or not isinstance(call.operation, Load) or call.result != value:
        return False
    is_unique = not any(
        getattr(other.operation, "value", None) == value
        for other in case.history.calls
        if other is not write
    )
    is_after = call.asked > write.asked and case.oracle.file_page(call) == name
    return is_unique and bool(value) and is_after


def _only_this_pin(
    case: Case, record: PinRecord, write: Call, begin: Moment, end: Moment
) -> bool:
    """Tell whether only users of a pin may have dirtied pages between two moments."""
    return all(
        is_pin_of(case, other, record) for other in others(case, write, begin, end)
    )


def _lost_after_drop(case: Case, name: PageName, write: Call) -> Iterator[Finding]:
    """Yield losses of what the device wrote, after the page could be dropped."""
    for loss in lost_in_memory(case):
        is_of_write = loss.writer is write and (loss.file, loss.page) == name
        could_read = not has_failures(case.history, before=loss.call.ended, write=False)
        was_dropped = any(
            call.asked > write.ended and call.ended_before(loss.call.asked)
            for call, _ in case.history.asked(Evict, Reclaim)
        )
        if is_of_write and was_dropped and could_read:
            yield case.found(loss.call, loss.sentence)


def _driver_writes(case: Case, call: Call) -> Iterator[Finding]:
    """Judge the stack's own drivers, which pin, write, dirty and put in one call."""
    around = samples_around(case, call) if call.succeeded else None
    if around is None:
        return
    for name in pages_written(case, call):
        access = Access(call, name, *around)
        ran = access.mkwrite_ran
        if ran is None or not access.was_clean(case):
            continue
        case.premise()
        if not ran:
            yield case.found(
                call,
                f"{place_of(name)} was clean and {call.operation.name} wrote to it "
                "without page_mkwrite (should be called before)",
            )


@rule(
    "MKW-ORDER",
    clause=Clause(
        DOCUMENT,
        "S11",
        "page_mkwrite, then writable, then dirty, with nothing in between that could "
        "clean the page again",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(views=("is_dirty", "writable_ptes"), absent_features=_TRACKED),
)
def writable_means_dirty(case: Case) -> Iterator[Finding]:
    """A page that can be written to through a page table entry is dirty."""
    clean_before: set[PageName] = set()
    for sample in case.history.samples:
        clean_now: set[PageName] = set()
        for name, view in sample.pages.items():
            if not view.writable_ptes or view.is_locked or sample.parked:
                continue
            case.premise()
            if view.is_dirty is False and not view.dirty_ptes:
                clean_now.add(name)
        for name in sorted(clean_now - clean_before):
            yield case.found(
                _call_at(case, sample),
                f"{place_of(name)} is clean and has "
                f"{sample.pages[name].writable_ptes} writable PTE(s) (should be dirty, "
                "or have none)",
            )
        clean_before = clean_now


def _call_at(case: Case, sample: Sample) -> Call | None:
    return case.history.calls[sample.after] if sample.after >= 0 else None


@rule(
    "MKW-MTIME",
    clause=Clause(
        KERNEL,
        "file_update_time in page_mkwrite; fault_dirty_shared_page",
        "a page that is dirtied through a mapping moves the modification time of "
        "its file",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}",),
        observations=("mtime",),
        absent_features=_TRACKED,
    ),
)
def time_moves(case: Case) -> Iterator[Finding]:
    """A clean page that is written through a mapping moves the modification time.

    The document's promise leaves time until the next fsync.
    """
    for access in accesses(case, Store, GetUserPages):
        file = access.name[0]
        later = _when_time_has_moved(case, access)
        if later is None or not {file} <= access.before.mtimes.keys():
            continue
        if not access.shows_write or not access.was_clean(case):
            continue
        case.premise()
        then = access.before.mtimes[file]
        if file in later.mtimes and later.mtimes[file] == then:
            yield case.found(
                access.call,
                f"{place_of(access.name)} was clean and was written to, and the "
                f"modification time stayed {then} (should move)",
            )


def _when_time_has_moved(case: Case, access: Access) -> Sample | None:
    if case.promise is Promise.MAINLINE:
        return access.after
    sync = next(syncs(case, access.name[0], after=access.call.ended), None)
    return None if sync is None else case.history.sample_after(sync.ended)


RULES: tuple[Rule, ...] = (
    asked_at_every_access,
    asked_for_devices_too,
    writable_means_dirty,
    *FAULT_RULES,
    *SPACE_RULES,
    *REST_RULES,
    time_moves,
    *FREEZE_RULES,
    *READER_RULES,
    *NOTRACK_RULES,
)
