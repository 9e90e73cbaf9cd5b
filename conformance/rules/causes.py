"""Values that no correct stack can show, and whose fault each of them is.

The oracle says which values a word may show after a power cut, to a load, to a
read. A value outside is a *loss*: some write should have been there. Whose write it
is, and what was going on when it got lost, decides which rule reports it, so that
one loss is told of once.

Interface:
  * `losses(case, Cause.X)` yields the losses of one cause.
  * `was_pinned_over(case, name, begin, end)`: a device could write to the page all
    that time, by right.
  * `values_since(case, name, word, moment, end)`: what a word may show if what it
    had at a moment was not lost.

Verified: words of files that have a disk. Not verified: programs of misuse; sizes;
words for which the oracle admits everything.
"""

from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache

import attrs

from conformance.interface import (
    TORN,
    UNREADABLE,
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    Evict,
    FailNext,
    Feature,
    FillDisk,
    FlushDisk,
    FreeDisk,
    Fsync,
    Load,
    PowerCut,
    PowerCutImage,
    Read,
    Reclaim,
    Sync,
    Umount,
    Writeback,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.rule import Case

CLEANING = (Fsync, Sync, Writeback)
"""Operations that write dirty pages."""


@attrs.frozen
class Loss:
    """A word that shows what it must not."""

    call: Call
    """The power cut, load or read that shows it."""
    name: PageName
    word: int
    seen: int | None
    """None: the file ends before the word."""
    admissible: frozenset[int]
    owed: Call | None
    """The write that should be there, or a later one."""
    sync: Call | None
    """The sync that promised it to be on the disk; None: it is missing in memory."""

    def __str__(self) -> str:
        """Say what was seen, and what should have been."""
        file, page = self.name
        shown = {None: "is missing", UNREADABLE: "is unreadable", TORN: "is torn"}
        seen = shown.get(self.seen, f"is {self.seen}")
        values = ", ".join(map(str, sorted(self.admissible)))
        where = f"word {self.word} of page {page} of file {file}"
        return f"{where} {seen} (should be one of {values})"


class Cause(Enum):
    """Why a value is wrong; the first that applies."""

    TORN_BY_DEVICE = auto()
    """What was written does not fit together; a device could write to the page."""
    TORN_BY_CPU = auto()
    ORPHAN = auto()
    """A device wrote it to a page that had left the file."""
    BEYOND_END = auto()
    """A device wrote it beyond the end of the file, to a page written while pinned."""
    UNFLUSHED = auto()
    """It had reached the disk, and only its cache."""
    DRIVER = auto()
    """A driver of the stack wrote what is missing."""
    WRITE_FAILED = auto()
    """The disk failed a write while the page was pinned."""
    DISK_FULL = auto()
    """The disk was full, and data is written to new blocks."""
    SYNC_WHILE_PINNED = auto()
    """The sync that promised it found the page pinned."""
    RECLAIM_WHILE_PINNED = auto()
    """A device's data; the page went through reclaim during the pin."""
    CLEANED_WHILE_PINNED = auto()
    """A device's data; the page was written during the pin."""
    DEVICE_ON_DISK = auto()
    """A device's data is missing on the disk."""
    DEVICE_IN_MEMORY = auto()
    """A device's data is missing in memory."""
    OTHER = auto()
    """What is missing was not written by a device."""


def losses(case: Case, cause: Cause) -> Iterator[Loss]:
    """Yield the losses that have one cause."""
    for found, loss in _causes(case.oracle):
        if found is cause:
            yield loss


def write_pins(oracle: Oracle, name: PageName) -> Iterator[tuple[PinRecord, PinnedPage]]:
    """Yield the tracked pins for writing that were granted on a page."""
    for record in oracle.pins:
        if record.tracked and record.write and record.is_certain:
            for page in record.pages:
                if page.file_page == name:
                    yield record, page


def is_outstanding(
    oracle: Oracle, record: PinRecord, page: PinnedPage, begin: Moment, end: Moment
) -> bool:
    """Tell whether a pin surely is one of the file's page from begin to end."""
    name = page.file_page
    return (
        name is not None
        and record.maker.ended < begin
        and page.put_asked > end
        and oracle.detaches.fate(name, record.maker, begin, end) is Fate.ATTACHED
    )


def was_pinned_over(oracle: Oracle, name: PageName, begin: Moment, end: Moment) -> bool:
    """Tell whether a page surely was pinned for writing from begin to end."""
    return any(
        is_outstanding(oracle, record, page, begin, end)
        for record, page in write_pins(oracle, name)
    )


def cleanings(
    oracle: Oracle, file: int, begin: Moment, end: Moment
) -> Iterator[Call]:
    """Yield the calls that write dirty pages of a file, asked from begin to end."""
    for call, operation in oracle.history.asked(*CLEANING):
        concerns = isinstance(operation, Sync) or operation.file == file
        if concerns and begin < call.asked < end:
            yield call


def good_syncs(oracle: Oracle, file: int) -> Iterator[Call]:
    """Yield the calls that promised that a file is on the disk."""
    for call, operation in oracle.history.asked(Fsync, Sync, Umount):
        concerns = not isinstance(operation, Fsync) or operation.file == file
        if concerns and call.succeeded:
            yield call


def values_since(
    oracle: Oracle, name: PageName, word: int, moment: Moment, end: Moment
) -> frozenset[int]:
    """Return the values of the writes that were not over before a moment."""
    return oracle._resolved(
        write
        for write in oracle._log.of(name, word)
        if write.begin <= end and write.end >= moment
    )


def shown_by(cut: Call, file: int, position: int) -> int | None:
    """Return a word of a file as a power cut shows it; None: it is not there."""
    assert isinstance(cut.result, PowerCutImage)
    image = cut.result.files.get(file)
    if image is None or position >= len(image.words):
        return None
    return image.words[position]


# --- finding losses ---------------------------------------------------------------


@lru_cache(maxsize=4)
def _causes(oracle: Oracle) -> tuple[tuple[Cause, Loss], ...]:
    """Return all losses of a history with their causes."""
    if oracle.history.program.misuse:
        return ()
    return tuple((_cause(oracle, loss), loss) for loss in _losses(oracle))


def _losses(oracle: Oracle) -> Iterator[Loss]:
    for call, operation in oracle.history.asked(PowerCut, Load, Read):
        if not call.succeeded:
            continue
        match operation:
            case PowerCut():
                yield from _on_disk(oracle, call)
            case Load():
                yield from _loaded(oracle, call, operation)
            case Read():
                yield from _read(oracle, call, operation)


def _on_disk(oracle: Oracle, cut: Call) -> Iterator[Loss]:
    assert isinstance(cut.result, PowerCutImage)
    for file in oracle.files:
        durable = oracle.durable(file, cut)
        image = cut.result.files.get(file)
        if durable is None or (image is None and durable.may_be_missing):
            continue
        words = image.words if image else ()
        for position, admissible in enumerate(durable.words):
            is_there = position < len(words)
            seen = words[position] if is_there else None
            if seen in admissible or not (is_there or position < durable.min_words):
                continue
            name, word = (file, position // oracle.words_per_page), position
            word %= oracle.words_per_page
            owed, sync = _promised(oracle, name, word, cut)
            if is_there or owed is not None:
                yield Loss(cut, name, word, seen, admissible, owed, sync)


def _promised(
    oracle: Oracle, name: PageName, word: int, cut: Call
) -> tuple[Call | None, Call | None]:
    """Return the write that must be on the disk, and the sync that promised it."""
    writes = oracle._log.of(name, word)
    floor = oracle._durability.floor(name[0], cut.asked, writes)
    sync = next((c for c in good_syncs(oracle, name[0]) if c.asked == floor), None)
    return _owed(oracle, name, word, floor), sync


def _loaded(oracle: Oracle, call: Call, operation: Load) -> Iterator[Loss]:
    name = oracle.file_page(call)
    values = None if name is None else oracle.load_values(call)
    seen = call.result
    assert isinstance(seen, int)
    if name is not None and values is not None and seen not in values:
        owed = _owed(oracle, name, operation.word, call.asked)
        yield Loss(call, name, operation.word, seen, values, owed, None)


def _read(oracle: Oracle, call: Call, operation: Read) -> Iterator[Loss]:
    values = oracle.read_values(call)
    assert isinstance(call.result, tuple)
    if values is None or values.admits(call.result):
        return
    name = operation.file, operation.page
    for word, (seen, admissible) in enumerate(
        zip(call.result, values.words, strict=False)
    ):
        if seen not in admissible:
            owed = _owed(oracle, name, word, call.asked)
            yield Loss(call, name, word, seen, admissible, owed, None)


def _owed(oracle: Oracle, name: PageName, word: int, moment: Moment) -> Call | None:
    """Return the last write that had surely been made before a moment."""
    begin = max(
        (
            write.begin
            for write in oracle._log.of(name, word)
            if write.is_certain and write.end < moment
        ),
        default=-1,
    )
    calls = oracle.history.calls
    return next((c for c in calls if c.was_asked and c.asked == begin), None)


# --- whose fault it is ------------------------------------------------------------


def _cause(oracle: Oracle, loss: Loss) -> Cause:
    for applies, cause in _CAUSES:
        if applies(oracle, loss):
            return cause
    return Cause.OTHER


def _is_corrupt(oracle: Oracle, loss: Loss) -> bool:
    if loss.seen in {TORN, UNREADABLE}:
        return True
    if Feature.ENCRYPTION not in oracle.history.features:
        return False
    stamps = {getattr(c.operation, "value", 0) for c in oracle.history.calls}
    return loss.seen is not None and loss.seen not in stamps | {0}


def _is_corrupt_by_device(oracle: Oracle, loss: Loss) -> bool:
    return _is_corrupt(oracle, loss) and _is_device_page(oracle, loss)


def _is_device_page(oracle: Oracle, loss: Loss) -> bool:
    """Tell whether a device wrote to the page before the loss showed."""
    for record in oracle.pins:
        for page in record.pages:
            if loss.name in page.names and any(
                write.asked < loss.call.ended for write in page.device_writes
            ):
                return True
    return any(
        loss.name in _driver_pages(oracle, call)
        for call, _ in oracle.history.asked(DeviceTransfer, DirectRead)
    )


def _driver_pages(oracle: Oracle, call: Call) -> list[PageName | None]:
    operation = call.operation
    assert isinstance(operation, DeviceTransfer | DirectRead)
    where = operation.process, operation.mapping
    pages = range(operation.page, operation.page + operation.pages)
    return [oracle.target(*where, page, call.asked) for page in pages]


def _is_of_orphan(oracle: Oracle, loss: Loss) -> bool:
    return any(
        _value_of(write) == loss.seen
        and oracle.detaches.fate(loss.name, record.maker, write.asked, write.asked)
        is Fate.DETACHED
        for record in oracle.pins
        for page in record.pages
        if loss.name in page.names
        for write in page.device_writes
    )


def _is_beyond_end(oracle: Oracle, loss: Loss) -> bool:
    beyond = [
        write
        for write in oracle._log.beyond(loss.name, loss.word)
        if loss.seen in write.values
    ]
    return any(
        was_pinned_over(oracle, loss.name, call.asked, call.ended)
        for write in beyond
        for call in good_syncs(oracle, loss.name[0])
        if call.asked > write.begin
    )


def _is_unflushed(oracle: Oracle, loss: Loss) -> bool:
    """Tell whether a later flush, with no other write, brought the value."""
    history = oracle.history
    if loss.sync is None or Feature.VOLATILE_CACHE not in history.features:
        return False
    position = loss.name[1] * oracle.words_per_page + loss.word
    flushes = [c.ended for c, _ in history.asked(FlushDisk) if c.asked > loss.call.ended]
    file = loss.name[0]
    return any(
        cut.succeeded
        and cut.asked > min(flushes, default=cut.asked)
        and shown_by(cut, file, position) in loss.admissible
        and not any(cleanings(oracle, file, loss.call.asked, cut.asked))
        for cut, _ in history.asked(PowerCut)
    )


def _is_by_driver(oracle: Oracle, loss: Loss) -> bool:
    return loss.owed is not None and isinstance(
        loss.owed.operation, DeviceTransfer | DirectRead
    )


def _is_after_failure(oracle: Oracle, loss: Loss) -> bool:
    return _is_synced_while_pinned(oracle, loss) and any(
        failure.write and loss.sync is not None and call.asked < loss.sync.ended
        for call, failure in oracle.history.asked(FailNext)
    )


def _is_on_full_disk(oracle: Oracle, loss: Loss) -> bool:
    if loss.sync is None or not isinstance(_operation(loss), DeviceWrite | DeviceComplete):
        return False
    new_blocks = {Feature.COPY_ON_WRITE, Feature.CHECKSUMS}
    return bool(new_blocks & oracle.history.features) and is_full(oracle, loss.sync)


def is_full(oracle: Oracle, call: Call) -> bool:
    """Tell whether the disk surely was full while a call ran."""
    fills = [c.ended for c, _ in oracle.history.asked(FillDisk)]
    frees = [c.asked for c, _ in oracle.history.asked(FreeDisk)]
    return any(
        fill < call.asked and not any(fill < free < call.ended for free in frees)
        for fill in fills
    )


def _is_synced_while_pinned(oracle: Oracle, loss: Loss) -> bool:
    return loss.sync is not None and was_pinned_over(
        oracle, loss.name, loss.sync.asked, loss.sync.ended
    )


def _is_reclaimed_while_pinned(oracle: Oracle, loss: Loss) -> bool:
    pin = _pin_of(oracle, loss)
    if pin is None:
        return False
    record, page = pin
    return any(
        record.maker.ended < call.asked < page.put_asked
        for call, operation in oracle.history.asked(Reclaim, Evict)
        if operation.file == loss.name[0]
    )


def _is_cleaned_while_pinned(oracle: Oracle, loss: Loss) -> bool:
    pin = _pin_of(oracle, loss)
    if pin is None:
        return False
    record, page = pin
    begin, end = record.maker.ended, page.put_asked
    return any(cleanings(oracle, loss.name[0], begin, end))


def _is_device_on_disk(oracle: Oracle, loss: Loss) -> bool:
    return loss.sync is not None and _pin_of(oracle, loss) is not None


def _is_device_in_memory(oracle: Oracle, loss: Loss) -> bool:
    return loss.sync is None and _pin_of(oracle, loss) is not None


def _pin_of(oracle: Oracle, loss: Loss) -> tuple[PinRecord, PinnedPage] | None:
    """Return the pin through which the missing value was written."""
    if loss.owed is None or not isinstance(_operation(loss), DeviceWrite | DeviceComplete):
        return None
    record = oracle.pin_of(loss.owed)
    assert record is not None
    for page in record.pages:
        if loss.name in page.names and loss.owed in page.device_writes:
            return record, page
    return None


def _operation(loss: Loss) -> object:
    return None if loss.owed is None else loss.owed.operation


def _value_of(write: Call) -> int:
    assert isinstance(write.operation, DeviceWrite | DeviceComplete)
    return write.operation.value


_CAUSES = (
    (_is_corrupt_by_device, Cause.TORN_BY_DEVICE),
    (_is_corrupt, Cause.TORN_BY_CPU),
    (_is_of_orphan, Cause.ORPHAN),
    (_is_beyond_end, Cause.BEYOND_END),
    (_is_unflushed, Cause.UNFLUSHED),
    (_is_by_driver, Cause.DRIVER),
    (_is_after_failure, Cause.WRITE_FAILED),
    (_is_on_full_disk, Cause.DISK_FULL),
    (_is_synced_while_pinned, Cause.SYNC_WHILE_PINNED),
    (_is_reclaimed_while_pinned, Cause.RECLAIM_WHILE_PINNED),
    (_is_cleaned_while_pinned, Cause.CLEANED_WHILE_PINNED),
    (_is_device_on_disk, Cause.DEVICE_ON_DISK),
    (_is_device_in_memory, Cause.DEVICE_IN_MEMORY),
)
