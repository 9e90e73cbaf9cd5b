"""What may be read: the sets of values that every correct stack stays within.

Interface:
  * `Oracle(history)`; everything is computed when it is first asked for, from the
    history alone. The history must be complete by then.
  * A value that is not in a set proves a defect. A value that is in it proves nothing.

Verified: loads, reads, sizes, signals and power cuts against what was asked for.
Not verified: the order of overlapping calls; words of a private mapping as far as the
file shows through; anything of a file system without a disk after umount.
"""

from collections.abc import Iterable
from functools import cached_property

import attrs

from conformance.interface import (
    HOLE,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Feature,
    GetUserPages,
    GetUserPagesFast,
    Load,
    MirrorRead,
    MirrorWrite,
    PunchHole,
    PutPage,
    PutUserPage,
    Read,
    SetPageDirtyLock,
    Store,
    Umount,
    Write as WriteCall,
)
from conformance.oracle.detaches import Detaches, Fate
from conformance.oracle.device_writes import add_device_writes, device_write_end
from conformance.oracle.durability import Durability
from conformance.oracle.file_writes import add_file_writes
from conformance.oracle.history import Call, History, Moment
from conformance.oracle.layout import Layout, PageName
from conformance.oracle.mirrors import Mirrors
from conformance.oracle.outstanding import Outstanding
from conformance.oracle.pins import PinRecord, Pins
from conformance.oracle.private_pins import PrivatePins
from conformance.oracle.signals import Signals
from conformance.oracle.sizes import Sizes
from conformance.oracle.writes import ANYTHING, Copy, Write, WriteLog, standing


@attrs.frozen
class ReadValues:
    """What a Read may answer."""

    words: tuple[frozenset[int], ...]
    """For each word of the page, as far as the answer reaches."""
    lengths: frozenset[int]
    """How many words it may have."""

    def admits(self, answer: object) -> bool:
        """Whether this answer is among them."""
        return (
            isinstance(answer, tuple)
            and len(answer) in self.lengths
            and all(v in s for v, s in zip(answer, self.words, strict=False))
        )


@attrs.frozen
class DurableFile:
    """What a power cut may leave of a file."""

    may_be_missing: bool
    words: tuple[frozenset[int], ...]
    """For each word up to the largest size."""
    min_words: int
    max_words: int


