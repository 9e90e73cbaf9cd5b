"""The end of a bounce write, good or bad.

Interface:
  * `ERROR_RULES` is the last part of the chapter on bounce pages.

Verified: the data of a pinned page after a sync that reported an error and one that
did not; free pages when the same sync is made again; pages that stay under writeback
when nobody writes any more. Not verified: which write it was that the disk failed.
"""

from collections.abc import Iterator

from conformance.interface import (
    FailNext,
    Fsync,
    Hold,
    Operation,
    PowerCut,
    Release,
    Sync,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.device_data import owed_before
from conformance.rules.evidence import at_rest
from conformance.rules.pinned import (
    good_syncs,
    has_failures,
    is_hindered,
    shown_by,
    stale,
    sync_of,
    syncs,
    values_since,
    was_pinned_over,
    write_pins,
)
from conformance.rules.rule import (
    DOCUMENT,
    THREAD,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_SYNC = "fsync|sync"


@rule(
    "BNC-ERR",
    clause=Clause(
        THREAD,
        "bounced direct I/O of 2026 (5991bfa3f88e, b68d4979c88e), on S6",
        "when a copy cannot be written, the sync says so, the page is dirty still, "
        "and the copy is let go of once",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MAY,
    needs=Needs(
        operations=(_GUP, _SYNC, "fail_next"),
        absent_features=("no_dirty_tracking",),
    ),
)
def nothing_lost_by_errors(case: Case) -> Iterator[Finding]:
    """A failed write of a pinned page loses neither its data nor the copy."""
    history = case.history
    if not any(failure.write for _, failure in history.asked(FailNext)):
        return
    for name in _pinned_pages(case):
        for sync in syncs(case.oracle, name[0]):
            if _is_failed_while_pinned(case, name, sync):
                case.premise()
                yield from _gone_after(case, name, sync)
    yield from _unreported(case)
    yield from _leaks(case)


def _is_failed_while_pinned(case: Case, name: PageName, sync: Call) -> bool:
    return (
        sync.refused
        and was_pinned_over(case.oracle, name, sync.asked, sync.ended)
        and has_failures(case.history, before=sync.ended)
    )


def _unreported(case: Case) -> Iterator[Finding]:
    """Yield what is lost by a sync that answered after a write had failed."""
    for loss in stale(case):
        sync = sync_of(case.oracle, loss)
        name = loss.file, loss.page
        if sync is None or not has_failures(case.history, before=sync.ended):
            continue
        if was_pinned_over(case.oracle, name, sync.asked, sync.ended):
            why = "the sync answered that all was well"
            yield case.found(loss.call, f"{loss.sentence}: {why}")


def _pinned_pages(case: Case) -> list[PageName]:
    names = {page.file_page for _, page in write_pins(case.oracle)}
    return sorted(name for name in names if name is not None)


def _gone_after(case: Case, name: PageName, failed: Call) -> Iterator[Finding]:
    """Yield words that a good sync after a failed one has not got to the disk."""
    oracle = case.oracle
    again = next(
        (c for c in good_syncs(oracle, name[0]) if c.asked > failed.ended), None
    )
    if again is None or not was_pinned_over(oracle, name, failed.asked, again.ended):
        return
    for cut, _ in case.history.asked(PowerCut):
        is_after = cut.succeeded and cut.asked > again.ended
        if is_after and not _fails_between(case, failed.ended, cut.asked):
            for word in range(oracle.words_per_page):
                yield from _gone(case, name, word, failed, cut)


def _gone(
    case: Case, name: PageName, word: int, failed: Call, cut: Call
) -> Iterator[Finding]:
    oracle = case.oracle
    owed = owed_before(oracle, name, word, failed.asked)
    seen = shown_by(cut, name, word, oracle.words_per_page)
    if owed is None or seen is None:
        return
    admissible = values_since(oracle, name, word, owed.begin, cut.ended)
    if seen not in admissible:
        wanted = " or ".join(map(str, sorted(admissible)))
        yield case.found(
            cut,
            f"word {word} of page {name[1]} of file {name[0]} is {seen} after a sync "
            f"that failed and one that did not (should be {wanted})",
        )


def _fails_between(case: Case, begin: Moment, end: Moment) -> bool:
    return any(
        failure.write and begin < call.asked < end
        for call, failure in case.history.asked(FailNext)
    )


_QUIET: tuple[type[Operation], ...] = (FailNext, Fsync, Sync, PowerCut, Hold, Release)
"""Operations after which no more pages are in use than before."""


def _leaks(case: Case) -> Iterator[Finding]:
    """Yield syncs that left fewer free pages than the same sync just before.

    The first may have made something that is kept; the second must not.
    """
    earlier: Sample | None = None
    for call in case.history.calls:
        if not call.was_asked:
            continue
        is_sync = isinstance(call.operation, Fsync | Sync)
        sample = case.history.sample_after(call.asked)
        if not isinstance(call.operation, _QUIET) or sample is None:
            earlier = None
        elif is_sync and at_rest(sample) and _is_pinned_in(case, sample):
            if earlier is not None and _has_leaked(earlier, sample):
                yield case.found(
                    call,
                    f"{call.operation.name} left {sample.vmstat.nr_free_pages} free "
                    f"page(s) (should be {earlier.vmstat.nr_free_pages} again: the "
                    "copy of a pinned page is let go of)",
                )
            earlier = sample


def _is_pinned_in(case: Case, sample: Sample) -> bool:
    moment = sample.moment
    return any(
        record.maker.ended < moment < page.put_asked
        for record, page in write_pins(case.oracle)
    )


def _has_leaked(before: Sample, after: Sample) -> bool:
    was, now = before.vmstat.nr_free_pages, after.vmstat.nr_free_pages
    cached = [
        {name for name, view in sample.pages.items() if view.is_cached}
        for sample in (before, after)
    ]
    return was is not None and now is not None and now < was and cached[0] >= cached[1]


@rule(
    "BNC-COMPLETE",
    clause=Clause(
        DOCUMENT,
        "S19, S25",
        "the end of the write of a copy ends the writeback of the page, once, good "
        "or bad: whoever waits for it may go on",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _SYNC),
        views=("is_under_writeback",),
        absent_features=("no_dirty_tracking",),
    ),
)
def writeback_ends(case: Case) -> Iterator[Finding]:
    """When a sync of a pinned page has answered, its writeback has ended."""
    history = case.history
    last = history.samples[-1] if history.samples else None
    for name in _pinned_pages(case):
        for sync in syncs(case.oracle, name[0]):
            sample = history.sample_after(sync.ended)
            if sync.is_pending or sample is None or last is None:
                continue
            if not was_pinned_over(case.oracle, name, sync.asked, sync.ended):
                continue
            if is_hindered(history, sample.moment) or not at_rest(sample):
                continue
            case.premise()
            trouble = _unended(name, sample)
            if trouble and _unended(name, last):
                yield case.found(
                    sync, f"{trouble} though {sync.operation.name} answered"
                )


def _unended(name: PageName, sample: Sample) -> str | None:
    """Return what shows that a writeback has not ended, or ended too often."""
    if not at_rest(sample):
        return None
    view = sample.pages.get(name)
    if view is not None and view.is_under_writeback:
        return f"page {name[1]} of file {name[0]} is under writeback"
    shown = [v.is_under_writeback for v in sample.pages.values() if v.is_cached]
    count = sample.vmstat.nr_writeback
    if count is not None and (count < 0 or (count > 0 and not any(shown))):
        return f"nr_writeback is {count} (should be 0)"
    return None


ERROR_RULES: tuple[Rule, ...] = (nothing_lost_by_errors, writeback_ends)
