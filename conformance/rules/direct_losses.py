"""Which rule on direct I/O a wrong word belongs to.

A word that a direct write or a direct read should have put where it was looked for is
theirs to explain; so is a word that they had no business with, and that shows what
they wrote. How it came about is told from what ran beside them.

Interface:
  * `direct_owner(oracle, reader, name, word, writer, seen)`: the id of the rule, one
    of `DIRECT_OWNERS`; None: direct I/O is not to blame.
  * `unreadable_after_direct_write(case)`: reads that fail of pages that a direct write
    wrote last.
  * `buffer_pages`, `target_pages`: what a direct I/O names, page by page; `is_there`:
    a page of a buffer can be had.
  * `is_touched_beside(oracle, call, name)`: others looked a page up meanwhile.
"""

from collections.abc import Iterator

from conformance.interface import (
    HOLE,
    UNREADABLE,
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    Errno,
    FailNext,
    Feature,
    GetUserPages,
    KernelError,
    Load,
    Operation,
    PowerCut,
    PunchHole,
    Read,
    Store,
    Truncate,
    Write,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules.rule import Case

CONTENT = "DIO-BUF-WRITE"
CAPTURE = "DIO-BUF-READ"
BEFORE = "DIO-INV-BEFORE"
AFTER = "DIO-INV-AFTER"
FLUSH = "DIO-READ-FLUSH"
SELF = "DIO-SELF"
PARTIAL = "DIO-PARTIAL"
LIFETIME = "DIO-ASYNC-LIFETIME"
TRUNC = "DIO-TRUNC"

DIRECT_OWNERS = frozenset(
    {CONTENT, CAPTURE, BEFORE, AFTER, FLUSH, SELF, PARTIAL, LIFETIME, TRUNC}
)

_PROTECTING = frozenset({Feature.CHECKSUMS, Feature.PARITY, Feature.ENCRYPTION})
"""Features under which content that changes on its way to the disk is unreadable."""


def direct_owner(
    oracle: Oracle,
    reader: Call,
    name: PageName,
    word: int | None,
    writer: Call | None,
    seen: int | None,
) -> str | None:
    """Return the rule on direct I/O that has to report a wrong word, if one has."""
    if word is None or seen is None:
        return None
    operation = None if writer is None else writer.operation
    is_done = writer is not None and name not in _undone(writer, operation)
    if writer is not None and isinstance(operation, DirectWrite) and is_done:
        return _of_direct_write(oracle, reader, name, word, writer, operation, seen)
    if writer is not None and isinstance(operation, DirectRead):
        return _of_direct_read(oracle, name, word, writer, operation, seen)
    owners = (
        _of_bystander(oracle, name, word, call, direct, seen)
        for call, direct in oracle.history.asked(DirectWrite)
        if call.asked < reader.ended
    )
    return next((owner for owner in owners if owner is not None), None)


# --- what direct I/O should have put there --------------------------------------------


def _of_direct_write(
    oracle: Oracle,
    reader: Call,
    name: PageName,
    word: int,
    writer: Call,
    operation: DirectWrite,
    seen: int,
) -> str | None:
    source = _source(oracle, writer, operation, name)
    owner = AFTER if is_touched_beside(oracle, writer, name) else BEFORE
    if seen == UNREADABLE and _PROTECTING & oracle.history.features:
        owner = CAPTURE
    elif _is_unflushed(oracle, reader):
        return None
    elif not is_there(oracle, writer, source):
        owner = PARTIAL
    elif source and _is_let_go(oracle, writer, operation, source):
        is_old = seen in oracle.values(*name, word, -1, writer.asked)
        owner = owner if is_old else LIFETIME
    is_of_cache = owner in (BEFORE, AFTER)
    return None if is_of_cache and isinstance(reader.operation, PowerCut) else owner


def _is_unflushed(oracle: Oracle, reader: Call) -> bool:
    """Whether the word may just be in the volatile cache of the disk."""
    is_cut = isinstance(reader.operation, PowerCut)
    return is_cut and Feature.VOLATILE_CACHE in oracle.history.features


def _source(
    oracle: Oracle, call: Call, operation: DirectWrite, name: PageName
) -> PageName | None:
    """Return the page of the buffer that was to be written to a page of the target."""
    return next(
        (
            source
            for source, target in zip(
                buffer_pages(oracle, call, operation),
                target_pages(operation),
                strict=True,
            )
            if target == name
        ),
        None,
    )


def _of_direct_read(
    oracle: Oracle,
    name: PageName,
    word: int,
    writer: Call,
    operation: DirectRead,
    seen: int,
) -> str:
    buffer = list(buffer_pages(oracle, writer, operation))
    source = list(target_pages(operation))[buffer.index(name)]
    if _is_let_go(oracle, writer, operation, name):
        return LIFETIME
    was_there = oracle.values(*source, word, -1, writer.ended)
    is_newly_written = any(
        call.ended < writer.asked and not _is_synced(oracle, call, writer, source[0])
        for call in _writers(oracle, source)
    )
    return FLUSH if seen in was_there and is_newly_written else CONTENT


def _writers(oracle: Oracle, name: PageName) -> Iterator[Call]:
    """Yield the calls that wrote a page through memory."""
    for call, _ in oracle.history.asked(Store, Write):
        if oracle.file_page(call) == name and not call.refused:
            yield call
    for record in oracle.pins:
        for page in record.pages:
            if page.name == name:
                yield from page.device_writes


def _is_synced(oracle: Oracle, write: Call, until: Call, file: int) -> bool:
    """Whether a good sync stands between a write and another call."""
    return any(
        call.succeeded
        and write.ended < call.asked
        and call.ended < until.asked
        and call.operation.name in {"fsync", "sync", "umount"}
        and getattr(call.operation, "file", file) == file
        for call in oracle.history.calls
        if call.was_asked
    )


# --- what it had no business with ----------------------------------------------------


def _of_bystander(
    oracle: Oracle,
    name: PageName,
    word: int,
    call: Call,
    operation: DirectWrite,
    seen: int,
) -> str | None:
    """Return whose rule it is, if a direct write spoiled what it was not to write."""
    if name in _undone(call, operation):
        was_there = oracle.values(*name, word, -1, call.ended)
        return BEFORE if seen in was_there else PARTIAL
    is_its_own = any(
        seen in oracle.memory_values(source, word, call.asked, call.ended)
        for source in buffer_pages(oracle, call, operation)
        if source is not None
    )
    if name in target_pages(operation) or seen == HOLE or not is_its_own:
        return None
    if _is_cut_beside(oracle, call, operation):
        return TRUNC
    is_inside = name[0] == operation.file
    return SELF if is_inside and is_self_io(oracle, call, operation) else None


def _undone(call: Call, operation: Operation | None) -> list[PageName]:
    """Return the pages that were asked for and not claimed to be written."""
    if not isinstance(operation, DirectWrite) or call.answered is None:
        return []
    done = call.result if isinstance(call.result, int) else 0
    return list(target_pages(operation))[done:]


def _is_cut_beside(oracle: Oracle, call: Call, operation: DirectWrite) -> bool:
    """Whether the target lost blocks while it was being written."""
    return any(
        other.asked < call.ended
        and call.asked < other.ended
        and not other.refused
        and cut.file == operation.file
        for other, cut in oracle.history.asked(Truncate, PunchHole)
    )


# --- what it names ------------------------------------------------------------------


def buffer_pages(
    oracle: Oracle, call: Call, operation: DirectRead | DirectWrite
) -> Iterator[PageName | None]:
    """Yield the pages of the buffer; None: the mapping has no such page."""
    for page in range(operation.page, operation.page + operation.pages):
        where = operation.process, operation.mapping, page
        yield oracle.layout.name(*where, call.asked)


def is_there(oracle: Oracle, call: Call, name: PageName | None) -> bool:
    """Whether a page of a buffer may be had: it is mapped, and its file has it."""
    if name is None or name[0] < 0:
        return name is not None
    sizes = oracle.sizes(name[0], call.asked, call.ended)
    return max(sizes) > name[1] * oracle.words_per_page


def target_pages(operation: DirectRead | DirectWrite) -> Iterator[PageName]:
    """Yield the pages of the file."""
    for page in range(operation.file_page, operation.file_page + operation.pages):
        yield operation.file, page


def is_self_io(oracle: Oracle, call: Call, operation: DirectRead | DirectWrite) -> bool:
    """Whether the buffer is a mapping of pages of the range itself."""
    targets = set(target_pages(operation))
    return any(name in targets for name in buffer_pages(oracle, call, operation))


def _is_let_go(
    oracle: Oracle,
    call: Call,
    operation: DirectRead | DirectWrite,
    name: PageName,
) -> bool:
    """Whether a page of the buffer lost its mapping, or its file, meanwhile."""
    span = oracle.layout.find(operation.process, operation.mapping, call.asked)
    if span is not None and span.remove_asked <= call.ended:
        return True
    return any(
        detach.is_cut and detach.begin <= call.ended and detach.end >= call.asked
        for detach in oracle.detaches.of(name)
    )


def is_touched_beside(oracle: Oracle, call: Call, name: PageName) -> bool:
    """Whether a page was looked up by others while a call was under way."""
    return any(
        other is not call
        and other.was_asked
        and other.asked < call.ended
        and call.asked < other.ended
        and name in _touched(oracle, other)
        for other in oracle.history.calls
    )


def _touched(oracle: Oracle, call: Call) -> Iterator[PageName | None]:
    operation: Operation = call.operation
    match operation:
        case Read() | Write() | Load() | Store():
            yield oracle.file_page(call)
        case DirectRead() | DirectWrite():
            yield from buffer_pages(oracle, call, operation)
        case GetUserPages() | DeviceTransfer():
            for page in range(operation.page, operation.page + operation.pages):
                where = operation.process, operation.mapping, page
                yield oracle.layout.name(*where, call.asked)
        case _:
            return


# --- what cannot be read ------------------------------------------------------------


def unreadable_after_direct_write(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the reads that fail, of pages that a direct write wrote last."""
    history = case.history
    is_failing = any(not failure.write for _, failure in history.asked(FailNext))
    if history.program.misuse or is_failing:
        return
    for call, _ in history.asked(Read, Load):
        name = case.oracle.file_page(call)
        if name is not None and is_unreadable(case.oracle, call, name):
            yield call, name


def is_unreadable(oracle: Oracle, call: Call, name: PageName) -> bool:
    """Whether a call failed at a page that a direct write wrote last."""
    if not call.refused or not _PROTECTING & oracle.history.features:
        return False
    is_eio = isinstance(call.error, KernelError) and call.error.errno is Errno.EIO
    if isinstance(call.operation, Read) and not is_eio:
        return False
    if isinstance(call.operation, Load) and oracle.may_signal(call):
        return False
    return is_written_directly(oracle, call, name)


def is_written_directly(oracle: Oracle, look: Call, name: PageName) -> bool:
    """Whether a page was last written past the cache, when it is looked at."""
    directs = [
        call
        for call, operation in oracle.history.asked(DirectWrite)
        if call.ended < look.asked and name in target_pages(operation)
    ]
    others = [call.asked for call in _writers(oracle, name) if call.asked < look.asked]
    return bool(directs) and all(asked < directs[-1].asked for asked in others)
