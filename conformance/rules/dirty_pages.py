"""Dirty pages themselves: orphans, buffers, and the account of them.

Interface:
  * `ORPHAN_AND_BUFFER_RULES` are the middle of the chapter on dirtying.
  * `excess(case, begin, end)`: by how much nr_dirty came to exceed the pages that
    are called dirty. `unlike(case, call)`: the samples around a call that ran alone.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    Evict,
    PageView,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    Reclaim,
    SetPageDirtyLock,
    Unlink,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.detached import is_orphan
from conformance.rules.evidence import at_rest, rests
from conformance.rules.pinned import Pinned, is_attached, pin_of, stale, write_pins
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
_DIRTYING = "put_user_pages_dirty|put_user_pages_dirty_lock|device_complete"
_MARKS = (
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
    DeviceComplete,
)


# --- accounts ---------------------------------------------------------------------


def surplus(sample: Sample) -> int | None:
    """Return by how much nr_dirty exceeds the pages shown dirty; None: not told."""
    count = sample.vmstat.nr_dirty
    shown = [view.is_dirty for view in sample.pages.values() if view.is_cached]
    if count is None or not sample.pages or None in shown:
        return None
    return count - sum(map(bool, shown))


def excess(case: Case, begin: Moment, end: Moment) -> int | None:
    """Return how much the surplus of nr_dirty grew between two moments at rest."""
    before = [s for s in rests(case.history) if s.moment < begin]
    after = [s for s in rests(case.history) if s.moment > end]
    if not before or not after or not _shows_all(case, after[0]):
        return None
    was, now = surplus(before[-1]), surplus(after[0])
    return None if was is None or now is None else now - was


def _shows_all(case: Case, sample: Sample) -> bool:
    """Tell whether the views of a sample show all pages that files can have."""
    geometry = case.history.geometry
    most = geometry.file_pages * geometry.words_per_page
    files = {file for file, _ in sample.pages}
    is_named = not any(call.was_asked for call, _ in case.history.asked(Unlink))
    return is_named and all(
        max(case.oracle.sizes(file, 0, sample.moment)) <= most for file in files
    )


def unlike(case: Case, call: Call) -> tuple[Sample, Sample] | None:
    """Return the samples around a call that ran alone; None: it did not."""
    before = case.history.sample_before(call.asked)
    after = case.history.sample_after(call.ended)
    if before is None or after is None or not call.succeeded:
        return None
    is_alone = not any(
        other.was_asked and other.asked < call.ended and call.asked < other.ended
        for other in case.history.calls
        if other is not call
    )
    rests = at_rest(before) and at_rest(after)
    return (before, after) if is_alone and rests else None


# --- orphans ----------------------------------------------------------------------


@rule(
    "DRT-ORPHAN",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c: noop_dirty_folio",
        "marking a page dirty that has lost its file changes nothing: no account, "
        "no file, no writeback",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _DIRTYING, "truncate|punch_hole|umount"),
    ),
)
def orphans_are_nobodys(case: Case) -> Iterator[Finding]:
    """Dirtying a page that was cut off its file changes neither file nor account."""
    for mark, pages in _marked_orphans(case):
        case.premise()
        around = unlike(case, mark)
        if around is None:
            continue
        was, now = surplus(around[0]), surplus(around[1])
        if was is not None and now is not None and now > was:
            yield case.found(
                mark,
                f"nr_dirty counts {now - was} page(s) more than are dirty, after "
                f"{mark.operation.name} of {pages} page(s) that had lost their file",
            )
    for loss in stale(case):
        if loss.seen is not None and _is_of_orphan(
            case, (loss.file, loss.page), loss.seen
        ):
            why = "a device wrote it to a page that had lost its file"
            yield case.found(loss.call, f"{loss.sentence}: {why}")


def _marked_orphans(case: Case) -> Iterator[tuple[Call, int]]:
    """Yield calls that dirty pinned pages, all of which had left their files."""
    for call, _ in case.history.asked(*_MARKS):
        record = case.oracle.pin_of(call)
        if record is None or not call.succeeded or case.history.program.misuse:
            continue
        pages = [page for page in record.pages if call in page.dirties]
        if pages and all(
            is_orphan(case, (record, page), call.asked, call.asked) for page in pages
        ):
            yield call, len(pages)


def _is_of_orphan(case: Case, name: PageName, seen: int) -> bool:
    """Tell whether a device wrote a value when its page had left the file."""
    return any(
        isinstance(write.operation, DeviceWrite | DeviceComplete)
        and write.operation.value == seen
        and is_orphan(case, pinned, write.asked, write.asked)
        for pinned in write_pins(case.oracle, name)
        for write in pinned[1].device_writes
    )


# --- buffers ----------------------------------------------------------------------


@rule(
    "DRT-BUFFERS",
    clause=Clause(
        DOCUMENT,
        "S8, S9",
        "a dirty page has what writeback needs attached to it; while a device may "
        "write to the page, nobody takes that away",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _DIRTYING, "reclaim|evict"),
        absent_features=("no_dirty_tracking",),
    ),
)
def dirty_pages_keep_buffers(case: Case) -> Iterator[Finding]:
    """Reclaim of a pinned page leaves what is needed to write it later."""
    for pinned in write_pins(case.oracle):
        for _ in _reclaims(case, pinned):
            case.premise()
    for name, sample in _bare_pages(case):
        text = f"page {name[1]} of file {name[0]} is dirty without buffers"
        index = sample.after if sample.after >= 0 else None
        call = None if index is None else case.history.calls[index]
        yield case.found(call, f"{text} (should have what writeback needs)")
    for loss in stale(case):
        pin = pin_of(case.oracle, loss)
        if pin is not None and any(
            not _kept_buffers(case, pin, call) for call in _reclaims(case, pin)
        ):
            yield case.found(loss.call, f"{loss.sentence}: reclaim found it pinned")


def _reclaims(case: Case, pinned: Pinned) -> Iterator[Call]:
    """Yield the reclaims that found a page pinned, and to be dirtied later."""
    record, page = pinned
    for call, operation in case.history.asked(Reclaim, Evict):
        is_pinned = record.maker.ended < call.asked and call.ended < page.put_asked
        is_later = any(mark.asked > call.ended for mark in page.dirties)
        if (
            is_pinned
            and is_later
            and page.file_page is not None
            and page.file_page[0] == operation.file
            and is_attached(case.oracle, pinned, call.asked, call.ended)
        ):
            yield call


def _kept_buffers(case: Case, pinned: Pinned, reclaim: Call) -> bool:
    """Tell whether a page was shown with its buffers after a reclaim."""
    sample, name = case.history.sample_after(reclaim.ended), pinned[1].file_page
    view = None if sample is None or name is None else sample.pages.get(name)
    return view is not None and view.has_buffers is True


def _bare_pages(case: Case) -> Iterator[tuple[PageName, Sample]]:
    """Yield pages that had buffers, were pinned ever since, and have none now.

    Some stacks need none for a page that is written as a whole; they never show any.
    """
    for record, page in write_pins(case.oracle):
        name = page.file_page
        had = False
        for sample in case.history.samples_between(record.maker.ended, page.put_ended):
            view = sample.pages.get(name) if name is not None else None
            if name is None or view is None or not at_rest(sample):
                continue
            if had and _is_bare(view):
                yield name, sample
                break
            had = had or bool(view.has_buffers)


def _is_bare(view: PageView) -> bool:
    return bool(view.is_cached and view.is_dirty) and view.has_buffers is False


# --- the account ------------------------------------------------------------------


@rule(
    "DRT-ACCT",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c: folio_account_dirtied, folio_account_cleaned",
        "every page that becomes dirty is counted once, and discounted once when it "
        "is cleaned or leaves its file",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(counters=("nr_dirty",), views=("is_dirty",)),
)
def dirty_pages_are_counted(case: Case) -> Iterator[Finding]:
    """At rest, nr_dirty is the number of pages that are dirty."""
    told = 0
    for sample in rests(case.history):
        found = surplus(sample)
        if found is None:
            continue
        case.premise()
        is_wrong = found < 0 or (found > 0 and _shows_all(case, sample))
        if is_wrong and found != told:
            count = sample.vmstat.nr_dirty or 0
            call = case.history.calls[sample.after] if sample.after >= 0 else None
            yield case.found(
                call, f"nr_dirty is {count} (should be {count - found} at rest)"
            )
        told = found


ORPHAN_AND_BUFFER_RULES: tuple[Rule, ...] = (
    orphans_are_nobodys,
    dirty_pages_keep_buffers,
    dirty_pages_are_counted,
)
