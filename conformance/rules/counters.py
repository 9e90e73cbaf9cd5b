"""The counters in /proc/vmstat: the document's five, and today's two.

What they must come to is counted from what get_user_pages answered and what was put.
A driver of the stack that leaks pins is no fault of the counters (REF-BALANCE), so
times in which one ran are left out here.
"""

from collections.abc import Iterator
from itertools import pairwise

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    Errno,
    Feature,
    GetUserPages,
    KernelError,
    VmStat,
)
from conformance.interface.events import PinBackedOff
from conformance.oracle.history import Call, Sample
from conformance.rules.accounts import (
    DRIVERS,
    Spell,
    alone,
    change,
    change_due,
    due,
    gets,
    granted_by,
    held,
    held_foll,
    requested,
    spells,
)
from conformance.rules.evidence import rests
from conformance.rules.limits import certainly_full
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
from conformance.verdicts import Kind, Level

_REQUESTED = ("nr_gup_slow_pages_requested", "nr_gup_fast_pages_requested")
_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "CNT-BAL",
    clause=Clause(
        DOCUMENT,
        "S27-S29",
        "requests of both paths less returns are the pins that are still held",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MAY,
    needs=Needs(operations=(_GUP,), counters=(*_REQUESTED, "nr_gup_pages_returned")),
)
def requests_less_returns_are_held(case: Case) -> Iterator[Finding]:
    """At rest, pages requested less pages returned are the pins outstanding."""
    if not gets(case):
        return
    for spell in _own_spells(case):
        got = change(held(spell.after.vmstat), held(spell.before.vmstat))
        if got is not None:
            yield from _compared(case, spell, got, "requested less returned")


@rule(
    "CNT-BACKOFF",
    clause=Clause(
        SERIES,
        "patch 5",
        "a back-off counts as a request of the fast path, a back-off and a return",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP,),
        counters=(*_REQUESTED, "nr_gup_fast_page_backoffs", "nr_gup_pages_returned"),
        stepping=True,
    ),
)
def backoffs_are_requests_and_returns(case: Case) -> Iterator[Finding]:
    """Each back-off of the fast path is counted as requested, and as returned."""
    samples = rests(case.history)
    if not gets(case) or not samples:
        return
    first, last = samples[0], samples[-1]
    backoffs = _counted(first, last, "nr_gup_fast_page_backoffs")
    told = _told_backoffs(case, last)
    if not backoffs and not told:
        return
    case.premise()
    if told is not None and told != backoffs:
        yield case.found(None, f"{told} back-off(s), but {backoffs} counted as such")
    fast = _counted(first, last, "nr_gup_fast_pages_requested")
    if fast < backoffs:
        yield case.found(
            None, f"{backoffs} back-off(s) in {fast} request(s) of the fast path"
        )
    for what, count, own in (
        ("requested", change(requested(last.vmstat), requested(first.vmstat)), _got),
        ("returned", _counted(first, last, "nr_gup_pages_returned"), _put),
    ):
        spare = (count or 0) - own(case, last)
        if spare < backoffs:
            yield case.found(
                None,
                f"{spare} page(s) counted as {what} beside those of the callers "
                f"(should be at least {backoffs}, one for each back-off)",
            )


@rule(
    "CNT-MONO",
    clause=Clause(DOCUMENT, "S27, S28", "the counters are totals, and only ever go up"),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(counters=("nr_gup_pages_returned|nr_foll_pin_released",)),
)
def counters_never_go_down(case: Case) -> Iterator[Finding]:
    """No counter of requests, back-offs, overflows or returns ever goes down."""
    samples = case.history.samples
    for before, after in pairwise(samples):
        if before.vmstat == after.vmstat:
            continue
        moved = list(_moves(before.vmstat, after.vmstat))
        if moved:
            case.premise()
        for name, was, now in moved:
            if now < was:
                call = case.history.calls[after.after]
                yield case.found(call, f"{name} went from {was} down to {now}")


@rule(
    "CNT-OVERFLOW",
    clause=Clause(
        SERIES, "patch 5", "a pin refused for overflow counts once, as that alone"
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP,),
        counters=("nr_gup_page_count_overflows",),
        features=("small_limits",),
    ),
)
def refused_pins_are_counted(case: Case) -> Iterator[Finding]:
    """A pin refused for overflow adds one to the overflows, and to nothing else."""
    if Feature.SMALL_LIMITS not in case.history.features or not gets(case):
        return
    for spell, call in alone(case.history, GetUserPages):
        counted = _counted(spell.before, spell.after, "nr_gup_page_count_overflows")
        if certainly_full(case, call):
            case.premise()
            if counted < 1:
                yield case.found(
                    call, f"{call.operation} met a full count, but no overflow counted"
                )
        if counted:
            yield from _overflow(case, spell, call, counted)


@rule(
    "CNT-FAIL0",
    clause=Clause(
        SERIES, "patch 5", "what fails in the fault or in the check counts nothing"
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP,), counters=("nr_gup_pages_returned|nr_foll_pin_released",)
    ),
)
def failed_requests_count_nothing(case: Case) -> Iterator[Finding]:
    """A request that fails in the fault, or in the check before it, counts nothing."""
    if not gets(case):
        return
    for spell, call in alone(case.history, GetUserPages):
        if not _failed_in_fault(call):
            continue
        case.premise()
        for name, was, now in _moves(spell.before.vmstat, spell.after.vmstat):
            if name in _STRICT and now != was:
                yield case.found(
                    call,
                    f"{call.operation} was refused, but {name} went from {was} "
                    f"to {now} (should stay)",
                )


