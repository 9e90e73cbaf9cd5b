"""How many pins a page has: surely, and at most.

A pin that was put, or whose page has left the file, does not count. A stack's own
drivers pin pages while they run, and so does a get_user_pages call that is refused or
cut short in the end; that they do is possible, never certain. A pin for reading of a
private mapping may be one of the page of the file.
"""

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    GetUserPages,
)
from conformance.oracle.detaches import Detaches, Fate
from conformance.oracle.history import Call, History, Moment
from conformance.oracle.layout import Layout, PageName
from conformance.oracle.pins import PinnedPage, PinRecord, Pins


class Outstanding:
    """The count of tracked pins over time."""

    def __init__(
        self, history: History, layout: Layout, pins: Pins, detaches: Detaches
    ) -> None:
        self._pins = pins
        self._layout = layout
        self._detaches = detaches
        self._passing: dict[PageName, list[Call]] = {}
        kinds = (DeviceTransfer, DirectRead, DirectWrite, GetUserPages)
        for call, operation in history.asked(*kinds):
            record = pins.of(call)
            granted = len(record.pages) if record else 0
            for i in range(granted, operation.pages):
                where = (operation.process, operation.mapping, operation.page + i)
                name = layout.name(*where, call.asked)
                if name is not None:
                    self._passing.setdefault(name, []).append(call)

    def count(self, name: PageName, moment: Moment) -> tuple[int, int]:
        """Return how many tracked pins a page surely has, and how many it may have."""
        copies = self._copies(name)
        least = 0
        most = sum(
            call.asked <= moment <= call.ended
            for each in (name, *copies)
            for call in self._passing.get(each, ())
        )
        most += sum(
            _may_hold(record, page, moment) and not record.write
            for copy in copies
            for record, page in self._pins.on(copy)
        )
        for record, page in self._pins.on(name):
            if _may_hold(record, page, moment):
                fate = self._detaches.fate(name, record.maker, moment, moment)
                most += fate is not Fate.DETACHED
                least += fate is Fate.ATTACHED and _is_certain(record, page, moment)
        return least, most

    def _copies(self, name: PageName) -> list[PageName]:
        """Return the pages of private mappings that may show a page of a file."""
        memories = self._layout.memories.values()
        return [(m.number, name[1]) for m in memories if m.file == name[0]]


def _may_hold(record: PinRecord, page: PinnedPage, moment: Moment) -> bool:
    return record.tracked and record.maker.asked <= moment <= page.put_ended


def _is_certain(record: PinRecord, page: PinnedPage, moment: Moment) -> bool:
    return record.is_certain and record.maker.ended < moment < page.put_asked
