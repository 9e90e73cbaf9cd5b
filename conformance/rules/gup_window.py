"""The window of get_user_pages: between looking at a page table and taking the page.

GUP-fast holds no lock: it reads an entry, takes the page, and reads the entry again.
Slow GUP takes a fault, and then walks the page table again. In between writeback may
clean the page. Whoever then grants it by what was read before hands out, for writing,
a page that writeback believes to be stable: S24 to the letter.

Verified, where calls can be parked in the window: a page that was cleaned there, and
claimed not to be pinned then, is not granted without a new fault; what a back-off
leaves. Not verified: entries that change for another reason than cleaning.
"""

from collections.abc import Iterator

from conformance.interface import (
    Feature,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Sync,
    Writeback,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.evidence import at_rest
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
    is_same_writeback,
    mkwrite_did_not_run,
    pages_asked,
    pages_granted,
    parking,
    place_of,
    view_of,
)
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "GWB-FAST-RECHECK",
    clause=Clause(
        DOCUMENT,
        "S24, S25",
        "GUP-fast reads the page table entry again when it holds the page; if it has "
        "changed, the page goes back and the slow path decides",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",), views=("maybe_pinned",), stepping=True
    ),
)
def fast_path_looks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after GUP-fast read its PTE is not granted by that PTE."""
    yield from _granted_behind_writeback(case, "gup_fast.pte_read")


@rule(
    "GWB-FAST-ORDER",
    clause=Clause(
        DOCUMENT,
        "S24, S25; Linux mm/gup.c, try_grab_folio_fast",
        "the pin counts before the page table entry is read again, so that either "
        "writeback sees the pin or GUP-fast sees the changed entry",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",), views=("maybe_pinned",), stepping=True
    ),
)
def fast_path_counts_before_it_looks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after GUP-fast's second look was seen to be pinned."""
    for point in ("gup_fast.pte_checked", "gup_fast.reference_taken"):
        yield from _granted_behind_writeback(case, point)


@rule(
    "GWB-SLOW-RETRY",
    clause=Clause(
        DOCUMENT,
        "S25; Linux mm/gup.c, __get_user_pages",
        "after the fault slow GUP walks the page table again and takes what it finds "
        "there, faulting anew until the entry is writable",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), views=("maybe_pinned",), stepping=True),
)
def slow_path_walks_again(case: Case) -> Iterator[Finding]:
    """A page that is cleaned after the fault of slow GUP is not granted without one."""
    yield from _granted_behind_writeback(case, "gup_slow.faulted")


def _granted_behind_writeback(case: Case, point: str) -> Iterator[Finding]:
    """Yield the pages granted that were cleaned, unpinned, while the call was parked.

    That the page claims not to be pinned while it is cleaned makes it sure that the
    writeback did not come too late to see the pin.
    """
    for parked in parking(case):
        call, operation = parked.call, parked.call.operation
        if parked.at != point or not isinstance(operation, GetUserPages):
            continue
        if not _may_rely(operation, point) or not _is_cleaned(case, parked):
            continue
        case.premise()
        after = case.history.sample_after(call.ended)
        for place, name in enumerate(pages_granted(case, call, operation)):
            trouble = after and _trouble(case, name, parked.samples[-1], after)
            if trouble:
                yield case.found(
                    call,
                    f"page {place} of pin {operation.pin} is {place_of(name)}, which "
                    f"{trouble}, while the call was at {point} (should be granted "
                    "after a new fault)",
                )


def _may_rely(operation: GetUserPages, point: str) -> bool:
    """Whether writeback and the call must take note of each other.

    Nobody can see a plain reference; its holder has to look for himself.
    """
    is_taken = point in {"gup_fast.pte_checked", "gup_fast.reference_taken"}
    return operation.write and (operation.tracked or not is_taken)


def _is_cleaned(case: Case, parked: Parking) -> bool:
    cleaners = case.history.asked(Fsync, Sync, Writeback)
    return any(parked.covers(call) for call, _ in cleaners)


def _trouble(case: Case, name: PageName, first: Sample, last: Sample) -> str | None:
    """Return what is wrong with granting a page between two samples, or None."""
    before, after = view_of(first, name), view_of(last, name)
    if before is None or before.maybe_pinned is not False:
        return None
    if is_same_writeback(case, name, first, last):
        return "went under writeback, and still is"
    is_silent = mkwrite_did_not_run(first, last, name[0])
    if is_clean(before) and is_clean(after) and is_silent:
        return "was cleaned, and is pinned for writing without page_mkwrite"
    return None


