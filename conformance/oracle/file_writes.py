"""The writes that calls on files, and CPU stores, make."""

from conformance.interface import (
    HOLE,
    Clone,
    Create,
    DirectWrite,
    Dontneed,
    Operation,
    PunchHole,
    Store,
    Truncate,
    Write as WriteCall,
)
from conformance.oracle.held import writes_of_holders
from conformance.oracle.history import INFINITY, Call, History
from conformance.oracle.layout import Memory, PageName
from conformance.oracle.pins import Pins
from conformance.oracle.writes import ANYTHING, Copy, Write, WriteLog

_ZERO = frozenset({HOLE})


def add_file_writes(log: WriteLog, history: History, pins: Pins) -> None:
    """Enter them all."""
    for call, direct in history.asked(DirectWrite):
        _direct_write(log, history, pins, call, direct)
    for call, store in history.asked(Store):
        if not call.refused:
            _store(log, call, store)
    kinds = (WriteCall, Truncate, Create, PunchHole, Clone, Dontneed)
    for call, operation in history.asked(*kinds):
        if call.may_have_acted:
            _change(log, call, operation)


def _change(log: WriteLog, call: Call, operation: Operation) -> None:
    match operation:
        case Clone(file, clone):
            log.add_clone(clone, file, call.asked, call.ended)
        case Dontneed():
            _give_up(log, call, operation)
        case WriteCall() | Truncate() | Create() | PunchHole():
            _change_file(log, call, operation)
        case _:
            pass


def _change_file(
    log: WriteLog, call: Call, operation: WriteCall | Truncate | Create | PunchHole
) -> None:
    match operation:
        case WriteCall():
            _write(log, call, operation)
        case Truncate(file, words):
            _truncate(log, call, file, words)
        case Create(file):
            log.add_range(file, 0, INFINITY, _hole(call))
        case PunchHole(file, page, pages):
            first, after = page, page + pages
            size = log.words_per_page
            log.add_range(file, first * size, after * size, _hole(call))


def _hole(call: Call, *, is_certain: bool = True) -> Write:
    return Write(call.asked, call.ended, _ZERO, is_certain and call.succeeded)


def _store(log: WriteLog, call: Call, operation: Store) -> None:
    where = (operation.process, operation.mapping, operation.page)
    name = log.layout.name(*where, call.asked)
    if name is not None:
        values = frozenset({operation.value})
        write = Write(call.asked, call.ended, values, call.succeeded)
        log.add(name, operation.word, write)


def _give_up(log: WriteLog, call: Call, operation: Dontneed) -> None:
    """Let anonymous pages be zero again, and private ones what the file is."""
    where = operation.process, operation.mapping
    for page in range(operation.page, operation.page + operation.pages):
        name = log.layout.name(*where, page, call.asked)
        memory = None if name is None else log.layout.memories.get(name[0])
        if name is None or memory is None:
            continue
        for word in range(log.words_per_page):
            log.add(name, word, _given_up(call, memory, name[1], word))


def _given_up(call: Call, memory: Memory, page: int, word: int) -> Write:
    if memory.file is None:
        return _hole(call, is_certain=memory.is_private)  # others may share the rest
    copy = Copy((memory.file, page), word, memory.shown_since, INFINITY)
    return Write(call.asked, call.ended, frozenset(), call.succeeded, (copy,))


def _write(log: WriteLog, call: Call, operation: WriteCall) -> None:
    name = operation.file, operation.page
    _extend(log, call, operation.file, log.position(name, operation.word))
    values = frozenset({operation.value})
    write = Write(call.asked, call.ended, values, call.succeeded)
    log.add_to_file(name, operation.word, write)


def _extend(log: WriteLog, call: Call, file: int, position: int) -> None:
    """Zero what becomes visible between the old end of file and a position."""
    sizes = log.sizes.during(file, call.asked, call.ended, without=call.index)
    least, most = min(sizes), min(max(sizes), position)
    log.add_range(file, least, most, _hole(call, is_certain=False))
    log.add_range(file, most, position, _hole(call))


def _truncate(log: WriteLog, call: Call, file: int, words: int) -> None:
    """Zero what is cut off, and what becomes visible."""
    sizes = log.sizes.during(file, call.asked, call.ended, without=call.index)
    first = min(words, max(sizes))
    log.add_range(file, min(sizes), first, _hole(call, is_certain=False))
    log.add_range(file, first, INFINITY, _hole(call))


def _direct_write(
    log: WriteLog, history: History, pins: Pins, call: Call, operation: DirectWrite
) -> None:
    written = call.result if isinstance(call.result, int) else 0
    if not call.refused:
        first = operation.file_page * log.words_per_page
        _extend(log, call, operation.file, first)
    for i in range(operation.pages):
        where = (operation.process, operation.mapping, operation.page + i)
        source = log.layout.name(*where, call.asked)
        name = operation.file, operation.file_page + i
        is_certain = call.succeeded and i < written
        is_certain = is_certain and not _collides(log, history, call, name)
        for word in range(log.words_per_page):
            write = Write(
                call.asked,
                call.ended,
                ANYTHING
                if source is None
                else _behind(log, history, pins, call, source, word),
                is_certain,
                (Copy(source, word, call.asked, call.ended),) if source else (),
            )
            log.add_to_file(name, word, write)


def _behind(
    log: WriteLog, history: History, pins: Pins, call: Call, name: PageName, word: int
) -> frozenset[int]:
    """Return what devices may have written to a buffer that leaves its place meanwhile.

    A direct write may hold the page by then: it writes what the page becomes, which
    neither file nor memory shows any more.
    """
    leaves = (
        detach.begin <= call.ended and detach.end >= call.asked
        for detach in log.detaches.of(name)
    )
    if not any(leaves):
        return frozenset()
    held = writes_of_holders(history, log.layout, pins, name, word, call.ended)
    return frozenset().union(*(write.values for write in held))


def _collides(log: WriteLog, history: History, call: Call, name: PageName) -> bool:
    """Whether a mapping of the page was written to while it was written directly.

    The two are not ordered (S4), nor need the one see the other: the page may stay in
    the cache as the mapping has left it.
    """
    return any(
        store.asked < call.ended
        and call.asked < store.ended
        and name == log.layout.name(to.process, to.mapping, to.page, store.asked)
        for store, to in history.asked(Store)
    )
