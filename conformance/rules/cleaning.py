"""Cleaning a page: taking the right to write from everybody, and losing nothing.

Writeback makes a page read-only in all page tables, takes over their dirty bits, and
only then believes it clean. A page table entry that it forgot, or that slipped past
it, lets stores go unnoticed; a dirty bit that it dropped is a store that nobody will
write.

Verified: claims of clean pages against their page table entries and against the next
store; stores and write(2) against what memory and power cuts show. Not verified:
entries of pages that stay dirty; the order of overlapping calls.
"""

from collections.abc import Iterator

from conformance.interface import (
    Evict,
    Fork,
    Fsync,
    GetUserPages,
    Load,
    MirrorWrite,
    Mremap,
    Operation,
    Read,
    Reclaim,
    Store,
    Sync,
    Write,
    Writeback,
)
from conformance.oracle.history import INFINITY, Call, Moment
from conformance.oracle.layout import PageName
from conformance.rules.evidence import (
    Loss,
    at_rest,
    lost_in_memory,
    lost_on_disk,
    mkwrite_between,
)
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
    parking,
    place_of,
    reported,
    view_of,
    written_during_writeback,
)
from conformance.verdicts import Kind, Level

_CLEANERS = (Fsync, Sync, Writeback)
_MOVERS = (Mremap, Fork)
MAPPINGS_MIN = 2
"""Mappings from which on one of them can be forgotten."""

# --- every entry --------------------------------------------------------------------


@rule(
    "WB-PROTECT",
    clause=Clause(
        DOCUMENT,
        "S14",
        "before a page is written it is made read-only in every page table that maps "
        "it, so that the next store through any of them is noticed",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("mmap|fork", "store", "fsync|sync"),
        absent_features=("no_dirty_tracking",),
    ),
)
def every_mapping_is_protected(case: Case) -> Iterator[Finding]:
    """A page that was stored to through several mappings is cleaned in all of them."""
    for name, stores in _stores(case).items():
        if len({_mapping(call) for call in stores}) < MAPPINGS_MIN:
            continue
        for sync in _good_syncs(case, name[0]):
            before = {_mapping(call) for call in stores if call.ended < sync.asked}
            if len(before) >= MAPPINGS_MIN:
                case.premise()
                end = _next_sync(case, name[0], sync.ended)
                yield from _unnoticed(case, name, sync.ended, end)


@rule(
    "WB-WALK",
    clause=Clause(
        KERNEL,
        "mm/rmap.c, page_vma_mkclean_one and the rmap lock",
        "while the entries of a page are being write-protected none of them may slip "
        "from a place yet to be visited to one already passed",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("mremap|fork", "store", "fsync|sync"),
        absent_features=("no_dirty_tracking",),
        stepping=True,
    ),
)
def no_entry_slips_past_the_walk(case: Case) -> Iterator[Finding]:
    """A mapping moved or copied while a page is cleaned is not left writable."""
    for walk, mover in _races(case):
        case.premise()
        if walk.answered is None or mover.answered is None:
            continue
        begin = max(walk.ended, mover.ended)
        for name, stores in _stores(case).items():
            if stores[0].ended < walk.asked:
                end = _next_sync(case, name[0], begin)
                yield from _unnoticed(case, name, begin, end)


def _races(case: Case) -> Iterator[tuple[Call, Call]]:
    """Yield each walk with a mover of entries that overlapped it, one being parked."""
    for parked in parking(case):
        call = parked.call
        if parked.at.startswith("mkclean.") and isinstance(call.operation, _CLEANERS):
            yield from ((call, mover) for mover in _asked_while(case, parked, _MOVERS))
        elif parked.at.startswith(("mremap.", "fork.")):
            yield from ((walk, call) for walk in _asked_while(case, parked, _CLEANERS))


def _asked_while(
    case: Case, parked: Parking, kinds: tuple[type[Operation], ...]
) -> Iterator[Call]:
    for call, _ in case.history.asked(*kinds):
        if parked.covers(call):
            yield call


def _stores(case: Case) -> dict[PageName, list[Call]]:
    """Return the stores that succeeded, by page of a file."""
    stores: dict[PageName, list[Call]] = {}
    for call, _ in case.history.asked(Store):
        name = case.oracle.file_page(call) if call.succeeded else None
        if name is not None:
            stores.setdefault(name, []).append(call)
    return stores


def _mapping(call: Call) -> tuple[int, int]:
    assert isinstance(call.operation, Store)
    return call.operation.process, call.operation.mapping


def _good_syncs(case: Case, file: int) -> Iterator[Call]:
    for call, operation in case.history.asked(Fsync, Sync):
        if call.succeeded and (isinstance(operation, Sync) or operation.file == file):
            yield call


def _next_sync(case: Case, file: int, moment: Moment) -> Moment:
    """Return when the next sync of a file is asked after a moment."""
    later = (c.asked for c in _good_syncs(case, file) if c.asked > moment)
    return min(later, default=INFINITY)


def _unnoticed(
    case: Case, name: PageName, begin: Moment, end: Moment
) -> Iterator[Finding]:
    """Yield the signs that a page can be stored to, after its cleaning, unnoticed."""
    stores = [call for call in _stores(case)[name] if begin < call.asked < end]
    yield from _writable_entry(case, name, begin, end)
    for call in stores:
        yield from _silent_store(case, name, call, is_first=call is stores[0])
    calls = {call.index for call in stores}
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        if loss.writer and loss.writer.index in calls and _is_of(loss, name):
            yield case.found(loss.call, loss.sentence)


