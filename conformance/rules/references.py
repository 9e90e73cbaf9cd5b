"""References and pins: what get_user_pages takes, and what a put gives back."""

from collections import Counter
from collections.abc import Iterator

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    Feature,
    Fsync,
    GetUserPages,
    PageView,
    PutPage,
    PutUserPage,
    PutUserPages,
    Sync,
)
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Sample
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules import requests
from conformance.rules.accounts import (
    DRIVERS,
    Spell,
    call_of,
    change_due,
    changes_held,
    due,
    holders,
    is_counted,
    spells,
)
from conformance.rules.evidence import lost_in_memory, lost_on_disk, rests
from conformance.rules.rule import (
    DOCUMENT,
    SERIES,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Binds, Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_COUNTER = "nr_gup_pages_returned|nr_foll_pin_released"
_REFERENCES_MAX = 64
"""More than the page cache, page tables and transient users of one page hold."""

# --- balance --------------------------------------------------------------------


@rule(
    "REF-BALANCE",
    clause=Clause(
        DOCUMENT,
        "S30",
        "what get_user_pages got is put once by the call that belongs to it",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(
        operations=("direct_read|direct_write|device_transfer|device_complete",),
        counters=(_COUNTER,),
    ),
)
def drivers_put_what_they_get(case: Case) -> Iterator[Finding]:
    """Each page that a driver of the stack gets is put once, by the matching call."""
    if case.history.program.misuse:
        return
    for spell in spells(case.history):
        driven = [call for call in spell.calls if _is_driven(call)]
        if not driven or spell.has(GetUserPages):
            continue  # what the program's own calls did is for the counters' rules
        case.premise()
        least, most = change_due(case, spell)
        for got in changes_held(spell):
            if not least <= got <= most:
                yield case.found(
                    driven[-1],
                    f"{driven[-1].operation} left the pins counted changed by {got} "
                    f"(should be {due(least, most)})",
                )
        yield from _strayed(case, spell, driven[-1])


@rule(
    "REF-NOTINTERCHANGEABLE",
    clause=Clause(
        DOCUMENT,
        "S30; patches 1 and 4 of the series",
        "a pin is put as a pin, and a reference as a reference",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(operations=(_GUP,), views=("refcount",)),
)
def nothing_stays_behind(case: Case) -> Iterator[Finding]:
    """When all that was got of a page is put, nothing of it stays in its count."""
    if not _is_orderly(case) or not _is_biased(case):
        return
    users = [c for c, _ in case.history.asked(GetUserPages) if c.answered is not None]
    users += [c for c in case.history.calls if _is_driven(c) and c.was_asked]
    first = min((call.ended for call in users), default=None)
    seen: set[PageName] = set()
    for sample in rests(case.history):
        if first is None or sample.moment < first:
            continue
        for name, view in _unheld(case, sample):
            case.premise()
            if _is_stray(case, view) and name not in seen:
                seen.add(name)
                yield case.found(
                    call_of(case, sample),
                    f"page {name[1]} of file {name[0]} is held by nobody, but its "
                    f"count is {view.refcount} (should be small)",
                )


def _is_orderly(case: Case) -> bool:
    """Whether each reference was put as what it is, or refused to be put otherwise."""
    if not case.history.program.misuse:
        return True
    for call, operation in case.history.asked(PutPage, PutUserPage, PutUserPages):
        record = case.oracle.pin_of(call)
        if record is None or call.refused:
            continue
        is_mixed = isinstance(operation, PutPage) is record.tracked
        pages = getattr(operation, "pages", None)
        if is_mixed or (pages is not None and pages < 0):
            return False
    pages_put = [page for record in case.oracle.pins for page in record.pages]
    return all(len(page.puts) < _TWICE for page in pages_put)


_TWICE = 2


@rule(
    "REF-BIAS",
    clause=Clause(SERIES, "patch 4", "each pin adds the bias to the reference count"),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP,), views=("refcount",), features=(Feature.SMALL_LIMITS.value,)
    ),
)
def each_pin_adds_the_bias(case: Case) -> Iterator[Finding]:
    """Each pin adds the bias, neither more nor less, to the reference count."""
    if case.history.program.misuse:
        return
    bias = case.history.geometry.pin_bias
    for sample in rests(case.history):
        for held, view in _held_pages(case, sample):
            pins = sum(record.tracked for record, _ in held)
            if not pins or view.refcount is None or view.refcount < 0:
                continue
            if case.history.geometry.folio_pages > 1:
                continue  # the pins of a large folio may be counted exactly
            case.premise()
            is_more = bias >= _REFERENCES_MAX and view.refcount >= (pins + 1) * bias
            if view.refcount < pins * bias or is_more:
                yield case.found(
                    call_of(case, sample),
                    f"a page with {pins} pin(s) has a count of {view.refcount} "
                    f"(should be {pins} times {bias}, and a few)",
                )


# --- may it be pinned? ------------------------------------------------------------


@rule(
    "REF-QUERY",
    clause=Clause(
        SERIES,
        "patch 4; S19",
        "asking whether a page is pinned may err towards yes, never towards no",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), views=("maybe_pinned",)),
)
def no_false_negatives(case: Case) -> Iterator[Finding]:
    """A page with a pin outstanding is reported as maybe pinned."""
    if case.history.program.misuse:
        return
    for sample in case.history.samples:
        for record, number, page in _pins_at(case, sample):
            view = sample.pins.get((record.handle, number))
            if view is not None and view.maybe_pinned is not None:
                case.premise()
            if view is not None and view.maybe_pinned is False:
                yield case.found(
                    call_of(case, sample),
                    f"page {number} of pin {record.handle} is pinned, but "
                    "maybe_pinned is False",
                )
            elif _is_denied(case, sample, record, page):
                yield case.found(
                    call_of(case, sample),
                    f"page {page.name} has pin {record.handle}, but maybe_pinned "
                    "is False",
                )


