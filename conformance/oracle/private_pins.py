"""What pins of private memory show: anonymous pages, and copies of a file's pages.

A tracked pin shows the page of its process until the process gives that page up, if it
was made for writing, or for long, or of a page that surely was anonymous: then what
the process stores later is seen by the device, and the other way round. A short pin
for reading of a page that nobody had written may be one of the zero page, or of the
file's page, and become stale. So may a plain reference, which nobody knows of.

Interface:
  * `PrivatePins(...).is_shown(record, name, begin, end)`: the pin surely is one of the
    page that its mapping shows, from begin to end.
  * `PrivatePins(...).writes(record, name, word, call)`: the writes that a device read
    may show otherwise; None: nothing can be said.
  * `is_anonymous(name, moment, end)`: a page surely was no longer the zero page, or
    the file's, at a moment, and has not become so until `end`. `loss(...)`: how a
    process surely gave up a page before a moment.
"""

import attrs

from conformance.interface import (
    GetUserPages,
    Merge,
    Store,
)
from conformance.oracle.detaches import Detaches, Fate
from conformance.oracle.held import writes_of_holders
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, Memory, PageName, Span
from conformance.oracle.pins import PinRecord, Pins
from conformance.oracle.writes import Write, WriteLog, standing


@attrs.frozen
class GivenUp:
    """When a process gave up a page that is pinned."""

    begin: Moment
    end: Moment


class PrivatePins:
    """The pins of private memory of a history."""

    def __init__(
        self, history: History, layout: Layout, pins: Pins, detaches: Detaches
    ) -> None:
        self._layout = layout
        self._pins = pins
        self._detaches = detaches
        self._history = history
        self._merges = [call.asked for call, _ in history.asked(Merge)]
        self._populated: dict[PageName, list[Call]] = {}
        for call, operation in history.asked(Store, GetUserPages):
            if call.succeeded:
                self._populate(call, operation)

    def is_private(self, name: PageName) -> bool:
        """Whether a page is one of memory that only one process has."""
        memory = self._layout.memories.get(name[0])
        return memory is not None and memory.is_private

    def is_shown(
        self, record: PinRecord, name: PageName, begin: Moment, end: Moment
    ) -> bool:
        """Whether a pin surely is one of what its mapping shows all the time."""
        span = self._span(record)
        fate = self._detaches.fate(name, record.maker, begin, end)
        return (
            span is not None
            and span.is_certain
            and span.remove_asked > end
            and fate is Fate.ATTACHED
            and self._stays(record, name)
        )

    def populated(self, name: PageName) -> list[Call]:
        """Return the calls after which a page surely was one of the process's own."""
        return self._populated.get(name, [])

    def is_anonymous(self, name: PageName, moment: Moment, end: Moment) -> bool:
        """Whether a page surely had been copied, or was written to, before a moment."""
        if min(self._merges, default=INFINITY) <= end:
            return False  # equal pages may have become the zero page
        detaches = self._detaches.of(name)
        for call in self.populated(name):
            is_early = call.ended < moment
            if is_early and not any(
                d.end >= call.asked and d.begin <= end for d in detaches
            ):
                return True
        memory = self._layout.memories.get(name[0])
        if memory is None or memory.parent is None or memory.begin >= moment:
            return False
        is_given_up = any(detach.begin <= end for detach in detaches)
        parent = memory.parent.number, name[1]
        was_there = self.is_anonymous(parent, memory.begin, memory.end)
        return was_there and not is_given_up

    def writes(
        self, log: WriteLog, record: PinRecord, name: PageName, word: int, call: Call
    ) -> list[Write] | None:
        """Return what a device read may show through a pin that may be stale."""
        memory = self._layout.memories.get(name[0])
        if memory is None or not memory.is_private:
            return None
        if self._may_be_cut_off(memory, record, name, call):
            return None
        begin, end = record.maker.asked, call.ended
        loss = self.loss(record, name, call.asked)
        if loss is not None:
            end = loss.end
            if self.is_shown(record, name, record.maker.ended, loss.begin - 1):
                begin = loss.begin
        of_memory = standing(log.of(name, word), begin, end)
        return [
            *(w for w in of_memory if loss is None or w.begin != loss.begin),
            *writes_of_holders(
                self._history, self._layout, self._pins, name, word, call.ended
            ),
        ]

    def _populate(self, call: Call, operation: Store | GetUserPages) -> None:
        """Note the pages that surely are anonymous when a call has answered."""
        pages = 1
        if isinstance(operation, GetUserPages):
            is_copied = operation.tracked and (operation.write or operation.longterm)
            granted = call.result if isinstance(call.result, int) else 0
            pages = granted if is_copied else 0
        for page in range(operation.page, operation.page + pages):
            where = operation.process, operation.mapping, page
            name = self._layout.name(*where, call.asked)
            if name is not None and self.is_private(name):
                self._populated.setdefault(name, []).append(call)

    def _span(self, record: PinRecord) -> Span | None:
        where = record.process, record.mapping
        return self._layout.find(*where, record.maker.asked)

    def _stays(self, record: PinRecord, name: PageName) -> bool:
        """Whether writing to the page must not take it from under the pin."""
        if not record.tracked or not record.is_certain:
            return False
        maker = record.maker
        return (
            record.write
            or record.longterm
            or self.is_anonymous(name, maker.asked, maker.ended)
        )

    def loss(self, record: PinRecord, name: PageName, moment: Moment) -> GivenUp | None:
        """Return how the process surely gave the page up before a moment."""
        found = [
            GivenUp(detach.begin, detach.end)
            for detach in self._detaches.of(name)
            if detach.is_certain
            and record.maker.ended < detach.begin
            and detach.end < moment
        ]
        span = self._span(record)
        if span is not None and span.remove_answered < moment:
            found.append(GivenUp(span.remove_asked, span.remove_answered))
        return min(found, key=lambda loss: loss.begin, default=None)

    def _may_be_cut_off(
        self, memory: Memory, record: PinRecord, name: PageName, call: Call
    ) -> bool:
        """Whether it may be a pin of a page that was the file's, and no longer is."""
        if memory.file is None or record.write or record.longterm:
            return False
        maker = record.maker
        if self.is_anonymous(name, maker.asked, maker.ended):
            return False
        page = memory.file, name[1]
        fate = self._detaches.fate(page, maker, call.asked, call.ended)
        return fate is not Fate.ATTACHED
