"""What clones and dedupe may cost: space, refusals, and nothing but that.

Verified: syncs on a full disk after a write access to what is shared; refusals as
busy, and which pages were held then; clones of pages that only look pinned.
Not verified: how long a clone takes; refusals while other calls were under way.
"""

from collections.abc import Iterator

from conformance.interface import (
    Clone,
    Dedupe,
    DeviceComplete,
    DeviceWrite,
    DirectWrite,
    Errno,
    Freeze,
    Fsync,
    KernelError,
    PunchHole,
    Store,
    Sync,
    Truncate,
    Write,
)
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules.evidence import lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
from conformance.rules.pinned import has_failures, is_hindered, was_full_over
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
from conformance.rules.sharing import SHARING_OWNERS, files_of, sharings
from conformance.verdicts import Kind, Level

_TRACKED = ("no_dirty_tracking",)
_GUP = "get_user_pages|get_user_pages_fast"
_BUSY = {Errno.EBUSY, Errno.EAGAIN}


# --- SNAP-RESERVE -----------------------------------------------------------------


@rule(
    "SNAP-RESERVE",
    clause=Clause(
        KERNEL,
        "xfs_reflink_reserve_cow, on S10 and S18",
        "a write access to a page whose block is shared by now finds a new block for "
        "it, or is refused at once; what a device had pinned has one already",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.SHOULD,
    needs=Needs(
        operations=("clone", f"store|{_GUP}", "fsync|sync", "fill_disk"),
        absent_features=_TRACKED,
    ),
)
def shared_pages_are_promised_blocks(case: Case) -> Iterator[Finding]:
    """What is written to a file after it was cloned can be synced on a full disk."""
    for sync, operation in case.history.asked(Fsync, Sync):
        file = operation.file if isinstance(operation, Fsync) else None
        accesses = list(_accesses(case, sync, file))
        if not accesses or has_failures(case.history, before=sync.ended):
            continue
        if was_full_over(case.history, sync.asked, sync.ended):
            case.premise()
            if _is_for_space(sync):
                yield case.found(
                    sync,
                    f"{sync.operation.name} is refused with {sync.error} after "
                    f"{accesses[0].operation.name} to a file that shares blocks with "
                    "a clone was granted (should have been refused then, or find "
                    "space now)",
                )
            elif sync.succeeded:
                yield from _lost_since(case, sync, accesses)


def _accesses(case: Case, sync: Call, file: int | None) -> Iterator[Call]:
    """Yield the write accesses after a clone that a sync has to write, if only they.

    Data of write(2) may be accepted without space; then nothing can be said.
    """
    clones = [s for s in sharings(case.history) if isinstance(s.operation, Clone)]
    for call, name in _written(case, sync):
        is_shared = any(
            shared.concerns(name) and shared.call.ended < call.asked
            for shared in clones
        )
        if is_shared and file in {None, name[0]} and call.ended < sync.asked:
            if _has_other_data(case, sync):
                return
            yield call


def _written(case: Case, sync: Call) -> Iterator[tuple[Call, PageName]]:
    """Yield the accesses through page tables and pins, with the pages of files."""
    for call, _ in case.history.asked(Store, DeviceComplete, DeviceWrite):
        if call.succeeded and call.asked < sync.asked:
            for name in _pages_written(case, call):
                if name is not None:
                    yield call, name


def _pages_written(case: Case, call: Call) -> list[PageName | None]:
    """Name the pages that a store, or a device through a pin, wrote to."""
    if isinstance(call.operation, Store):
        return [case.oracle.file_page(call)]
    record = case.oracle.pin_of(call)
    if record is None or not (record.tracked and record.write):
        return []
    if isinstance(call.operation, DeviceWrite):
        return [case.oracle.file_page(call)]
    return [page.file_page for page in record.pages]


def _has_other_data(case: Case, sync: Call) -> bool:
    """Tell whether a sync may have had to write data that no page_mkwrite announced."""
    kinds = (Write, Truncate, PunchHole, DirectWrite)
    return any(call.asked < sync.ended for call, _ in case.history.asked(*kinds))


def _is_for_space(call: Call) -> bool:
    errors = {Errno.ENOSPC, Errno.EIO}
    return isinstance(call.error, KernelError) and call.error.errno in errors


def _lost_since(case: Case, sync: Call, accesses: list[Call]) -> Iterator[Finding]:
    """Yield what such a sync has left out."""
    for loss in _losses(case):
        if loss.writer in accesses and loss.call.asked > sync.ended:
            yield case.found(loss.call, f"{loss.sentence}: the disk was full")


# --- SNAP-INHIBIT-SCOPE -----------------------------------------------------------


@rule(
    "SNAP-INHIBIT-SCOPE",
    clause=Clause(
        DOCUMENT,
        "S21",
        "where pins keep a file from being cloned or deduplicated, that is told by an "
        "error, and it concerns the pinned pages only",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MAY,
    needs=Needs(operations=("clone|dedupe", _GUP), absent_features=_TRACKED),
)
def only_pinned_files_are_refused(case: Case) -> Iterator[Finding]:
    """A clone or dedupe is refused as busy only if its own pages may be pinned."""
    for call, operation in case.history.asked(Clone, Dedupe):
        if call.answered is None or not _is_alone(case, call):
            continue
        held = [name for name, _ in _held(case, call)]
        own = [name for name in held if _is_in_reach(case, operation, name)]
        if held and not own:
            case.premise()
            if _is_busy(call):
                yield case.found(
                    call,
                    f"{call.operation} is refused with {call.error}, and only "
                    f"{_listed(held)} may be pinned (should be granted)",
                )
        elif own and isinstance(operation, Dedupe):
            case.premise()
            yield from _refused_silently(case, call, operation)


def _is_alone(case: Case, call: Call) -> bool:
    """Tell whether nothing else was under way, and the filesystem not at rest."""
    others = (
        other
        for other in case.history.calls
        if other is not call and other.was_asked and other.asked < call.ended
    )
    return not any(other.ended > call.asked for other in others) and not any(
        freeze.asked < call.ended for freeze, _ in case.history.asked(Freeze)
    )


def _held(case: Case, call: Call) -> Iterator[tuple[PageName, bool]]:
    """Yield the pages of files that may be held while a call runs; true: by pins."""
    for record in case.oracle.pins:
        for page in record.pages:
            is_over = page.put_ended < call.asked or record.maker.asked > call.ended
            if page.file_page is not None and not is_over:
                yield page.file_page, record.tracked


def _is_in_reach(case: Case, operation: Clone | Dedupe, name: PageName) -> bool:
    """Tell whether a page, or one in the same large folio, is what is to be shared."""
    file, page = name
    folio = case.history.geometry.folio_pages
    if isinstance(operation, Clone):
        return file == operation.file
    starts = (operation.file, operation.page), (operation.other, operation.other_page)
    return any(
        file == of
        and first // folio <= page // folio <= (first + operation.pages - 1) // folio
        for of, first in starts
    )


def _is_busy(call: Call) -> bool:
    return isinstance(call.error, KernelError) and call.error.errno in _BUSY


def _listed(names: list[PageName]) -> str:
    return " and ".join(f"page {p} of file {f}" for f, p in sorted(set(names)))


def _refused_silently(case: Case, call: Call, operation: Dedupe) -> Iterator[Finding]:
    """Yield a dedupe of pinned pages that calls equal contents different."""
    if call.succeeded and call.result == 0 and _are_equal(case, call, operation):
        yield case.found(
            call,
            f"{operation} answers 0 though the contents are equal and a page may be "
            "pinned (should be shared, or refused by an error)",
        )


def _are_equal(case: Case, call: Call, operation: Dedupe) -> bool:
    """Tell whether both ranges surely held the same."""
    for offset in range(operation.pages):
        for word in range(case.oracle.words_per_page):
            where = (
                (operation.file, operation.page + offset),
                (operation.other, operation.other_page + offset),
            )
            values = {
                case.oracle.values(*name, word, call.asked, call.ended)
                for name in where
            }
            if len(values) > 1 or any(len(value) != 1 for value in values):
                return False
    return True


# --- SNAP-FALSEPOS ----------------------------------------------------------------


@rule(
    "SNAP-FALSEPOS",
    clause=Clause(
        DOCUMENT,
        "S21; folio_maybe_dma_pinned",
        "a page that only looks pinned, for its many references, may keep its file "
        "from being cloned, and does no other harm",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(
            "clone|dedupe",
            "get_user_pages(tracked)|get_user_pages_fast(tracked)",
        ),
        features=("small_limits",),
        absent_features=_TRACKED,
    ),
)
def looking_pinned_only_inhibits(case: Case) -> Iterator[Finding]:
    """Sharing pages that only look pinned is done or refused, and nothing is lost."""
    for call, operation in case.history.asked(Clone, Dedupe):
        names = _only_look_pinned(case, call)
        if not any(_is_in_reach(case, operation, name) for name in names):
            continue
        case.premise()
        if _is_stuck(case, call):
            yield case.found(
                call,
                f"{operation} waits for {call.blocked_on or 'something'} while "
                f"{_listed(names)} only looks pinned (should answer)",
            )
        files = set(files_of(operation))
        for loss in _losses(case):
            is_theirs = loss.owner in SHARING_OWNERS and loss.file in files
            if is_theirs and loss.call.asked > call.ended:
                yield case.found(
                    loss.call, f"{loss.sentence}: {_listed(names)} looked pinned"
                )


def _is_stuck(case: Case, call: Call) -> bool:
    """Tell whether a call had not answered, with nothing to wait for."""
    sample = case.history.sample_after(call.asked)
    return (
        sample is not None
        and sample.pending == {call.index}
        and not sample.parked
        and not is_hindered(case.history, sample.moment)
    )


def _only_look_pinned(case: Case, call: Call) -> list[PageName]:
    """Return the pages with as many plain references as a pin is worth, and no pin."""
    held = list(_held(case, call))
    pinned = {name for name, is_pin in held if is_pin}
    counts: dict[PageName, int] = {}
    for record in case.oracle.pins:
        for page in record.pages:
            is_over = record.maker.ended < call.asked and page.put_asked > call.asked
            if page.file_page is not None and is_over and record.is_certain:
                counts[page.file_page] = counts.get(page.file_page, 0) + 1
    worth = case.history.geometry.pin_bias
    return [n for n, count in counts.items() if count >= worth and n not in pinned]


def _losses(case: Case) -> list[Loss]:
    return [*lost_in_memory(case), *lost_on_disk(case)]


COST_RULES: tuple[Rule, ...] = (
    shared_pages_are_promised_blocks,
    only_pinned_files_are_refused,
    looking_pinned_only_inhibits,
)
