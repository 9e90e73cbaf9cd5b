"""Where a value came from that was seen in private memory, or that came from there.

Interface:
  * `ever(look)`: the values that a word had held, in its line of processes.
  * `sources_of(look)`: the calls that wrote what was seen, wherever they wrote it;
    `source_of(look)`: the one to blame.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    HOLE,
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    MirrorWrite,
    Store,
    Write,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinRecord
from conformance.rules.kinship import forks_between


@attrs.frozen
class Look:
    """A wrong word, as it was seen."""

    oracle: Oracle
    reader: Call
    name: PageName
    word: int | None
    seen: int | None
    admissible: frozenset[int]


@attrs.frozen
class Source:
    """Who wrote what was seen, and where that was to go."""

    call: Call
    name: PageName
    record: PinRecord | None
    """The pin, if a device wrote it."""


def ever(look: Look) -> frozenset[int]:
    """Return what a word, and those that forks copied it from, ever held till then."""
    end, values = look.reader.ended, frozenset({HOLE})
    memory = look.oracle.layout.memories.get(look.name[0])
    number = look.name[0]
    while look.word is not None:
        name = number, look.name[1]
        values |= look.oracle.memory_values(name, look.word, -1, end)
        if memory is None or memory.parent is None:
            break
        end, number, memory = memory.end, memory.parent.number, memory.parent
    return values


def source_of(look: Look) -> Source | None:
    """Return who wrote the value that was seen, if possible to a related page."""
    sources = list(sources_of(look))
    related = (
        s for s in sources if forks_between(look.oracle, s.name, look.name) is not None
    )
    return next(related, sources[0] if sources else None)


def sources_of(look: Look) -> Iterator[Source]:
    """Yield who wrote the value that was seen, the latest first."""
    for call in reversed(look.oracle.history.calls):
        is_early = call.was_asked and call.asked < look.reader.ended
        if not is_early or getattr(call.operation, "value", None) != look.seen:
            continue
        if getattr(call.operation, "word", look.word) == look.word:
            record = look.oracle.pin_of(call)
            for name in _names(look.oracle, call, record):
                yield Source(call, name, record)


def _names(oracle: Oracle, call: Call, record: PinRecord | None) -> list[PageName]:
    """Return the pages that a call wrote to through memory."""
    operation = call.operation
    names: list[PageName | None] = []
    match operation:
        case DeviceWrite() | DeviceComplete() if record is not None:
            names = [p.name for p in record.pages if call in p.device_writes]
        case Store() | DeviceTransfer():
            count = getattr(operation, "pages", 1)
            where = operation.process, operation.mapping
            pages = range(operation.page, operation.page + count)
            names = [oracle.layout.name(*where, page, call.asked) for page in pages]
        case MirrorWrite():
            names = [oracle.mirrors.name(call)]
        case Write():
            names = [(operation.file, operation.page)]
        case _:
            pass
    return [name for name in names if name is not None]
