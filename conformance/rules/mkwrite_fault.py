"""page_mkwrite against truncate, punch_hole, the end of the file, and freeze.

Between the moment that a fault finds a page and the moment that it maps it, the page
may leave its file, and the filesystem may come to rest.

Verified: what files and memory show after an access and a truncate (or punch_hole)
overlapped; pages beyond the end of the file; accesses while the filesystem is frozen.
Not verified: which of two overlapping calls came first.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    Evict,
    Freeze,
    GetUserPages,
    Load,
    PowerCut,
    PunchHole,
    Read,
    Reclaim,
    Store,
    Thaw,
    Truncate,
    Umount,
)
from conformance.interface.events import (
    PageFreed,
    PageMkwriteReturned,
    PageOrphaned,
    PteChanged,
)
from conformance.oracle.history import INFINITY, Call, Moment, Sample
from conformance.rules.evidence import (
    found_losses,
    lost_in_memory,
    lost_on_disk,
    rests,
)
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
    Access,
    PageName,
    claims_clean,
    is_writer,
    pages_asked,
    pages_written,
    samples_around,
)
from conformance.verdicts import Kind, Level

_TRACKED = ("no_dirty_tracking",)
_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "MKW-RETLOCK",
    clause=Clause(
        KERNEL,
        "do_page_mkwrite",
        "page_mkwrite hands over the page locked, or its caller locks it and looks "
        "again whether it still belongs to the file",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}",),
        absent_features=_TRACKED,
        stepping=True,
        events=True,
    ),
)
def orphans_are_not_mapped(case: Case) -> Iterator[Finding]:
    """A page that left its file after page_mkwrite is not made writable."""
    prepared: set[int] = set()
    orphans: set[int] = set()
    for moment, event in case.history.events:
        match event:
            case PageMkwriteReturned(frame=frame, succeeded=True):
                prepared.add(frame)
            case PageOrphaned(frame=frame):
                orphans.add(frame)
            case PageFreed(frame=frame):
                orphans.discard(frame)
                prepared.discard(frame)
            case PteChanged(frame=int(frame), is_writable=True) if frame in prepared:
                yield from _mapped(case, moment, frame, is_orphan=frame in orphans)
            case _:
                pass


def _mapped(
    case: Case, moment: Moment, frame: int, *, is_orphan: bool
) -> Iterator[Finding]:
    if is_orphan or _detaching_at(case, moment) is not None:
        case.premise()
    if is_orphan:
        yield _orphan_mapped(case, moment, frame)


def _orphan_mapped(case: Case, moment: Moment, frame: int) -> Finding:
    culprits = [
        call
        for call, _ in case.history.asked(Store, GetUserPages)
        if call.asked <= moment <= call.ended
    ]
    return case.found(
        culprits[0] if culprits else None,
        f"frame {frame} left its file after page_mkwrite and was made writable "
        "(should be looked at again under its lock, and not be mapped)",
    )


def _detaching_at(case: Case, moment: Moment) -> Call | None:
    """Return a call in progress that may take a page from its file."""
    kinds = (Truncate, PunchHole, Evict, Reclaim, Umount)
    for call, _ in case.history.asked(*kinds):
        if call.asked <= moment <= call.ended:
            return call
    return None


@rule(
    "MKW-TRUNC",
    clause=Clause(
        KERNEL,
        "Documentation/filesystems/locking.rst, page_mkwrite",
        "page_mkwrite makes sure, under the page lock, that the page is still this "
        "page of the file and below its end, or has the fault tried again",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}", "truncate|punch_hole"),
        absent_features=_TRACKED,
    ),
)
def removed_pages_stay_removed(case: Case) -> Iterator[Finding]:
    """A page that is cut off while it is accessed leaves nothing in any file."""
    for call, _ in case.history.asked(Store, GetUserPages):
        if not is_writer(case, call):
            continue
        for name in pages_asked(case, call):
            since = _when_cut_beside(case, call, name)
            if since is None:
                continue
            case.premise()
            yield from _beyond_end(case, call, name, since)
            yield from _losses_since(case, name, since)


def _when_cut_beside(case: Case, call: Call, name: PageName) -> Moment | None:
    """Return when an access and a cut of its page beside it had both ended."""
    ends = [
        max(cut.end, call.ended)
        for cut in case.oracle.detaches.of(name)
        if cut.is_cut and cut.begin < call.ended and call.asked < cut.end
    ]
    return None if not ends or max(ends) == INFINITY else max(ends)


def _may_be_kept(case: Case, page: int, size: int) -> bool:
    """Whether a page may be part of a pinned folio that was left whole by the cut."""
    count = case.history.geometry.folio_pages
    return count > 1 and size > (page - page % count) * case.oracle.words_per_page


def _beyond_end(
    case: Case, call: Call, name: PageName, since: Moment
) -> Iterator[Finding]:
    file, page = name
    for sample in rests(case.history):
        view = sample.pages.get(name)
        if sample.moment < since or view is None:
            continue
        first = page * case.oracle.words_per_page
        sizes = case.oracle.sizes(file, sample.moment, sample.moment)
        is_dirty = view.is_dirty and not _may_be_kept(case, page, max(sizes))
        if max(sizes) <= first and (is_dirty or view.writable_ptes):
            what = "dirty" if is_dirty else "writable through a PTE"
            yield case.found(
                call,
                f"page {page} of file {file} is {what}, and the file ends at word "
                f"{max(sizes)} (should have been revalidated under its lock)",
            )
            return


def _losses_since(case: Case, name: PageName, since: Moment) -> Iterator[Finding]:
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        is_near = loss.file != name[0] or loss.page == name[1]
        if loss.call.asked > since and is_near:
            yield case.found(loss.call, loss.sentence)


@rule(
    "MKW-RANGE",
    clause=Clause(
        KERNEL,
        "block_page_mkwrite, writeback of the last page",
        "of the last page of a file only what lies below its end is the file's",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("store|truncate",)),
)
def nothing_beyond_the_end(case: Case) -> Iterator[Finding]:
    """What is stored beyond the end of a file changes neither content nor size."""
    wanted = (Load, Read, PowerCut)
    looks = [c.asked for c, _ in case.history.asked(*wanted) if c.succeeded]
    for call, _ in case.history.asked(Store, Truncate):
        is_looked_at = call.succeeded and max(looks, default=-1) > call.ended
        if is_looked_at and _is_beyond_end(case, call):
            case.premise()
    yield from found_losses(case, "MKW-RANGE")


def _is_beyond_end(case: Case, call: Call) -> bool:
    """Tell whether a store lies beyond the end, or an end lies inside a page."""
    operation, size = call.operation, case.oracle.words_per_page
    if isinstance(operation, Truncate):
        return operation.words % size > 0
    name = case.oracle.file_page(call)
    if name is None or not isinstance(operation, Store):
        return False
    sizes = case.oracle.sizes(name[0], call.asked, call.ended)
    return max(sizes) <= name[1] * size + operation.word


@rule(
    "MKW-FREEZE",
    clause=Clause(
        KERNEL,
        "sb_start_pagefault",
        "page_mkwrite waits while the filesystem is frozen, so that what is copied "
        "from the disk meanwhile is all there is",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(f"store|{_GUP}", "freeze"),
        views=("is_dirty",),
        absent_features=_TRACKED,
    ),
)
def frozen_pages_stay_clean(case: Case) -> Iterator[Finding]:
    """No clean page is written to through a mapping while the filesystem is frozen."""
    for begin, end in _freezes(case):
        kinds = (Store, GetUserPages, DirectRead, DeviceTransfer)
        for call, _ in case.history.asked(*kinds):
            if not begin < call.asked < end or not is_writer(case, call):
                continue
            before = case.history.sample_before(call.asked)
            if before is None or before.moment < begin:
                continue
            yield from _written_while_frozen(case, call, before, end)


def _freezes(case: Case) -> Iterator[tuple[Moment, Moment]]:
    """Yield from when to when the filesystem was certainly frozen."""
    for freeze, _ in case.history.asked(Freeze):
        if freeze.succeeded:
            thaws = [t.asked for t, _ in case.history.asked(Thaw)]
            later = [asked for asked in thaws if asked > freeze.asked]
            yield freeze.ended, min(later, default=INFINITY)


def _written_while_frozen(
    case: Case, call: Call, before: Sample, end: Moment
) -> Iterator[Finding]:
    for name in pages_written(case, call):
        if not claims_clean(case, before.pages.get(name), before.moment):
            continue
        case.premise()
        around = samples_around(case, call) if call.ended < end else None
        if around is None or not call.succeeded:
            continue
        is_driver = isinstance(call.operation, DirectRead | DeviceTransfer)
        if is_driver or Access(call, name, *around).shows_write:
            yield case.found(
                call,
                f"page {name[1]} of file {name[0]} was clean in a frozen filesystem "
                f"and {call.operation.name} wrote to it (should wait for thaw)",
            )


FAULT_RULES: tuple[Rule, ...] = (
    orphans_are_not_mapped,
    removed_pages_stay_removed,
    nothing_beyond_the_end,
)
FREEZE_RULES: tuple[Rule, ...] = (frozen_pages_stay_clean,)