@rule(
    "CNT-MODERN",
    clause=Clause(
        KERNEL,
        "mm/gup.c, 1970dc6f5226",
        "acquired less released are the pages pinned; plain references do not count",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP,), counters=("nr_foll_pin_acquired", "nr_foll_pin_released")
    ),
)
def acquired_less_released_are_held(case: Case) -> Iterator[Finding]:
    """At rest, pins acquired less pins released are the pages that are pinned."""
    if not gets(case):
        return
    for spell in _own_spells(case):
        got = change(held_foll(spell.after.vmstat), held_foll(spell.before.vmstat))
        if got is not None:
            yield from _compared(case, spell, got, "acquired less released")


_STRICT = frozenset(
    {
        *_REQUESTED,
        "nr_gup_fast_page_backoffs",
        "nr_gup_pages_returned",
        "nr_foll_pin_acquired",
        "nr_foll_pin_released",
    }
)
"""All but the overflows, which have a rule of their own."""
_TOTALS = (*sorted(_STRICT), "nr_gup_page_count_overflows")


def _own_spells(case: Case) -> Iterator[Spell]:
    """Yield the spells in which only the program's own callers got and put pins."""
    for spell in spells(case.history):
        if not spell.has(*DRIVERS):
            yield spell


def _compared(case: Case, spell: Spell, got: int, what: str) -> Iterator[Finding]:
    least, most = change_due(case, spell)
    if least or most or got or spell.has(GetUserPages):
        case.premise()
    if not least <= got <= most:
        call = spell.calls[-1]
        yield case.found(
            call,
            f"{what} changed by {got} with {call.operation} "
            f"(should change by {due(least, most)}, as the pins held do)",
        )


def _moves(before: VmStat, after: VmStat) -> Iterator[tuple[str, int, int]]:
    """Yield the totals that changed, with both values."""
    for name in _TOTALS:
        was, now = getattr(before, name), getattr(after, name)
        if was is not None and now is not None and was != now:
            yield name, was, now


def _counted(before: Sample, after: Sample, name: str) -> int:
    return change(getattr(after.vmstat, name), getattr(before.vmstat, name)) or 0


def _told_backoffs(case: Case, last: Sample) -> int | None:
    """Return how many back-offs of pins were told of; None: it cannot be known."""
    has_plain = any(not record.tracked for record in case.oracle.pins)
    if not case.history.events or has_plain:
        return None
    events = case.history.events_of(PinBackedOff, end=last.moment)
    return sum(1 for _ in events)


def _got(case: Case, last: Sample) -> int:
    """Count the pages granted to callers, and surely to drivers."""
    own = sum(
        record.granted or 0
        for record in case.oracle.pins
        if record.tracked and record.maker.ended_before(last.moment)
    )
    return own + _driven(case)


def _put(case: Case, last: Sample) -> int:
    """Count the pages that callers have put, and drivers surely have."""
    own = sum(
        page.put_ended < last.moment
        for record in case.oracle.pins
        if record.tracked
        for page in record.pages
    )
    return own + _driven(case)


def _driven(case: Case) -> int:
    drivers = case.history.asked(DirectRead, DirectWrite, DeviceTransfer)
    return sum(granted_by(call) for call, _ in drivers)


def _overflow(case: Case, spell: Spell, call: Call, counted: int) -> Iterator[Finding]:
    """Judge a call that counted overflows."""
    operation, granted = call.operation, granted_by(call)
    assert isinstance(operation, GetUserPages)
    refused = operation.pages - granted
    attempts = 2 if operation.name == "get_user_pages_fast" else 1
    if counted > attempts * max(refused, 0):
        yield case.found(
            call,
            f"{operation} left out {refused} page(s), but {counted} overflow(s) "
            "were counted",
        )
    before, after = spell.before.vmstat, spell.after.vmstat
    for got in (
        change(held(after), held(before)),
        change(held_foll(after), held_foll(before)),
    ):
        wanted = granted if operation.tracked else 0
        if got is not None and got != wanted:
            yield case.found(
                call,
                f"{operation} was granted {granted} page(s) at an overflow, but the "
                f"pins counted changed by {got} (should be {wanted})",
            )


def _failed_in_fault(call: Call) -> bool:
    """Whether a request for one page was refused before it could be held.

    One for several may have held the first ones for a while.
    """
    operation, error = call.operation, call.error
    return (
        isinstance(operation, GetUserPages)
        and operation.pages == 1
        and isinstance(error, KernelError)
        and error.errno in {Errno.EFAULT, Errno.EINVAL}
    )


RULES: tuple[Rule, ...] = (
    requests_less_returns_are_held,
    backoffs_are_requests_and_returns,
    counters_never_go_down,
    refused_pins_are_counted,
    failed_requests_count_nothing,
    acquired_less_released_are_held,
)
