"""Pins whose page has left its mapping, or its file.

Interface:
  * `removals(case, pinned)`: the calls that took the mapping of a pin away, or moved
    it, while the pin was held.
  * `orphan_writes(case)`: what devices wrote to pages that surely were nobody's.
  * `was_cleaned(case, pinned, call)`: whether the page may have been cleaned between
    the pin and a later call, which is another explanation of lost data.
  * `stuck(case, kinds)`: calls that wait although nothing but pins is in the way.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    Clone,
    Dedupe,
    DeviceComplete,
    DeviceWrite,
    Dontneed,
    Exit,
    Freeze,
    Fsync,
    Mremap,
    Munmap,
    Operation,
    Pageout,
    Reclaim,
    Sync,
    Writeback,
)
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Moment
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.pinned import Pinned, is_hindered, write_pins
from conformance.rules.rule import Case

_CLEANING = (Fsync, Sync, Writeback, Reclaim, Freeze, Clone, Dedupe, Pageout)
"""Operations that may write a page and take it for clean then."""


def removals(case: Case, pinned: Pinned) -> Iterator[Call]:
    """Yield the calls by which a pin lost its mapping, or its place, while held."""
    record, page = pinned
    for call, operation in case.history.asked(Munmap, Mremap, Exit, Dontneed):
        is_held = record.maker.ended < call.asked and page.put_asked > call.asked
        if is_held and _is_of(operation, record):
            yield call


def _is_of(operation: Operation, record: PinRecord) -> bool:
    if isinstance(operation, Exit):
        return operation.process == record.process
    assert isinstance(operation, Munmap | Mremap | Dontneed)
    where = operation.process, operation.mapping
    return where == (record.process, record.mapping)


def is_orphan(case: Case, pinned: Pinned, begin: Moment, end: Moment) -> bool:
    """Tell whether a pinned page surely had left its file from begin to end."""
    record, page = pinned
    if page.name is None:
        return False
    fate = case.oracle.detaches.fate(page.name, record.maker, begin, end)
    return fate is Fate.DETACHED


@attrs.frozen
class OrphanWrite:
    """A device wrote to a page that was nobody's."""

    record: PinRecord
    page: PinnedPage
    call: Call
    value: int


def orphan_writes(case: Case) -> Iterator[OrphanWrite]:
    """Yield what devices wrote to pages that surely had left their file."""
    for pinned in write_pins(case.oracle):
        record, page = pinned
        for call in page.device_writes:
            if call.succeeded and is_orphan(case, pinned, call.asked, call.ended):
                assert isinstance(call.operation, DeviceWrite | DeviceComplete)
                yield OrphanWrite(record, page, call, call.operation.value)


def stuck(case: Case, *kinds: type[Operation]) -> Iterator[Call]:
    """Yield calls that were seen to wait when nothing could be waited for but pins.

    The disk was not held, nothing was frozen, and no call was stopped in its middle.
    """
    for call, _ in case.history.asked(*kinds):
        for sample in case.history.samples_between(call.asked, call.ended):
            is_waiting = call.index in sample.pending and not sample.parked
            if is_waiting and not is_hindered(case.history, sample.moment):
                yield call
                break


def pins_beside(case: Case, call: Call) -> int:
    """Count the pages that were surely pinned when a call was asked."""
    return sum(
        record.is_certain and record.maker.ended < call.asked < page.put_asked
        for record in case.oracle.pins
        for page in record.pages
    )


def was_cleaned(case: Case, pinned: Pinned, call: Call) -> bool:
    """Tell whether a pinned page of a file may have been cleaned before a call."""
    record, page = pinned
    return page.file_page is not None and any(
        record.maker.asked < cleaning.ended and cleaning.asked < call.ended
        for cleaning, _ in case.history.asked(*_CLEANING)
    )