@rule(
    "GWB-BACKOFF-CLEAN",
    clause=Clause(
        KERNEL,
        "mm/gup.c, gup_fast_pte_range",
        "a back-off leaves no reference, no entry in the result and no dirty page, "
        "and ends the fast walk there",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast",),
        views=("maybe_pinned",),
        counters=("nr_gup_fast_page_backoffs",),
    ),
)
def backoff_leaves_nothing(case: Case) -> Iterator[Finding]:
    """A back-off of GUP-fast leaves nothing behind but counters."""
    for call, operation in case.history.asked(GetUserPagesFast):
        before = case.history.sample_before(call.asked)
        after = case.history.sample_after(call.ended)
        if before is None or after is None or not _backoffs(before, after):
            continue
        case.premise()
        yield from _wrong_entries(case, call, operation, after)
        for name in pages_asked(case, call, operation):
            yield from _stray_reference(case, call, name, before)
            yield from _stray_dirt(case, call, name, after)


def _backoffs(before: Sample, after: Sample) -> int:
    was = before.vmstat.nr_gup_fast_page_backoffs
    now = after.vmstat.nr_gup_fast_page_backoffs
    return 0 if was is None or now is None else now - was


def _wrong_entries(
    case: Case, call: Call, operation: GetUserPages, after: Sample
) -> Iterator[Finding]:
    """Yield pages of the result that nothing holds, or that are there twice."""
    frames: dict[int, int] = {}
    for place, _name in enumerate(pages_granted(case, call, operation)):
        view = after.pins.get((operation.pin, place))
        if view is None:
            continue
        whose = f"page {place} of pin {operation.pin}"
        if view.maybe_pinned is False and operation.tracked:
            yield case.found(
                call,
                f"{whose} was granted after a back-off, but maybe_pinned is False "
                "(should be True)",
            )
        if view.frame is not None and operation.write:
            twin = frames.setdefault(view.frame, place)
            if twin != place:
                yield case.found(
                    call,
                    f"{whose} is the same as page {twin}, frame {view.frame}, after a "
                    "back-off (should be a page of its own)",
                )


def _is_unpinned(case: Case, name: PageName, moment: Moment) -> bool:
    """Whether nobody has a page pinned, nor another page of what may be its folio."""
    file, page = name
    count = case.history.geometry.folio_pages
    first = page - page % count
    return all(
        case.oracle.pins_outstanding(file, part, moment) == (0, 0)
        for part in range(first, first + count)
    )


def _stray_reference(
    case: Case, call: Call, name: PageName, before: Sample
) -> Iterator[Finding]:
    """Yield a page that stays pinned when nobody has it pinned any more."""
    was = view_of(before, name)
    is_sure = Feature.SMALL_LIMITS not in case.history.features
    unpinned = _is_unpinned(case, name, before.moment)
    if was is None or was.maybe_pinned is not False or not is_sure or not unpinned:
        return
    for sample in case.history.samples:
        if sample.moment < call.ended or not at_rest(sample):
            continue
        if not _is_unpinned(case, name, sample.moment):
            continue
        view = view_of(sample, name)
        if view is not None and view.maybe_pinned and view.frame == was.frame:
            yield case.found(
                call,
                f"{place_of(name)} has no pin, but maybe_pinned is True after a "
                "back-off (should be False)",
            )
        return


def _stray_dirt(
    case: Case, call: Call, name: PageName, after: Sample
) -> Iterator[Finding]:
    """Yield a page that was made dirty by a call that did not get it."""
    before = case.history.sample_before(call.ended)
    if (
        before is None
        or (call.succeeded and call.result)
        or before.pending - {call.index}
    ):
        return
    view = view_of(after, name)
    became_dirty = view is not None and view.is_dirty is True
    is_silent = mkwrite_did_not_run(before, after, name[0])
    if is_clean(view_of(before, name)) and became_dirty and is_silent:
        yield case.found(
            call,
            f"{place_of(name)} was not granted, but is dirty after a back-off (should "
            "be clean)",
        )


RULES: tuple[Rule, ...] = (
    fast_path_looks_again,
    fast_path_counts_before_it_looks_again,
    backoff_leaves_nothing,
    slow_path_walks_again,
)
