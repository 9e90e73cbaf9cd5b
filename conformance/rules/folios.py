"""Large folios: one reference count for several pages.

Who pins a page of a large folio holds all of it, as often as it was handed pages of
it. What is dirty, cut off or split is a part of it.
"""

from collections.abc import Iterator

from conformance.interface import (
    HOLE,
    Evict,
    GetUserPagesFast,
    Load,
    PowerCut,
    Read,
    Reclaim,
)
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.rules.accounts import call_of
from conformance.rules.evidence import Loss, lost_in_memory, lost_on_disk, rests
from conformance.rules.folio_cuts import cut_folios, is_written_since, when_back
from conformance.rules.folio_views import (
    Pinned,
    head_of,
    held_pages,
    mates,
    misplaced,
    pins_of_folios,
    strangers,
)
from conformance.rules.frames import shows_all_memory
from conformance.rules.pinned import shown_by
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    SERIES,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sightings import Parking, pages_granted, parking, place_of
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "REF-COMPOUND",
    clause=Clause(
        SERIES,
        "patch 4, gup_huge_pmd; S30",
        "of a large folio as many pins are taken as pages are handed out; they are put "
        "one by one, in any order",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), views=("head_frame",)),
)
def every_page_holds_its_folio(case: Case) -> Iterator[Finding]:
    """A large folio is held once for each page of it that was handed out and not put.

    Verified: what is counted exactly; that no page of it is somebody else's while it
    is held; that all of it is free in the end. Not verified: the count of references.
    """
    pinned = pins_of_folios(case)
    for _ in pinned:
        case.premise()
    if pinned:
        yield from _miscounted(case)
        yield from _taken_away(case, pinned)
        for loss in misplaced(case, _put_in_parts(pinned)):
            yield case.found(loss.call, f"{loss.sentence}, with a large folio pinned")
        yield from _not_freed(case)


@rule(
    "REF-STABLEHEAD",
    clause=Clause(
        KERNEL,
        "mm/gup.c, try_get_folio",
        "a page whose reference was taken without locks is asked again for its folio",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("get_user_pages_fast", "split"),
        views=("head_frame", "maybe_pinned"),
        stepping=True,
    ),
)
def the_head_is_looked_up_again(case: Case) -> Iterator[Finding]:
    """A folio that is split while GUP-fast takes a page of it does not mislead it."""
    for parked in parking(case):
        if not isinstance(parked.call.operation, GetUserPagesFast):
            continue
        for pinned, head in _split_meanwhile(case, parked):
            case.premise()
            yield from _held_instead(case, pinned, head)
            if not pinned.record.tracked:  # nothing but damage shows whom it holds
                yield from _taken_away(case, [pinned])
                for loss in misplaced(case, [pinned]):
                    sentence = f"{loss.sentence}; the folio was split meanwhile"
                    yield case.found(loss.call, sentence)


@rule(
    "DRT-COMPOUND",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, folio_mark_dirty; fs/iomap, ifs_set_range_dirty",
        "what is dirty of a large folio covers at least the page that was written",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("power_cut|evict|reclaim",), views=("head_frame",)),
)
def every_part_is_dirty_by_itself(case: Case) -> Iterator[Finding]:
    """What was written to a later page of a large folio is kept as that of the first.

    Where the first page has lost its data as well, another rule was broken.
    """
    if case.history.program.misuse:
        return
    losses = [*lost_in_memory(case), *lost_on_disk(case)]
    for look, name, head in _looks_at_tails(case):
        if _is_kept(case, losses, look, head):
            case.premise()
            for loss in losses:
                is_there = loss.call is look and (loss.file, loss.page) == name
                if is_there and loss.writer is not None and loss.kind != "other":
                    yield case.found(
                        look, f"{loss.sentence}; {place_of(head)}, too, was written"
                    )


@rule(
    "INV-SPLIT",
    clause=Clause(
        DOCUMENT,
        "S4, S18; Linux mm/truncate.c, truncate_inode_partial_folio",
        "a pinned folio cannot be split; the part that was cut off is zero when the "
        "file has it again",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "truncate|punch_hole"), views=("head_frame",)),
)
def what_was_cut_off_stays_zero(case: Case) -> Iterator[Finding]:
    """What a device writes to the cut part of a pinned folio never shows in the file.

    A stack may keep the folio; then what is written after the file has grown over it
    again is the file's.
    """
    losses = [*lost_in_memory(case), *lost_on_disk(case)]
    for cut, name in cut_folios(case):
        back = when_back(case, cut, name)
        if back is None:
            continue
        case.premise()
        for loss in losses:
            is_there = (loss.file, loss.page) == name and loss.call.asked > back
            if is_there and not is_written_since(case, loss, back):
                yield case.found(
                    loss.call, f"{loss.sentence}; it was cut off by {cut.operation}"
                )


# --- who is held ------------------------------------------------------------------


def _miscounted(case: Case) -> Iterator[Finding]:
    """Yield the first exact count of pins that is not that of the pages handed out."""
    for sample in rests(case.history):
        counts: dict[int, int] = {}
        for pinned in held_pages(case, sample.moment):
            view = pinned.shown_at(sample)
            if view is None or view.head_frame is None:
                break
            head = view.head_frame
            counts[head] = counts.get(head, 0) + pinned.record.tracked
        else:
            for view in (*sample.pages.values(), *sample.pins.values()):
                due = counts.get(-1 if view.head_frame is None else view.head_frame, 0)
                if view.pin_count is not None and view.pin_count != due:
                    yield case.found(
                        call_of(case, sample),
                        f"a large folio of which {due} page(s) are pinned has a count "
                        f"of {view.pin_count} pin(s)",
                    )
                    return


