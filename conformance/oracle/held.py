"""What devices write to a page that they hold, wherever the page has gone by then.

Interface:
  * `writes_of_holders(...)` yields what they may have written to a word of it by a
    moment, be the page the mapping's still or not.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, PageName
from conformance.oracle.pins import Pins
from conformance.oracle.writes import ANYTHING, Write


def writes_of_holders(
    history: History,
    layout: Layout,
    pins: Pins,
    name: PageName,
    word: int,
    until: Moment,
) -> Iterator[Write]:
    """Yield what devices wrote to a page, each write as one that lands at any time."""
    for _, page in pins.on(name):
        for written in page.device_writes:
            operation = written.operation
            assert isinstance(operation, DeviceWrite | DeviceComplete)
            is_word = getattr(operation, "word", word) == word
            if is_word and written.asked <= until:
                yield _at_any_time(written, frozenset({operation.value}))
    for driver, drive in history.asked(DeviceTransfer, DirectRead):
        if driver.asked <= until and _reaches(layout, driver, drive, name):
            if isinstance(drive, DeviceTransfer):
                yield _at_any_time(driver, frozenset({drive.value}))
            else:
                yield _at_any_time(driver, ANYTHING)


def _reaches(
    layout: Layout,
    call: Call,
    operation: DeviceTransfer | DirectRead,
    name: PageName,
) -> bool:
    where = operation.process, operation.mapping
    pages = range(operation.page, operation.page + operation.pages)
    return any(layout.name(*where, page, call.asked) == name for page in pages)


def _at_any_time(call: Call, values: frozenset[int]) -> Write:
    return Write(call.asked, INFINITY, values, is_certain=False)
