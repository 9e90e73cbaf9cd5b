"""Cuts through a large folio that is pinned, and when the file grows over it again.

Interface:
  * `cut_folios(case)`: the calls that cut such a folio in two, and the pages cut off.
  * `when_back(case, cut, name)`: when the file surely had the page again.
  * `is_written_since(case, loss, back)`: whether what was seen may be what a device
    wrote then, which is the file's if the stack keeps the folio.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    PunchHole,
    Truncate,
    Write,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.evidence import Loss
from conformance.rules.folio_views import Pages, Pinned, mates, pins_of_folios
from conformance.rules.rule import Case


def cut_folios(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the cuts through a large folio that is pinned, and the pages cut off."""
    pinned = pins_of_folios(case)
    if not pinned:
        return
    for call, operation in case.history.asked(Truncate, PunchHole):
        before = case.history.sample_before(call.asked)
        if not call.succeeded or before is None:
            continue
        gone = _cut_by(case, operation)
        for name in before.pages:
            parts = mates(before, name)
            is_part = name in gone and any(part not in gone for part in parts)
            if is_part and _is_pinned(pinned, parts, before, call):
                yield call, name


def _cut_by(case: Case, operation: Truncate | PunchHole) -> frozenset[PageName]:
    """Return the pages of a file, as far as they are looked at, that an operation cuts.

    Only whole pages.
    """
    pages = range(case.history.geometry.file_pages)
    if isinstance(operation, PunchHole):
        gone = pages[operation.page : operation.page + operation.pages]
    else:
        gone = pages[-(-operation.words // case.history.geometry.words_per_page) :]
    return frozenset((operation.file, page) for page in gone)


def _is_pinned(pages: list[Pinned], parts: Pages, before: Sample, call: Call) -> bool:
    """Whether a page of a folio was surely held all the time of a call."""
    return any(
        pinned.page.name in parts
        and pinned.holds_at(before.moment)
        and pinned.page.put_asked > call.ended
        for pinned in pages
    )


def when_back(case: Case, cut: Call, name: PageName) -> Moment | None:
    """Return when the file surely had a page again that was cut off; None: never."""
    if isinstance(cut.operation, PunchHole):
        return cut.ended
    size = case.history.geometry.words_per_page
    for call, operation in case.history.asked(Truncate, Write):
        if operation.file != name[0] or call.asked < cut.ended or not call.succeeded:
            continue
        if isinstance(operation, Truncate):
            is_beyond = operation.words > name[1] * size
        else:
            is_beyond = operation.page >= name[1]
        if is_beyond:
            return call.ended
    return None


def is_written_since(case: Case, loss: Loss, back: Moment) -> bool:
    """Whether a device wrote what is seen when the file may have had the page."""
    return any(
        operation.value == loss.seen and call.ended > back
        for call, operation in case.history.asked(DeviceWrite, DeviceComplete)
    )
