"""Requests for pages: what they may be refused for, and what they leave behind."""

from collections.abc import Iterator

from conformance.interface import Feature, GetUserPages, PageView, PutUserPages
from conformance.oracle.history import Moment
from conformance.oracle.layout import PageName
from conformance.rules.accounts import (
    Spell,
    alone,
    call_of,
    change_due,
    changes_held,
    due,
    granted_by,
    holders,
)
from conformance.rules.evidence import rests
from conformance.rules.frames import frames_held, free_pages, is_countable
from conformance.rules.limits import wanted, weight
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

_GUP = "get_user_pages|get_user_pages_fast"
_COUNTER = "nr_gup_pages_returned|nr_foll_pin_released"


# --- limits ---------------------------------------------------------------------


@rule(
    "REF-OVERFLOW",
    clause=Clause(
        SERIES, "patch 4", "a page with too many pins is refused; the count never wraps"
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), features=(Feature.SMALL_LIMITS.value,)),
)
def full_counts_are_refused(case: Case) -> Iterator[Finding]:
    """A page is refused, rather than that its reference count overflows."""
    if Feature.SMALL_LIMITS not in case.history.features or case.history.program.misuse:
        return
    limit = case.history.geometry.refcount_max
    asked: dict[PageName, int] = {}
    for call, _ in case.history.asked(GetUserPages):
        for page in wanted(case, call):
            asked[page.name] = asked.get(page.name, 0) + page.worth
            if asked[page.name] > limit:
                case.premise()
            if call.succeeded and page.number < granted_by(call):
                total = weight(case, page.name, call.asked, call.ended) + page.worth
                if total > limit:
                    yield case.found(
                        call,
                        f"{call.operation} was granted a page whose count is then at "
                        f"least {total} (should be refused beyond {limit})",
                    )
    yield from _wrapped(case, limit)


@rule(
    "REF-FREE",
    clause=Clause(SERIES, "patch 4", "the last put, of whichever kind, frees the page"),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), views=("is_cached",), counters=("nr_free_pages",)),
)
def the_last_put_frees(case: Case) -> Iterator[Finding]:
    """A page is free when the last that was got of it is put, and not before."""
    if case.history.program.misuse or not is_countable(case.history):
        return
    samples = [s for s in rests(case.history) if free_pages(s) is not None]
    if not samples:
        return
    total = free_pages(samples[0])
    assert total is not None
    for sample in samples[1:]:
        here, kept = free_pages(sample), frames_held(sample)
        if here is None or kept is None:
            continue
        if _was_any_put(case, sample.moment):
            case.premise()
        is_held = any(True for _ in holders(case, sample.moment))
        if here + kept > total or (not is_held and here < total):
            yield case.found(
                call_of(case, sample),
                f"{here} page(s) are free or cached, {kept} more are held by pins "
                f"(should be {total} together)",
            )
            return


# --- requests -------------------------------------------------------------------


@rule(
    "REF-PARTIAL",
    clause=Clause(
        DOCUMENT,
        "S30",
        "the answer is how many pages, from the first on, the caller has to put",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,), counters=(_COUNTER,)),
)
def the_answer_is_what_is_held(case: Case) -> Iterator[Finding]:
    """A request that cannot be granted whole holds just the pages that it answers."""
    if case.history.program.misuse:
        return
    for spell, call in alone(case.history, GetUserPages):
        operation, granted = call.operation, granted_by(call)
        assert isinstance(operation, GetUserPages)
        if operation.pages < 2 or granted == operation.pages:  # noqa: PLR2004
            continue
        case.premise()
        least, most = change_due(case, spell)
        for got in changes_held(spell):
            if not least <= got <= most:
                yield case.found(
                    call,
                    f"{operation} answered {call.error or granted}, but the pins "
                    f"counted changed by {got} (should be {due(least, most)})",
                )
    yield from _beyond_the_file(case)