class Oracle:
    """Knows what may be read in a history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.words_per_page = history.geometry.words_per_page

    # --- parts, each made when it is needed -----------------------------------

    @cached_property
    def layout(self) -> Layout:
        """Return what each mapping shows."""
        return Layout(self.history)

    @cached_property
    def detaches(self) -> Detaches:
        """Return when pages left their files."""
        return Detaches(self.history, self.layout)

    @cached_property
    def mirrors(self) -> Mirrors:
        """Return which devices were attached to which mappings."""
        return Mirrors(self.history, self.layout)

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes(self.history)

    @cached_property
    def _pins(self) -> Pins:
        return Pins(self.history, self.layout)

    @cached_property
    def private_pins(self) -> PrivatePins:
        """Return what pins of private memory show."""
        return PrivatePins(self.history, self.layout, self._pins, self.detaches)

    @cached_property
    def _outstanding(self) -> Outstanding:
        return Outstanding(self.history, self.layout, self._pins, self.detaches)

    @cached_property
    def _durability(self) -> Durability:
        return Durability(self.history)

    @cached_property
    def _signals(self) -> Signals:
        return Signals(self.history, self.layout, self._sizes)

    @cached_property
    def _log(self) -> WriteLog:
        log = WriteLog(self.words_per_page, self.layout, self._sizes, self.detaches)
        add_file_writes(log, self.history, self._pins)
        add_device_writes(log, self.history, self._pins, self.mirrors)
        return log

    @cached_property
    def _forgotten_from(self) -> Moment | None:
        """Return when the files of a file system without a disk may have gone."""
        if Feature.NO_DIRTY_TRACKING not in self.history.features:
            return None
        umounts = [c.asked for c, _ in self.history.asked(Umount) if not c.refused]
        return min(umounts, default=None)

    # --- values -----------------------------------------------------------------

    def values(
        self, file: int, page: int, word: int, begin: Moment, end: Moment
    ) -> frozenset[int]:
        """Return what a word of a file may hold at some time from begin to end."""
        if self._is_forgotten(end):
            return ANYTHING
        return self._resolved(self._standing((file, page), word, begin, end))

    def memory_values(
        self, name: PageName, word: int, begin: Moment, end: Moment
    ) -> frozenset[int]:
        """Return the same for memory, where a word may lie beyond the end of file."""
        if self._is_forgotten(end) and name[0] >= 0:
            return ANYTHING
        return self._resolved(self._standing_in_memory(name, word, begin, end))

    def load_values(self, call: Call) -> frozenset[int] | None:
        """Return what a Load may answer; None: nothing can be said."""
        operation = call.operation
        assert isinstance(operation, Load)
        where = (operation.process, operation.mapping)
        span = self.layout.find(*where, call.asked)
        name = None if span is None else span.name(operation.page)
        if span is None or name is None or span.remove_asked <= call.ended:
            return None
        return self.memory_values(name, operation.word, call.asked, call.ended)

    def read_values(self, call: Call) -> ReadValues | None:
        """Return what a Read may answer; None: nothing can be said."""
        operation = call.operation
        assert isinstance(operation, Read)
        if self._is_forgotten(call.ended):
            return None
        file, page = operation.file, operation.page
        begin = page * self.words_per_page
        lengths = frozenset(
            min(max(size - begin, 0), self.words_per_page)
            for size in self.sizes(file, call.asked, call.ended)
        )
        words = tuple(
            self.values(file, page, word, call.asked, call.ended)
            for word in range(max(lengths))
        )
        return ReadValues(words, lengths)

    def device_read_values(self, call: Call) -> frozenset[int] | None:
        """Return what a DeviceRead may answer; None: nothing can be said."""
        operation, record = call.operation, self.pin_of(call)
        assert isinstance(operation, DeviceRead)
        if record is None or not 0 <= operation.page < len(record.pages):
            return None
        name = record.pages[operation.page].name
        if name is None:
            return None
        if self._is_shown_by(record, name, call):
            return self.memory_values(name, operation.word, call.asked, call.ended)
        word = operation.word
        writes = self.private_pins.writes(self._log, record, name, word, call)
        return None if writes is None else self._resolved(writes)

    def mirror_read_values(self, call: Call) -> frozenset[int] | None:
        """Return what a MirrorRead may answer; None: nothing can be said."""
        operation, name = call.operation, self.mirrors.name(call)
        mirror = self.mirrors.of(call)
        assert isinstance(operation, MirrorRead)
        if mirror is None or name is None or mirror.span.remove_asked <= call.ended:
            return None
        return self.memory_values(name, operation.word, call.asked, call.ended)

    def sizes(self, file: int, begin: Moment, end: Moment) -> frozenset[int]:
        """Return the sizes, in words, that a file may have from begin to end."""
        return self._sizes.during(file, begin, end)

    def may_signal(self, call: Call) -> bool:
        """Whether a Load or Store may end in a signal."""
        return self._signals.may(call)

    def must_signal(self, call: Call) -> bool:
        """Whether a Load or Store cannot end otherwise than in a signal."""
        return self._signals.must(call)

    def durable(self, file: int, cut: Call) -> DurableFile | None:
        """Return what a power cut may leave of a file; None: nothing is promised."""
        if Feature.NO_DIRTY_TRACKING in self.history.features:
            return None
        floor = self._durability.file_floor(file, cut.asked)
        sizes = self._sizes.during(file, floor, cut.ended)
        is_new = self._durability.is_new(file, cut)
        words = tuple(
            self._durable_values(file, *divmod(position, self.words_per_page), cut)
            | (frozenset({HOLE}) if is_new else frozenset())
            for position in range(max(sizes))
        )
        return DurableFile(
            self._durability.may_be_missing(file, cut),
            words,
            0 if is_new else min(sizes),
            max(sizes),
        )

    # --- pages and pins -----------------------------------------------------------

    def target(
        self, process: int, mapping: int, page: int, moment: Moment
    ) -> PageName | None:
        """Return the file and page that a page of a mapping means at a moment.

        None: it is no page of a file (anonymous, private, not mapped).
        """
        return _of_file(self.layout.name(process, mapping, page, moment))

    def file_page(self, call: Call) -> PageName | None:
        """Return the file and page that a call is about, when it is asked.

        For direct I/O this is the first page of the buffer, not of the file.
        """
        match call.operation:
            case Read() | WriteCall() | PunchHole() as operation:
                return operation.file, operation.page
            case (
                Load()
                | Store()
                | GetUserPages()
                | GetUserPagesFast()
                | DirectRead()
                | DirectWrite()
                | DeviceTransfer()
            ) as operation:
                where = operation.process, operation.mapping, operation.page
                return self.target(*where, call.asked)
            case _:
                return self._device_page(call)

    @property
    def pins(self) -> list[PinRecord]:
        """All pins, in the order of the calls that made them."""
        return self._pins.records

    def pin_of(self, call: Call) -> PinRecord | None:
        """Return the pin that a get, a put or a device access is about."""
        return self._pins.of(call)

    def pins_outstanding(self, file: int, page: int, moment: Moment) -> tuple[int, int]:
        """Return how many tracked pins a page surely has, and how many it may have."""
        return self._outstanding.count((file, page), moment)

    def device_write_window(self, call: Call) -> tuple[Moment, Moment]:
        """Return from when to when a device write may reach its page."""
        operation, record = call.operation, self.pin_of(call)
        if isinstance(operation, DeviceWrite) and record is not None:
            pages = record.pages[operation.page : operation.page + 1]
            return call.asked, max(
                (device_write_end(page, call) for page in pages), default=call.ended
            )
        return call.asked, call.ended

    # --- how ----------------------------------------------------------------------

    def _is_forgotten(self, moment: Moment) -> bool:
        return self._forgotten_from is not None and self._forgotten_from <= moment

    def _device_page(self, call: Call) -> PageName | None:
        """Return the page of a file that a device accesses, or that is put."""
        match call.operation:
            case MirrorRead() | MirrorWrite():
                return _of_file(self.mirrors.name(call))
            case (
                DeviceRead()
                | DeviceWrite()
                | PutPage()
                | PutUserPage()
                | SetPageDirtyLock()
            ) as operation:
                return self._pinned_file_page(call, operation.page)
            case _:
                return None

    def _pinned_file_page(self, call: Call, page: int) -> PageName | None:
        record = self.pin_of(call)
        if record is None or not 0 <= page < len(record.pages):
            return None
        return record.pages[page].file_page

    def _is_shown_by(self, record: PinRecord, name: PageName, call: Call) -> bool:
        """Whether a pin still is one of the page that the mapping shows."""
        if self.private_pins.is_private(name):
            return self.private_pins.is_shown(record, name, call.asked, call.ended)
        fate = self.detaches.fate(name, record.maker, call.asked, call.ended)
        return fate is Fate.ATTACHED

    def _durable_values(
        self, file: int, page: int, word: int, cut: Call
    ) -> frozenset[int]:
        writes = self._log.of((file, page), word)
        floor = self._durability.floor(file, cut.asked, writes)
        return self._resolved(standing(writes, floor, cut.ended))

    def _standing(
        self, name: PageName, word: int, begin: Moment, end: Moment
    ) -> tuple[Write, ...]:
        writes: Iterable[Write] = self._log.of(name, word)
        if self._durability.has_failures:
            writes = [
                attrs.evolve(write, is_certain=False)
                if self._durability.may_be_lost(name[0], write, end)
                else write
                for write in writes
            ]
        return standing(writes, begin, end)

    def _standing_in_memory(
        self, name: PageName, word: int, begin: Moment, end: Moment
    ) -> tuple[Write, ...]:
        inside = self._standing(name, word, begin, end)
        position = self._log.position(name, word)
        if name[0] < 0 or min(self.sizes(name[0], begin, end)) > position:
            return inside
        # Beyond the end of the file memory may show whatever was written there.
        everything = (*self._log.of(name, word), *self._log.beyond(name, word))
        return tuple(write for write in everything if write.begin <= end)

    def _resolved(self, writes: Iterable[Write]) -> frozenset[int]:
        """Return the values of writes, following copies to where they come from."""
        values: set[int] = set()
        seen: set[Copy] = set()
        todo = list(writes)
        while todo:
            write = todo.pop()
            values |= write.values
            for copy in write.copies:
                if copy not in seen:
                    seen.add(copy)
                    source = (copy.name, copy.word, copy.begin, copy.end)
                    todo += self._standing_in_memory(*source)
        return frozenset(values)


def _of_file(name: PageName | None) -> PageName | None:
    """Return a page's name if it is one of a file."""
    return name if name is not None and name[0] >= 0 else None