@rule(
    "REF-FALSEPOS",
    clause=Clause(
        SERIES,
        "patch 4",
        "many plain references look like a pin; that may cost time, not data",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "get_user_pages(tracked)", "fsync|sync")),
)
def false_positives_are_harmless(case: Case) -> Iterator[Finding]:
    """A page that merely looks pinned is written by fsync, and keeps its data."""
    crowded = [
        (call, name)
        for call, file in _syncs(case)
        for name in _crowded(case, call)
        if file in {None, name[0]}
    ]
    if not crowded:
        return
    for call, name in crowded:
        case.premise()
        if call.is_pending:
            yield case.found(
                call,
                f"{call.operation} never answers: page {name[1]} of file {name[0]} "
                "looks pinned",
            )
    names = {name for _, name in crowded}
    since = min(call.ended for call, _ in crowded)
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        if (loss.file, loss.page) in names and loss.call.asked > since:
            yield case.found(loss.call, f"{loss.sentence}; the page looked pinned")


# --- helpers --------------------------------------------------------------------


def _is_driven(call: Call) -> bool:
    """Whether the stack is the caller, or ends a pin in one step of its own."""
    return isinstance(call.operation, (*DRIVERS, DeviceComplete, DeviceAbort))


def _is_biased(case: Case) -> bool:
    """Whether the worth of a pin stands out from a few references."""
    return case.history.geometry.pin_bias >= _REFERENCES_MAX


def _is_stray(case: Case, view: PageView) -> bool:
    count, bias = view.refcount, case.history.geometry.pin_bias
    return count is not None and (count < 0 or count >= bias - _REFERENCES_MAX)


def _unheld(case: Case, sample: Sample) -> Iterator[tuple[PageName, PageView]]:
    """Yield the cached file pages of which nobody holds anything."""
    held = set(_held_names(case, sample))
    for name, view in sample.pages.items():
        if view.refcount is not None and view.is_cached and name not in held:
            yield name, view


