"""Pinned pages stay where they are: zones, migration, merging, stealing, charges.

Interface:
  * `MOVE_RULES` are the end of the chapter on long-term pins.
"""

from collections.abc import Iterator

from conformance.interface import (
    GetUserPages,
    Merge,
    Migrate,
    Operation,
    Pageout,
    Reclaim,
    Split,
    Steal,
)
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Sample
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.detached import was_cleaned
from conformance.rules.evidence import at_rest, lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
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
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_LONGTERM = "get_user_pages(longterm)|get_user_pages_fast(longterm)"
_MOVERS: tuple[type[Operation], ...] = (Migrate, Merge, Pageout, Reclaim, Split)
"""Operations that put other physical pages in the place of those that are there."""


@rule(
    "LT-ZONE",
    clause=Clause(
        KERNEL,
        "mm/gup.c, check_and_migrate_movable_folios",
        "what is pinned for long is moved out of the movable zone first",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_LONGTERM,),
        observations=("pinned_page_view",),
        views=("is_movable",),
    ),
)
def longterm_pins_are_not_movable(case: Case) -> Iterator[Finding]:
    """No page behind a long-term pin is in the movable zone."""
    for record, slot, sample in _pins_seen(case):
        is_movable = sample.pins[record.handle, slot].is_movable
        if not record.longterm or is_movable is None:
            continue
        case.premise()
        if is_movable:
            yield case.found(
                record.maker,
                f"page {slot} of {record.maker.operation} is in the movable zone "
                "(should have been moved out of it)",
            )
            return


@rule(
    "LT-NOMOVE",
    clause=Clause(
        DOCUMENT,
        "S21",
        "what replaces a page - migration, merging, swapping - leaves pinned pages "
        "where they are",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "migrate|merge|pageout|reclaim|split")),
)
def pinned_pages_stay(case: Case) -> Iterator[Finding]:
    """A pinned page stays the page that its mapping or its file shows."""
    yield from _other_frames(case)
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        mover = _mover_before(case, loss)
        if mover is not None:
            what = f"{mover.operation} found the page pinned"
            yield case.found(loss.call, f"{loss.sentence}: {what}")


@rule(
    "LT-MEMLOCK",
    clause=Clause(
        KERNEL,
        "io_uring/rsrc.c, io_buffer_account_pin",
        "pages pinned for long are charged to who asked for them, and the charge is "
        "taken back when they are put",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(operations=(_LONGTERM,), counters=("pinned_vm",)),
)
def longterm_pins_are_charged(case: Case) -> Iterator[Finding]:
    """There is a charge while, and only while, pages are pinned for long."""
    charges = [
        (sample, sample.vmstat.pinned_vm)
        for sample in case.history.samples
        if sample.vmstat.pinned_vm is not None and at_rest(sample)
    ]
    asked = any(o.longterm for _, o in case.history.asked(GetUserPages))
    if not charges or not asked or case.history.program.misuse:
        return
    _, base = charges[0]
    for sample, charge in charges:
        least, most = _longterm_pages(case, sample)
        if most:
            case.premise()
        is_wrong = (charge <= base) if least else (charge != base and not most)
        if is_wrong:
            call = case.history.calls[sample.after] if sample.after >= 0 else None
            wanted = f"more than {base}" if least else f"{base}"
            yield case.found(
                call,
                f"{charge} page(s) are charged while {least} are pinned for long "
                f"(should be {wanted})",
            )
            return


@rule(
    "INV-STEAL",
    clause=Clause(
        DOCUMENT,
        "S9, S21; Linux fs/splice.c, page_cache_pipe_buf_try_steal",
        "a page that is pinned is not taken from its file, and an attempt to take it "
        "changes nothing",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "steal")),
)
def pinned_pages_are_not_stolen(case: Case) -> Iterator[Finding]:
    """Stealing a pinned page fails, and leaves the page as it was."""
    for call, operation in case.history.asked(Steal):
        name = operation.file, operation.page
        if not _is_pinned(case, name, call):
            continue
        case.premise()
        yield from _taken(case, call, name)
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        thief = _mover_before(case, loss, (Steal,))
        if thief is not None:
            what = f"{thief.operation} found the page pinned"
            yield case.found(loss.call, f"{loss.sentence}: {what}")


# --- what is looked at ----------------------------------------------------------------


def _pins_seen(case: Case) -> Iterator[tuple[PinRecord, int, Sample]]:
    """Yield each page of each pin with each sample that shows it."""
    if case.history.program.misuse:
        return
    for record in case.oracle.pins:
        for slot, page in enumerate(record.pages if record.is_certain else ()):
            begin, end = record.maker.ended, page.put_asked
            for sample in case.history.samples_between(begin, end):
                if (record.handle, slot) in sample.pins:
                    yield record, slot, sample