@rule(
    "REF-ERRNPAGES",
    clause=Clause(
        KERNEL, "mm/gup.c", "putting a negative number of pages does nothing"
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=(
            "put_user_pages|put_user_pages_dirty|put_user_pages_dirty_lock",
            _GUP,
        ),
    ),
)
def negative_counts_put_nothing(case: Case) -> Iterator[Finding]:
    """Putting a negative number of pages puts nothing, and marks nothing dirty."""
    for spell, call in alone(case.history, PutUserPages):
        operation = call.operation
        assert isinstance(operation, PutUserPages)
        if operation.pages is not None and operation.pages < 0:
            case.premise()
            for sentence in _was_changed(spell):
                yield case.found(call, f"{operation} changed {sentence}")


@rule(
    "REF-VALIDFLAGS",
    clause=Clause(
        KERNEL, "mm/gup.c", "a long-term request is for a tracked pin, or is refused"
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(
        operations=(
            "get_user_pages(longterm)|get_user_pages_fast(longterm)",
            "get_user_pages(tracked)|get_user_pages_fast(tracked)",
        )
    ),
)
def longterm_is_tracked(case: Case) -> Iterator[Finding]:
    """A long-term request for a plain reference is refused."""
    for call, operation in case.history.asked(GetUserPages):
        if not operation.longterm or operation.tracked or call.answered is None:
            continue
        case.premise()
        if call.succeeded:
            yield case.found(
                call, f"{operation} was granted (should be refused with EINVAL)"
            )


# --- helpers --------------------------------------------------------------------


def _wrapped(case: Case, limit: int) -> Iterator[Finding]:
    """Yield the first count that is out of bounds."""
    for sample in case.history.samples:
        for view in (*sample.pages.values(), *sample.pins.values()):
            if view.refcount is not None and not 0 <= view.refcount <= limit:
                yield case.found(
                    call_of(case, sample),
                    f"a page has a count of {view.refcount} (should be 0 to {limit})",
                )
                return


def _was_any_put(case: Case, moment: Moment) -> bool:
    return any(
        page.put_ended < moment for record in case.oracle.pins for page in record.pages
    )


def _beyond_the_file(case: Case) -> Iterator[Finding]:
    """Yield the pages that were granted although the file surely ends before them."""
    size = case.history.geometry.words_per_page
    for record in case.oracle.pins:
        call = record.maker
        for number, page in enumerate(record.pages if record.is_certain else ()):
            name = page.file_page
            if name is None:
                continue
            most = max(case.oracle.sizes(name[0], call.asked, call.ended))
            if most <= name[1] * size:
                yield case.found(
                    call,
                    f"{call.operation} was granted page {number}, which lies beyond "
                    f"the {most} words of the file",
                )


def _was_changed(spell: Spell) -> Iterator[str]:
    """Say what a put that should do nothing has put, or marked dirty."""
    for got in changes_held(spell):
        if got:
            yield f"the pins counted by {got} (should be 0)"
    for key, was in spell.before.pins.items():
        now = spell.after.pins.get(key, was)
        for name in ("maybe_pinned", "is_dirty", "refcount"):
            if _is_worse(name, was, now):
                yield (
                    f"{name} of page {key[1]} of pin {key[0]} from "
                    f"{getattr(was, name)} to {getattr(now, name)} (should stay)"
                )


def _is_worse(name: str, was: PageView, now: PageView) -> bool:
    """Whether a field shows that something was put or dirtied."""
    before, after = getattr(was, name), getattr(now, name)
    if before is None or after is None:
        return False
    if name == "is_dirty":
        return bool(after) and not before
    if name == "maybe_pinned":
        return bool(before) and not after
    return not was.is_under_writeback and bool(after < before)


RULES: tuple[Rule, ...] = (
    full_counts_are_refused,
    the_last_put_frees,
    the_answer_is_what_is_held,
    negative_counts_put_nothing,
    longterm_is_tracked,
)