def _taken_away(case: Case, pages: list[Pinned]) -> Iterator[Finding]:
    """Yield the pages that are held, and somebody else's."""
    for sample in case.history.samples:
        for pinned in pages:
            for who in strangers(case, sample, pinned):
                yield case.found(
                    call_of(case, sample),
                    f"the memory of {pinned.label}, which is not put, is that of {who}",
                )


def _put_in_parts(pages: list[Pinned]) -> list[Pinned]:
    """Return the pages of pins of which more than one page was granted."""
    return [pinned for pinned in pages if len(pinned.record.pages) > 1]


def _not_freed(case: Case) -> Iterator[Finding]:
    """Yield the first sample where nobody has any page, and not all are free."""
    samples = [s for s in rests(case.history) if not s.vmstat.nr_writeback]
    if not samples or not shows_all_memory(case.history):
        return
    total = samples[0].vmstat.nr_free_pages
    for sample in samples:
        free = sample.vmstat.nr_free_pages
        is_empty = all(view.is_cached is False for view in sample.pages.values())
        is_idle = is_empty and not held_pages(case, sample.moment)
        if total is None or (sample is samples[0] and not is_idle):
            return
        if is_idle and sample.pages and free != total:
            yield case.found(
                call_of(case, sample),
                f"{free} page(s) are free when nobody has any (should be {total})",
            )
            return


# --- splits -----------------------------------------------------------------------


def _split_meanwhile(
    case: Case, parked: Parking
) -> Iterator[tuple[Pinned, PageName | None]]:
    """Yield the granted pages whose folio was split while the call was stopped.

    With each comes the page that was the first of the folio.
    """
    call, before = parked.call, parked.samples[0]
    after = case.history.sample_after(call.ended)
    record = case.oracle.pin_of(call)
    if record is None or after is None or not record.is_certain:
        return
    operation = call.operation
    assert isinstance(operation, GetUserPagesFast)
    for number, name in enumerate(pages_granted(case, call, operation)):
        was, now = before.pages.get(name), after.pages.get(name)
        if was is None or now is None or not mates(before, name):
            continue
        if was.frame == now.frame and was.head_frame != now.head_frame:
            yield Pinned(record, number, record.pages[number]), head_of(before, name)


def _held_instead(
    case: Case, pinned: Pinned, head: PageName | None
) -> Iterator[Finding]:
    """Yield that the first page of a folio is pinned for another that was in it."""
    for sample in rests(case.history):
        own = pinned.shown_at(sample)
        view = None if head is None else sample.pages.get(head)
        if head is None or own is None or view is None:
            continue
        nobody = case.oracle.pins_outstanding(*head, sample.moment) == (0, 0)
        is_wrong = nobody and not mates(sample, head) and view.maybe_pinned
        if is_wrong and own.maybe_pinned is False and pinned.record.tracked:
            yield case.found(
                call_of(case, sample),
                f"maybe_pinned is False for {pinned.label}, but True for "
                f"{place_of(head)}, which nobody has pinned",
            )
            return


# --- dirt -------------------------------------------------------------------------


def _looks_at_tails(case: Case) -> Iterator[tuple[Call, PageName, PageName]]:
    """Yield the looks at pages that were later pages of a dirty folio, and its first.

    At the disk, or at memory after the page may have been dropped from it.
    """
    tails: dict[PageName, tuple[PageName, Moment]] = {}
    for sample in case.history.samples:
        for name, view in sample.pages.items():
            head = head_of(sample, name) if view.is_dirty else None
            if head is not None and head != name:
                tails.setdefault(name, (head, sample.moment))
    for call, operation in case.history.asked(PowerCut, Load, Read):
        for name, (head, since) in tails.items():
            is_meant = isinstance(operation, PowerCut) or (
                name == _looked_at(case, call)
                and _is_dropped(case, name[0], since, call.asked)
            )
            if is_meant and call.succeeded and call.asked > since:
                yield call, name, head


def _is_dropped(case: Case, file: int, since: Moment, end: Moment) -> bool:
    """Whether clean pages of a file were to be dropped in between."""
    return any(
        operation.file == file and since < call.asked < end
        for call, operation in case.history.asked(Evict, Reclaim)
    )


def _looked_at(case: Case, call: Call) -> PageName | None:
    operation = call.operation
    if isinstance(operation, Read):
        return operation.file, operation.page
    return case.oracle.file_page(call)


def _is_kept(case: Case, losses: list[Loss], look: Call, head: PageName) -> bool:
    """Whether the first page of a folio shows data, and nothing of it is lost."""
    if any((loss.file, loss.page) == head for loss in losses):
        return False
    if isinstance(look.operation, PowerCut):
        size = case.history.geometry.words_per_page
        words = [shown_by(look, head, word, size) for word in range(size)]
        return any(word not in {None, HOLE} for word in words)
    return any(
        call.succeeded and _looked_at(case, call) == head and _shows_data(call)
        for call, _ in case.history.asked(Load, Read)
    )


def _shows_data(call: Call) -> bool:
    words = call.result if isinstance(call.result, tuple) else (call.result,)
    return any(word not in {None, HOLE} for word in words)


RULES: tuple[Rule, ...] = (
    every_page_holds_its_folio,
    the_head_is_looked_up_again,
    every_part_is_dirty_by_itself,
    what_was_cut_off_stays_zero,
)