def _other_frames(case: Case) -> Iterator[Finding]:
    """Yield pins whose physical page is not the one that is shown any more."""
    for record, slot, sample in _pins_seen(case):
        movers = list(_movers_between(case, record, sample))
        shown = _frame_shown(case, record, slot, sample)
        frame = sample.pins[record.handle, slot].frame
        if not movers or not record.tracked or shown is None or frame is None:
            continue
        case.premise()
        if shown != frame:
            yield case.found(
                movers[-1],
                f"page {slot} of {record.maker.operation} was replaced while pinned: "
                f"physical page {shown} is in the place of {frame}",
            )
            return


def _movers_between(case: Case, record: PinRecord, sample: Sample) -> Iterator[Call]:
    for call, _ in case.history.asked(*_MOVERS):
        if record.maker.asked < call.asked and call.ended < sample.moment:
            yield call


def _frame_shown(
    case: Case, record: PinRecord, slot: int, sample: Sample
) -> int | None:
    """Return the physical page that file or mapping show for a pinned page.

    None: it is not told, or the page may have left it.
    """
    page = record.pages[slot]
    if page.name is None or not _is_attached(case, record, page, sample):
        return None
    if page.file_page is not None:
        view = sample.pages.get(page.file_page)
        return view.frame if view is not None and view.is_cached else None
    if not record.write or record.maker.operation.name == "device_transfer":
        return None
    operation = record.maker.operation
    assert isinstance(operation, GetUserPages)
    key = (record.process, record.mapping, operation.page + slot)
    span = case.oracle.layout.find(record.process, record.mapping, record.maker.asked)
    view = sample.mapped.get(key)
    is_there = span is not None and span.remove_asked > sample.moment
    return view.frame if view is not None and is_there else None


def _is_attached(
    case: Case, record: PinRecord, page: PinnedPage, sample: Sample
) -> bool:
    assert page.name is not None
    moment = sample.moment
    fate = case.oracle.detaches.fate(page.name, record.maker, moment, moment)
    return fate is Fate.ATTACHED


def _mover_before(
    case: Case, loss: Loss, kinds: tuple[type[Operation], ...] = (Migrate, Merge, Split)
) -> Call | None:
    """Return what might have replaced the page that lost data were written through."""
    record = None if loss.writer is None else case.oracle.pin_of(loss.writer)
    if loss.writer is None or record is None or not record.tracked:
        return None
    if Steal not in kinds and _was_cleaned(case, record, loss.writer):
        return None
    put = max(page.put_asked for page in record.pages)
    return next(
        (
            call
            for call, _ in case.history.asked(*kinds)
            if record.maker.asked < call.asked < put and call.ended < loss.call.asked
        ),
        None,
    )


def _was_cleaned(case: Case, record: PinRecord, writer: Call) -> bool:
    return any(was_cleaned(case, (record, page), writer) for page in record.pages)


def _longterm_pages(case: Case, sample: Sample) -> tuple[int, int]:
    """Return how many pages surely are, and how many may be, pinned for long."""
    least = most = 0
    for record in case.oracle.pins:
        for page in record.pages if record.longterm and record.tracked else ():
            may_be = record.maker.asked < sample.moment < page.put_ended
            is_surely = record.is_certain and sample.moment < page.put_asked
            most += may_be
            least += may_be and is_surely and record.maker.ended < sample.moment
    return least, most


def _is_pinned(case: Case, name: PageName, call: Call) -> bool:
    """Tell whether a page of a file surely was pinned while a call took."""
    end = min(call.ended, case.history.now)
    least = min(
        case.oracle.pins_outstanding(*name, moment)[0] for moment in (call.asked, end)
    )
    return least > 0


def _taken(case: Case, call: Call, name: PageName) -> Iterator[Finding]:
    """Yield what a theft did to a page that was pinned all the time."""
    before = case.history.sample_before(call.asked)
    after = case.history.sample_after(call.ended)
    was = before.pages.get(name) if before is not None else None
    now = after.pages.get(name) if after is not None else None
    if was is None or now is None or not was.is_cached:
        return
    where = f"page {name[1]} of file {name[0]}"
    if now.is_cached is False:
        yield case.found(call, f"{where} was taken though it is pinned")
    elif was.has_buffers and now.has_buffers is False:
        yield case.found(call, f"{where} lost its buffers though it is pinned")


MOVE_RULES: tuple[Rule, ...] = (
    longterm_pins_are_not_movable,
    pinned_pages_stay,
    longterm_pins_are_charged,
    pinned_pages_are_not_stolen,
)