def _writable_entry(
    case: Case, name: PageName, begin: Moment, end: Moment
) -> Iterator[Finding]:
    """Yield a page that is clean and can be written through a page table.

    After a new access a dirty bit in a page table may stand for the dirty flag.
    """
    accesses = case.history.asked(Store, GetUserPages, MirrorWrite)
    accessed = min((c.asked for c, _ in accesses if c.asked > begin), default=INFINITY)
    for sample in case.history.samples_between(begin, end):
        view = view_of(sample, name)
        if not view or not at_rest(sample) or not is_clean(view):
            continue
        is_explained = sample.moment > accessed and view.dirty_ptes
        if view.writable_ptes and not is_explained:
            yield case.found(
                case.history.calls[sample.after],
                f"{place_of(name)} is clean, but {view.writable_ptes} page table "
                "entry or entries let it be written (should be none)",
            )
            return


def _silent_store(
    case: Case, name: PageName, call: Call, *, is_first: bool
) -> Iterator[Finding]:
    """Yield a store to a clean page that no page_mkwrite preceded."""
    before = case.history.sample_before(call.asked)
    view = view_of(before, name)
    if before is None or view is None or not at_rest(before) or not is_clean(view):
        return
    is_sure = is_first or view.dirty_ptes == 0
    if not is_sure or view.writable_ptes == 0:
        return
    if mkwrite_between(case.history, name[0], call.asked, call.ended) is False:
        yield case.found(
            call,
            f"{place_of(name)} was clean and is stored to through mapping "
            f"{_mapping(call)} without page_mkwrite (should be noticed)",
        )


def _is_of(loss: Loss, name: PageName) -> bool:
    return (loss.file, loss.page) == name


# --- every dirty bit ----------------------------------------------------------------


@rule(
    "WB-PTEDIRTY",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, folio_clear_dirty_for_io",
        "a dirty bit found in a page table entry is transferred to the page before "
        "the page's dirty flag is tested and cleared, and never lost between the two",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("store", "fsync|sync")),
)
def dirty_bits_are_not_dropped(case: Case) -> Iterator[Finding]:
    """A store that only a page table entry knows of is written by the next sync."""
    silent = set()
    for name, stores in _stores(case).items():
        for call in stores:
            has_sync = any(s.asked > call.ended for s in _good_syncs(case, name[0]))
            is_silent = mkwrite_between(case.history, name[0], call.asked, call.ended)
            if has_sync and is_silent is False:
                case.premise()
                silent.add(call.index)
    lost = (
        loss
        for loss in (*lost_in_memory(case), *lost_on_disk(case))
        if loss.writer and loss.writer.index in silent
    )
    yield from reported(case, "WB-PTEDIRTY", lost)


# --- one hold of the lock, one writeback ----------------------------------------------


@rule(
    "WB-LOCK",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, folio_clear_dirty_for_io",
        "the dirty flag is cleared and the writeback flag set under one hold of the "
        "page lock; seen without it, a page is dirty, under writeback, or on the disk",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("fsync|sync",)),
)
def no_page_is_clean_before_it_is_written(case: Case) -> Iterator[Finding]:
    """Nobody takes a page for clean whose data is not yet on its way to the disk."""
    lost: list[Loss] = []
    for parked in parking(case):
        is_inside = parked.at.startswith(("writeback.", "mkclean."))
        if not is_inside or not isinstance(parked.call.operation, _CLEANERS):
            continue
        syncs = [c for c, _ in case.history.asked(Fsync, Sync) if parked.covers(c)]
        for sync in syncs:
            case.premise()
            lost += [
                loss
                for loss in lost_on_disk(case)
                if sync.succeeded
                and loss.call.asked > sync.ended
                and parked.covers(loss.call)
            ]
    for _ in _dropped_and_read(case):
        case.premise()
    yield from reported(case, "WB-LOCK", lost)


def _dropped_and_read(case: Case) -> Iterator[Call]:
    """Yield the readings of what write(2) wrote, after the cache was to be dropped."""
    written: set[int] = set()
    dropped: set[int] = set()
    for call, operation in case.history.asked(Write, Evict, Reclaim, Read, Load):
        if isinstance(operation, Write):
            written.add(operation.file)
        elif isinstance(operation, Evict | Reclaim):
            dropped |= written & {operation.file}
        else:
            name = case.oracle.file_page(call) if dropped else None
            if name is not None and name[0] in dropped:
                yield call


@rule(
    "WB-SINGLE",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, write_cache_pages",
        "a page has one writeback at a time; a data-integrity sync waits for an older "
        "one and then writes the page again if it is dirty",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("fsync|sync", "power_cut")),
)
def sync_does_not_join_an_older_writeback(case: Case) -> Iterator[Finding]:
    """A sync that meets an older writeback makes durable what was written since."""
    lost: list[Loss] = []
    for late in written_during_writeback(case):
        for sync in _syncs_during(case, late.name, late.marked.ended):
            case.premise()
            lost += [
                loss
                for loss in lost_on_disk(case)
                if loss.writer is late.call
                and _is_of(loss, late.name)
                and loss.call.asked > sync.ended
            ]
    yield from reported(case, "WB-SINGLE", lost)


def _syncs_during(case: Case, name: PageName, moment: Moment) -> Iterator[Call]:
    """Yield the good syncs that were asked while a page still was under writeback."""
    for call in _good_syncs(case, name[0]):
        before = case.history.sample_before(call.asked)
        view = view_of(before, name)
        if call.asked > moment and view is not None and view.is_under_writeback:
            yield call


RULES: tuple[Rule, ...] = (
    every_mapping_is_protected,
    no_entry_slips_past_the_walk,
    dirty_bits_are_not_dropped,
    no_page_is_clean_before_it_is_written,
    sync_does_not_join_an_older_writeback,
)
