"""Whose rule a wrong word is.

The catalogue has no rule of the form "data is right". A wrong word belongs to the
rule whose breach explains it, told from where it was read and who wrote it last, so
that no loss is nobody's. The owner reports it; another rule may report it too, where
it can tell more.

Interface:
  * `last_writer(oracle, reader, name, word, admissible)`: the call that wrote what
    should have been seen, and its kind: "cpu", "device" (through a pin of the
    program), "mirror" (an attached device), "driver" (one of the stack's own),
    "write" or "other".
  * `owner_of(oracle, reader, name, kind, seen)`: the id of the owning rule, one of
    `OWNERS`. `owner_of_torn` does it for content that cannot be read.
"""

from collections.abc import Iterable, Iterator

from conformance.interface import (
    HOLE,
    UNREADABLE,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Feature,
    Freeze,
    Fsync,
    MirrorWrite,
    Operation,
    PowerCut,
    PunchHole,
    Reclaim,
    Store,
    Sync,
    Truncate,
    Umount,
    Write,
    Writeback,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import PageName
from conformance.rules.mirrored import MIRROR_OWNERS, mirror_owner
from conformance.rules.sharing import SHARING_OWNERS

PROTECTING = frozenset({Feature.CHECKSUMS, Feature.PARITY, Feature.ENCRYPTION})
"""Features under which content that changes on its way to the disk is unreadable."""

_IN_MEMORY = {
    "device": "DRT-SKIP-IF-DIRTY",
    "driver": "DRT-AFTER",
    "write": "WB-LOCK",
    "other": "MKW-RANGE",
}
_ON_DISK = {
    "cpu": "WB-PTEDIRTY",
    "device": "DRT-FSYNC",
    "driver": "DRT-AFTER",
    "write": "WB-SINGLE",
    "other": "MKW-RANGE",
}
_STALE_PIN = "WB-RECLAIM"
"""A device that does not see what the page holds: the page was taken from its pin."""
_UNFLUSHED = "DRT-FLUSH"

OWNERS = frozenset(
    {
        *_IN_MEMORY.values(),
        *_ON_DISK.values(),
        "BNC-KEEPDIRTY",
        "MKW-EVERY",
        "MKW-NOTRACK",
        "STB-PINNED",
        "STB-CPU",
        *SHARING_OWNERS,
        _STALE_PIN,
        _UNFLUSHED,
        *MIRROR_OWNERS,
    }
)
"""The rules that own losses; each of them yields from `found_losses`."""


def last_writer(
    oracle: Oracle,
    reader: Call,
    name: PageName,
    word: int | None,
    admissible: frozenset[int],
) -> tuple[Call | None, str]:
    """Return the last call that wrote one of the values that should be seen."""
    for call in reversed(oracle.history.calls):
        kind = _KINDS.get(type(call.operation))
        is_early = call.was_asked and call.asked < reader.ended and not call.refused
        if kind is None or not is_early or name not in _written(oracle, call):
            continue
        is_word = getattr(call.operation, "word", word) == word
        value = getattr(call.operation, "value", _IMPLIED.get(type(call.operation)))
        if is_word and (value is None or value in admissible):
            return call, kind
    return None, "other"


def owner_of(
    oracle: Oracle, reader: Call, name: PageName, *, kind: str, seen: int | None
) -> str:
    """Return the rule that has to report a wrong word, or size (kind "other")."""
    if isinstance(reader.operation, DeviceRead):
        return _STALE_PIN
    if seen == UNREADABLE and PROTECTING & oracle.history.features:
        return owner_of_torn(oracle, reader, name)
    mirror = mirror_owner(oracle, reader, name, kind)
    return mirror or _owner_of_word(oracle, reader, name, kind)


def _owner_of_word(oracle: Oracle, reader: Call, name: PageName, kind: str) -> str:
    if isinstance(reader.operation, PowerCut):
        return _owner_on_disk(oracle, reader, name, kind)
    return _owner_of_stores(oracle.history) if kind == "cpu" else _IN_MEMORY[kind]


def _owner_of_stores(history: History) -> str:
    """Return the owner of a store lost in memory: MKW-EVERY, if it can be observed."""
    if Feature.NO_DIRTY_TRACKING in history.features:
        return "MKW-NOTRACK"
    is_told = any(sample.mkwrites or sample.mtimes for sample in history.samples)
    return "MKW-EVERY" if is_told else "WB-LOCK"


def _owner_on_disk(oracle: Oracle, reader: Call, name: PageName, kind: str) -> str:
    if kind != "other" and Feature.VOLATILE_CACHE in oracle.history.features:
        return _UNFLUSHED
    if kind == "device" and _was_pinned(oracle, reader, name):
        return "BNC-KEEPDIRTY"
    return _ON_DISK[kind]


def _was_pinned(oracle: Oracle, reader: Call, name: PageName) -> bool:
    """Whether the page had a pin for writing when it was read."""
    return any(
        record.write
        and name == page.name
        and record.maker.asked < reader.ended
        and page.put_ended > reader.asked
        for record in oracle.pins
        for page in record.pages
    )


def owner_of_torn(oracle: Oracle, reader: Call, name: PageName) -> str:
    """Return the rule that has to report content that cannot be read.

    After a power cut of a disk with a cache it may just not have been flushed: then a
    CPU is blamed only if it wrote while the page may have been on its way.
    """
    if _had_device(oracle, reader, name):
        return "STB-PINNED"
    is_cut = isinstance(reader.operation, PowerCut)
    has_cache = is_cut and Feature.VOLATILE_CACHE in oracle.history.features
    is_unflushed = has_cache and not _had_cpu(oracle, reader, name)
    return _UNFLUSHED if is_unflushed else "STB-CPU"


def _had_device(oracle: Oracle, reader: Call, name: PageName) -> bool:
    """Tell whether a device may have written to a page while it was being written."""
    return any(
        begin < cleaning.ended and cleaning.asked < end
        for begin, end in _device_times(oracle, name)
        for cleaning in _cleanings(oracle, reader)
    )


def _had_cpu(oracle: Oracle, reader: Call, name: PageName) -> bool:
    """Tell whether a CPU may have written to a page while it was on its way."""
    writes = [
        call
        for call, _ in oracle.history.asked(Store, Write)
        if name in _written(oracle, call)
    ]
    return any(
        begin < write.ended and write.asked < end
        for begin, end in _on_the_way(oracle, reader)
        for write in writes
    )


def _on_the_way(oracle: Oracle, reader: Call) -> Iterator[tuple[Moment, Moment]]:
    """Yield from when to when pages may have been on their way to the disk.

    That is until the call, or one after it that waits for the disk, has ended.
    """
    calls = list(_cleanings(oracle, reader))
    waits = [call.ended for call in calls if not isinstance(call.operation, Writeback)]
    for call in calls:
        later = (end for end in waits if end >= call.ended)
        yield call.asked, min(later, default=INFINITY)


def _cleanings(oracle: Oracle, reader: Call) -> Iterator[Call]:
    for call, _ in oracle.history.asked(*_CLEANING):
        if call.asked < reader.ended:
            yield call


def _device_times(oracle: Oracle, name: PageName) -> Iterator[tuple[Moment, Moment]]:
    """Yield from when to when devices wrote to a page."""
    for record in oracle.pins:
        for page in record.pages:
            if page.name == name and page.device_writes:
                yield page.device_writes[0].asked, page.put_ended
    for call in oracle.history.calls:
        is_driver = _KINDS.get(type(call.operation)) == "driver"
        if is_driver and call.was_asked and name in _written(oracle, call):
            yield call.asked, call.ended


_CLEANING = (Fsync, Sync, Writeback, Umount, Freeze, Reclaim)
"""Operations that write dirty pages."""

_KINDS: dict[type[Operation], str] = {
    Store: "cpu",
    DeviceWrite: "device",
    DeviceComplete: "device",
    DeviceTransfer: "driver",
    DirectRead: "driver",
    MirrorWrite: "mirror",
    Write: "write",
    DirectWrite: "write",
    Truncate: "other",
    PunchHole: "other",
}

_IMPLIED: dict[type[Operation], int] = {Truncate: HOLE, PunchHole: HOLE}


def _written(oracle: Oracle, call: Call) -> Iterable[PageName]:
    """Return the pages that a call may have written."""
    operation = call.operation
    match operation:
        case Store() | DeviceTransfer() | DirectRead():
            where, count = (operation.process, operation.mapping), _pages(operation)
            return {
                name
                for page in range(operation.page, operation.page + count)
                if (name := oracle.layout.name(*where, page, call.asked)) is not None
            }
        case DeviceWrite() | DeviceComplete():
            record = oracle.pin_of(call)
            pages = () if record is None else record.pages
            if isinstance(operation, DeviceWrite):
                pages = pages[operation.page : operation.page + 1]
            return {page.name for page in pages if page.name is not None}
        case MirrorWrite():
            name = oracle.mirrors.name(call)
            return () if name is None else (name,)
        case _:
            return _written_by_file(oracle, operation)


def _written_by_file(oracle: Oracle, operation: Operation) -> Iterable[PageName]:
    match operation:
        case Write(file, page):
            first, count = page, 1
        case DirectWrite(file=file, file_page=first, pages=count):
            pass
        case PunchHole(file, first, count):
            pass
        case Truncate(file, words):
            first = words // oracle.words_per_page
            count = max(oracle.history.geometry.file_pages - first, 1)
        case _:
            return ()
    return tuple((file, first + i) for i in range(count))


def _pages(operation: Store | DeviceTransfer | DirectRead) -> int:
    return 1 if isinstance(operation, Store) else operation.pages