def _held_names(case: Case, sample: Sample) -> Iterator[PageName]:
    """Yield the pages that may be held; a private mapping may show the file's own."""
    for _, page in holders(case, sample.moment):
        if page.name is not None:
            yield page.name
            memory = case.oracle.layout.memories.get(page.name[0])
            if memory is not None and memory.file is not None:
                yield memory.file, page.name[1]


def _strayed(case: Case, spell: Spell, call: Call) -> Iterator[Finding]:
    """Yield the pages whose count a driver left too high, or too low."""
    if not _is_biased(case):
        return
    for name, view in _unheld(case, spell.after):
        was = spell.before.pages.get(name)
        if _is_stray(case, view) and (was is None or not _is_stray(case, was)):
            yield case.found(
                call,
                f"{call.operation} left page {name[1]} of file {name[0]} with a count "
                f"of {view.refcount} (should be small: nobody holds it)",
            )


def _held_pages(
    case: Case, sample: Sample
) -> Iterator[tuple[list[tuple[PinRecord, PinnedPage]], PageView]]:
    """Yield what holds each physical page that is seen behind a pin, and its view."""
    by_frame: dict[int, list[tuple[PinRecord, PinnedPage]]] = {}
    views: dict[int, PageView] = {}
    for record, number, page in _pins_at(case, sample, tracked=False):
        view = sample.pins.get((record.handle, number))
        if view is not None and view.frame is not None:
            views[view.frame] = view
            by_frame.setdefault(view.frame, []).append((record, page))
    for frame, view in views.items():
        if all(is_counted(*pin) for pin in by_frame[frame]):
            yield by_frame[frame], view


def _pins_at(
    case: Case, sample: Sample, *, tracked: bool = True
) -> Iterator[tuple[PinRecord, int, PinnedPage]]:
    """Yield the pages that are surely pinned at a sample, with their numbers.

    With `tracked`, only pins that surely are counted: none of the zero page.
    """
    for record in case.oracle.pins:
        is_made = record.is_certain and record.maker.ended < sample.moment
        if not is_made or (tracked and not record.tracked):
            continue
        for number, page in enumerate(record.pages):
            is_meant = not tracked or is_counted(record, page)
            if is_meant and sample.moment < page.put_asked:
                yield record, number, page


def _is_denied(case: Case, sample: Sample, record: PinRecord, page: PinnedPage) -> bool:
    """Whether the page of the file is said not to be pinned."""
    name = page.file_page
    view = None if name is None else sample.pages.get(name)
    if name is None or view is None or view.maybe_pinned is not False:
        return False
    moment = sample.moment
    fate = case.oracle.detaches.fate(name, record.maker, moment, moment)
    return bool(view.is_cached) and fate is Fate.ATTACHED


def _syncs(case: Case) -> Iterator[tuple[Call, int | None]]:
    """Yield the calls that make files durable, if there are plain references at all."""
    if not any(record.is_certain and not record.tracked for record in case.oracle.pins):
        return
    for call, operation in case.history.asked(Fsync, Sync):
        yield call, operation.file if isinstance(operation, Fsync) else None


def _crowded(case: Case, call: Call) -> Iterator[PageName]:
    """Yield the pages that look pinned to a sync, and have never been."""
    counts: Counter[PageName] = Counter()
    pinned: set[PageName] = set()
    for record in case.oracle.pins:
        for page in record.pages:
            if page.file_page is not None and record.tracked:
                pinned.add(page.file_page)
            elif page.file_page is not None:
                counts[page.file_page] += _is_held_during(case, record, page, call)
    for name, count in counts.items():
        if count >= case.history.geometry.pin_bias and name not in pinned:
            yield name


def _is_held_during(
    case: Case, record: PinRecord, page: PinnedPage, call: Call
) -> bool:
    return (
        record.is_certain
        and record.maker.ended < call.asked
        and page.put_asked > min(call.ended, case.history.now)
    )


RULES: tuple[Rule, ...] = (
    drivers_put_what_they_get,
    nothing_stays_behind,
    each_pin_adds_the_bias,
    no_false_negatives,
    false_positives_are_harmless,
    *requests.RULES,
)
