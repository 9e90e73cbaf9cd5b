"""What page_mkwrite leaves behind at rest, and files that do not need it.

Verified: free space at rest, against the pages that may hold data; what memory shows
of files without writeback, and what they are refused.
Not verified: blocks that a filesystem needs for itself; space where data is kept
with parity, beyond that all of it is free again when there is no data.
"""

from collections.abc import Iterator

from conformance.interface import (
    Clone,
    Create,
    DirectWrite,
    Errno,
    Evict,
    Feature,
    GetUserPages,
    KernelError,
    Load,
    MirrorWrite,
    Mount,
    Read,
    Reclaim,
    Store,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.rules.evidence import lost_in_memory, rests
from conformance.rules.pinned import may_be_full
from conformance.rules.rule import (
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
    is_full,
    is_writer,
    pages_asked,
    pages_written,
    syncs,
)
from conformance.verdicts import Kind, Level, Promise

Writes = list[tuple[Call, list[PageName]]]
"""The calls that may have dirtied pages, and which."""

_TRACKED = ("no_dirty_tracking",)
_LONG_REFUSALS = {Errno.EFAULT, Errno.EINVAL, Errno.EOPNOTSUPP}


# --- MKW-UNRESERVE ------------------------------------------------------------------


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
    writes = _writes(case)
    for sample in rests(case.history):
        if sample.statfs is None or not _is_quiet(case, sample, writes):
            continue
        if any(call.asked < sample.moment for call, _ in case.history.asked(*WRITERS)):
            case.premise()
        taken = first.blocks_free - sample.statfs.blocks_free
        holding = _pages_with_data(case, sample.moment, writes)
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


def _is_quiet(case: Case, sample: Sample, writes: Writes) -> bool:
    """Tell whether every write has been made durable, and nothing is pinned."""
    moment = sample.moment
    if any(v.is_dirty or v.is_under_writeback for v in sample.pages.values()):
        return False
    if may_be_full(case.history, moment) or is_pinned_at(case, moment):
        return False
    created = [create.file for _, create in case.history.asked(Create)]
    cloned = [made.clone for _, made in case.history.asked(Clone)]
    files = (0, *created, *cloned)
    return all(_is_synced(case, file, moment, writes) for file in files)


def is_pinned_at(case: Case, moment: Moment) -> bool:
    """Tell whether any page may be pinned at a moment."""
    return any(
        record.maker.asked < moment < record.put_ended for record in case.oracle.pins
    )


def _is_synced(case: Case, file: int, moment: Moment, writes: Writes) -> bool:
    ends = [
        call.ended
        for call, names in writes
        if call.asked < moment and any(name[0] == file for name in names)
    ]
    ends += [
        call.ended
        for call, made in case.history.asked(Clone)
        if made.clone == file and call.asked < moment and not call.refused
    ]
    latest = max(ends, default=-1)
    return latest < 0 or any(
        sync.ended < moment for sync in syncs(case, file, after=latest)
    )


def _pages_with_data(case: Case, moment: Moment, writes: Writes) -> int:
    """Count the pages that may hold data at a moment."""
    written = _written(case, moment, writes)
    if Feature.PARITY in case.history.features:
        return case.history.geometry.disk_blocks if written else 0
    return len(written)


def _written(case: Case, moment: Moment, writes: Writes) -> set[PageName]:
    """Return the pages that were written, and not cut off since."""
    folio = case.history.geometry.folio_pages
    pages: dict[PageName, Moment] = {}
    for call, names in writes:
        if call.asked < moment:
            for file, page in names:
                for name in ((file, page - page % folio + i) for i in range(folio)):
                    pages[name] = max(pages.get(name, -1), call.ended)
    for call, made in case.history.asked(Clone):
        if call.asked < moment and not call.refused:
            shared = [page for file, page in pages if file == made.file]
            pages |= {
                (made.clone, page): max(pages.get((made.clone, page), -1), call.ended)
                for page in shared
            }
    left = {n for n, last in pages.items() if not _is_cut(case, n, last, moment)}
    return left if folio == 1 else left | _zeroed(case, folio)


def _zeroed(case: Case, folio: int) -> set[PageName]:
    """Return the pages that may hold zeros, since a pin kept their folio whole.

    A stack that cannot split a pinned folio zeroes what is cut off, and may write it.
    """
    found: set[PageName] = set()
    for record in case.oracle.pins:
        for file, page in (p.file_page for p in record.pages if p.file_page):
            parts = [(file, page - page % folio + i) for i in range(folio)]
            found |= {
                part
                for part in parts
                if any(
                    cut.begin < record.put_ended and cut.end > record.maker.asked
                    for cut in case.oracle.detaches.of(part)
                )
            }
    return found


def _writes(case: Case) -> Writes:
    writers = (c for c, _ in case.history.asked(*WRITERS) if is_writer(case, c))
    return [(call, _touched_by(case, call)) for call in writers]


def _touched_by(case: Case, call: Call) -> list[PageName]:
    """Name the pages that a call may have given data, refused ones included."""
    names: list[PageName | None]
    match call.operation:
        case Store() | GetUserPages():
            names = [*pages_asked(case, call)]
        case MirrorWrite():
            names = [case.oracle.file_page(call)]
        case Write(file, page):
            names = [(file, page), *_cut_pages(case, call, file, 0)]
        case Truncate(file, words):
            names = _cut_pages(case, call, file, words)
        case DirectWrite(file=file, file_page=first, pages=count):
            names = [(file, first + i) for i in range(count)]
        case _:
            record = case.oracle.pin_of(call)
            names = [] if record is None else [page.file_page for page in record.pages]
            names += pages_written(case, call)
    return [name for name in names if name is not None]


def _cut_pages(case: Case, call: Call, file: int, words: int) -> list[PageName | None]:
    """Name the pages that the old end of a file, or the new one, is in."""
    size = case.oracle.words_per_page
    sizes = {words, *case.oracle.sizes(file, call.asked, call.ended)}
    return [(file, end // size) for end in sizes if end % size]


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
        is_after = min(drops, default=loss.call.asked) < loss.call.asked
        if is_after or loss.owner == "MKW-NOTRACK":
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
        and case.oracle.file_page(other) == name
        for other, _ in case.history.asked(Store)
    )


def _refused_for_long(case: Case) -> Iterator[Finding]:
    for call, pin in case.history.asked(GetUserPages):
        name = case.oracle.target(pin.process, pin.mapping, pin.page, call.asked)
        is_proper = pin.longterm and pin.write and pin.tracked and pin.pages > 0
        if not is_proper or name is None or not _may_be_written(case, call, name):
            continue
        case.premise()
        error = call.error
        if isinstance(error, KernelError) and error.errno in _LONG_REFUSALS:
            yield case.found(
                call,
                f"long-term pin of page {name[1]} of file {name[0]} was refused with "
                f"{error} (should be granted: the page is never written back)",
            )


def _may_be_written(case: Case, call: Call, name: PageName) -> bool:
    """Tell whether a page lies in the file, in a writable mapping, all the time."""
    operation = call.operation
    assert isinstance(operation, GetUserPages)
    where = operation.process, operation.mapping
    span = case.oracle.layout.find(*where, call.asked)
    if span is None or call.answered is None:
        return False
    sizes = case.oracle.sizes(name[0], call.asked, call.ended)
    is_inside = min(sizes) > name[1] * case.oracle.words_per_page
    is_writable = span.writabilities(call.asked, call.ended) == {True}
    return is_inside and is_writable and span.stays(call.asked, call.ended)


REST_RULES: tuple[Rule, ...] = (unused_space_goes_back,)
NOTRACK_RULES: tuple[Rule, ...] = (memory_is_all_there_is,)
