"""The writes that devices make through pins.

A device may write at any time until its page has been put; what it writes is certain
to stay only if the page was marked dirty after it, before the put, while it was a
page of the file, through a tracked pin that was made for writing.
"""

from collections.abc import Iterable, Sequence

import attrs

from conformance.interface import (
    HOLE,
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    MirrorWrite,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, PageName
from conformance.oracle.mirrors import Mirrors
from conformance.oracle.pins import PinnedPage, PinRecord, Pins
from conformance.oracle.writes import Copy, Write, WriteLog


def device_write_end(page: PinnedPage, call: Call) -> Moment:
    """Return the moment after which a device write cannot reach the page."""
    if page.put_ended < call.asked:
        return INFINITY  # misuse: the device still writes to what was put
    return max(page.put_ended, call.ended)


def add_device_writes(
    log: WriteLog, history: History, pins: Pins, mirrors: Mirrors
) -> None:
    """Enter all writes of devices."""
    for record in pins.records:
        for page in record.pages:
            if page.device_writes and page.name is not None:
                _through_pin(log, record, page, page.name)
    for call, written in history.asked(MirrorWrite):
        if not call.refused:
            _through_mirror(log, call, written, mirrors)
    for call, operation in history.asked(DeviceTransfer, DirectRead):
        _by_driver(log, call, operation)


def _through_pin(
    log: WriteLog, record: PinRecord, page: PinnedPage, name: PageName
) -> None:
    calls = page.device_writes
    writes = [_write(record, page, call) for call in calls]
    landed = [
        _landed(log, name, record.maker, write, call.ended)
        for write, call in zip(writes, calls, strict=True)
    ]
    for i, call in enumerate(calls):
        for word in _words(log, call):
            write = landed[i]
            if write is not None:
                later = [
                    (calls[j], landed[j])
                    for j in range(i + 1, len(calls))
                    if word in _words(log, calls[j])
                ]
                log.add(name, word, _superseded(call, write, later))
            if not record.tracked:
                _leak_to_children(log, name, word, writes[i])


def _write(record: PinRecord, page: PinnedPage, call: Call) -> Write:
    operation = call.operation
    is_allowed = record.tracked and record.write
    if isinstance(operation, DeviceWrite):
        end = device_write_end(page, call)
        is_certain = is_allowed and page.is_dirtied_after(call)
    else:
        assert isinstance(operation, DeviceComplete)
        end = call.ended
        is_certain = is_allowed and call.succeeded and page.puts == [call]
    return Write(call.asked, end, frozenset({operation.value}), is_certain)


def _words(log: WriteLog, call: Call) -> Sequence[int]:
    if isinstance(call.operation, DeviceWrite):
        return (call.operation.word,)
    return range(log.words_per_page)


def _superseded(
    call: Call, write: Write, later: Iterable[tuple[Call, Write | None]]
) -> Write:
    """Return the write as what a later one through the same pin leaves of it.

    One device writes in order, also where a stack merges what it wrote at the put: so
    an earlier value may be seen until then, and not again after.
    """
    for other, landed in later:
        if landed is not None and landed.is_certain and other.asked > call.ended:
            return attrs.evolve(
                write, end=min(write.end, other.asked - 1), is_certain=False
            )
    return write


def _landed(
    log: WriteLog, name: PageName, maker: Call, write: Write, answered: Moment
) -> Write | None:
    """Return what of a write reaches the file; None: the page had left it before."""
    end, is_certain = write.end, write.is_certain
    for detach in log.detaches.of(name):
        if detach.begin > end or maker.asked > detach.end:
            continue
        is_certain = False
        if not detach.is_certain or maker.ended >= detach.begin:
            continue
        if write.begin > detach.end and answered < detach.kept_from:
            return None
        if write.begin < detach.begin:
            end = detach.begin - 1 if detach.is_cut else min(end, detach.end)
    return attrs.evolve(write, end=end, is_certain=is_certain)


def _through_mirror(
    log: WriteLog, call: Call, operation: MirrorWrite, mirrors: Mirrors
) -> None:
    """Enter what an attached device writes: as certain as a store of the CPU."""
    name, mirror = mirrors.name(call), mirrors.of(call)
    if name is None or mirror is None:
        return
    is_certain = call.succeeded and mirror.span.stays(call.asked, call.ended)
    values = frozenset({operation.value})
    write = Write(call.asked, call.ended, values, is_certain)
    log.add(name, operation.word, write)


def _leak_to_children(log: WriteLog, name: PageName, word: int, write: Write) -> None:
    """Let forked children see it: no fork knows of a plain reference."""
    leaked = attrs.evolve(write, is_certain=False)
    for child in _descendants(log.layout, name[0]):
        log.add((child, name[1]), word, leaked)


def _descendants(layout: Layout, number: int) -> list[int]:
    found: list[int] = []
    for memory in layout.memories.values():
        parent = memory.parent.number if memory.parent else None
        if parent is not None and parent in {number, *found}:
            found.append(memory.number)
    return found


def _by_driver(
    log: WriteLog, call: Call, operation: DeviceTransfer | DirectRead
) -> None:
    answer = call.result if isinstance(call.result, int) else 0
    for i in range(operation.pages):
        where = (operation.process, operation.mapping, operation.page + i)
        name = log.layout.name(*where, call.asked)
        if name is None:
            continue
        is_certain = call.succeeded and i < answer
        for word in range(log.words_per_page):
            if isinstance(operation, DirectRead):
                write = _read_write(log, call, operation, i, word)
            else:
                values = frozenset({operation.value})
                write = Write(call.asked, call.ended, values)
            if not is_certain:
                write = Write(write.begin, write.end, write.values, False, write.copies)
            landed = _landed(log, name, call, write, call.ended)
            if landed is not None:
                log.add(name, word, landed)


def _read_write(
    log: WriteLog, call: Call, operation: DirectRead, page: int, word: int
) -> Write:
    """Return the write into the buffer; beyond the end of file there may be none."""
    source = operation.file, operation.file_page + page
    sizes = log.sizes.during(operation.file, call.asked, call.ended)
    is_inside = min(sizes) > log.position(source, word)
    values = frozenset[int]() if is_inside else frozenset({HOLE})
    copies = (Copy(source, word, call.asked, call.ended),)
    return Write(call.asked, call.ended, values, is_inside, copies)
