"""Whose rule a wrong word is that private memory is to blame for.

Private memory is what one process has for itself: anonymous pages, and its copies of
the pages of a file that it has mapped privately. A wrong word of it belongs to the
rule whose breach explains it, told from whose value was seen, and from what happened
between the pin and the look at the page. So does a word of a file that shows what was
written through a private mapping of it.

Interface:
  * `private_owner(oracle, reader, name, word, seen, admissible)`: the id of the owning
    rule, one of `PRIVATE_OWNERS`; None: no private memory is concerned.
"""

from conformance.interface import (
    HOLE,
    ClearRefs,
    DeviceRead,
    DeviceTransfer,
    Dontneed,
    GetUserPages,
    Merge,
    Migrate,
    Mprotect,
    Munmap,
    Operation,
    Pageout,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import Memory, PageName
from conformance.oracle.pins import PinRecord
from conformance.rules.blame import last_writer
from conformance.rules.kinship import (
    Fork,
    copies_of,
    forks_between,
    is_pinned_over,
    line_of,
    overlaps,
    was_shared,
)
from conformance.rules.mirrored import mirror_owner
from conformance.rules.private_sources import (
    Look,
    Source,
    ever,
    source_of,
    sources_of,
)

PRIVATE_OWNERS = frozenset(
    {
        "ANON-FORK-COPY",
        "ANON-FORK-SEQ",
        "ANON-FORK-SNAPSHOT",
        "ANON-EXCL",
        "ANON-UNSHARE",
        "ANON-WRITEREUSE",
        "ANON-NOWP",
        "ANON-NOSWAP",
        "ANON-FORCE",
        "ANON-ISOLATION",
        "ANON-DONTNEED",
        "MKW-PRIVATE-MAP",
        "GWB-WRITEBIT",
        "LT-RO",
    }
)
"""The rules that own such losses; each yields from `private_losses.found`."""


def private_owner(
    oracle: Oracle,
    reader: Call,
    name: PageName,
    word: int | None,
    seen: int | None,
    admissible: frozenset[int],
) -> str | None:
    """Return the rule that has to report a wrong word; None: no private memory."""
    look = Look(oracle, reader, name, word, seen, admissible)
    if name[0] >= 0:
        return _owner_of_leak(look)
    _, kind = last_writer(oracle, reader, name, word, admissible)
    if mirror_owner(oracle, reader, name, kind) is not None:
        return None
    source = None if seen in ever(look) else source_of(look)
    if source is not None:
        return _owner_of_foreign(look, source)
    return _owner_of_stale(look)


# --- a file shows what was written to private memory ---------------------------------


def _owner_of_leak(look: Look) -> str | None:
    oracle, file, page = look.oracle, look.name[0], look.name[1]
    is_ours = look.word is None or look.seen in {None, HOLE}
    if is_ours or look.seen in ever(look):
        return None
    for source in sources_of(look):
        memory = oracle.layout.memories.get(source.name[0])
        if memory is not None and memory.file == file and source.name[1] == page:
            return _leaking(oracle, source)
    return None


def _leaking(oracle: Oracle, source: Source) -> str:
    """Return what let a write through a private mapping reach the file."""
    record = source.record
    if record is None:
        return "MKW-PRIVATE-MAP"
    operation = record.maker.operation
    assert isinstance(operation, GetUserPages)
    if operation.force:
        return "ANON-FORCE"
    is_raced = _has(oracle, record.maker, (Dontneed, Mprotect, Munmap), record.process)
    return "GWB-WRITEBIT" if is_raced else "MKW-PRIVATE-MAP"


def _has(
    oracle: Oracle, call: Call, kinds: tuple[type[Operation], ...], process: int
) -> bool:
    """Whether a call overlapped one of these of the same process."""
    return any(
        other.asked <= call.ended and other.ended >= call.asked
        for other, operation in oracle.history.asked(*kinds)
        if getattr(operation, "process", process) == process
    )


# --- somebody else's value -----------------------------------------------------------


def _owner_of_foreign(look: Look, source: Source) -> str:
    path = forks_between(look.oracle, source.name, look.name)
    if source.name == look.name or (path is None and _is_given_up(look, source)):
        owner = "ANON-DONTNEED"
    elif source.record is not None:
        owner = _owner_of_pin(look, source, source.record)
    elif path is None:
        owner = "ANON-EXCL" if _merged(look) else "ANON-ISOLATION"
    elif isinstance(source.call.operation, DeviceTransfer):
        is_raced = any(overlaps(source.call, fork) for fork in path)
        owner = "ANON-FORK-SEQ" if is_raced else "GWB-WRITEBIT"
    else:
        owner = _owner_of_sharing(look, source, path)
    return owner


def _owner_of_sharing(look: Look, source: Source, path: list[Fork]) -> str:
    """Return what let a process see what another stored after a fork."""
    for record in look.oracle.pins:
        if not record.tracked or record.maker.asked > look.reader.ended:
            continue
        names = {page.name for page in record.pages if page.name is not None}
        for fork in path if names & {source.name, look.name} else ():
            if overlaps(record.maker, fork):
                return "ANON-FORK-SEQ"
            if is_pinned_over(record, fork):
                return "ANON-FORK-COPY"
    return "ANON-ISOLATION"


def _owner_of_pin(look: Look, source: Source, record: PinRecord) -> str:
    """Return what let a device write to a page of somebody else."""
    operation = record.maker.operation
    assert isinstance(operation, GetUserPages)
    if operation.force:
        return "ANON-FORCE"
    for fork in forks_between(look.oracle, source.name, look.name) or ():
        if overlaps(record.maker, fork):
            return "ANON-FORK-SEQ"
        if record.maker.ended < fork[0]:
            return "ANON-FORK-COPY"
    return "ANON-EXCL" if _merged(look) else "GWB-WRITEBIT"


def _is_given_up(look: Look, source: Source) -> bool:
    """Whether what was seen, or who saw it, had to do with a page given up before."""
    pins = look.oracle.private_pins
    written = source.record
    if written is not None and pins.loss(written, source.name, source.call.ended):
        return True
    return _is_of_given_up(look) and written is None


def _is_of_given_up(look: Look) -> bool:
    """Whether a device looked at a page that its process had given up."""
    if not isinstance(look.reader.operation, DeviceRead):
        return False
    record = look.oracle.pin_of(look.reader)
    if record is None:
        return False
    pins = look.oracle.private_pins
    return pins.loss(record, look.name, look.reader.asked) is not None


def _merged(look: Look) -> bool:
    merges = look.oracle.history.asked(Merge)
    return any(call.asked < look.reader.ended for call, _ in merges)


# --- a value of its own, but not the one due -----------------------------------------


def _owner_of_stale(look: Look) -> str:
    oracle, reader, name = look.oracle, look.reader, look.name
    if isinstance(reader.operation, DeviceRead):
        record = oracle.pin_of(reader)
        if _is_of_given_up(look):
            return "ANON-DONTNEED"
        return "ANON-WRITEREUSE" if record is None else _why_stale(look, record)
    writer, kind = last_writer(oracle, reader, name, look.word, look.admissible)
    record = oracle.pin_of(writer) if writer is not None and kind == "device" else None
    record = record or _pin_beside(look, writer)
    if _was_given_up(look, writer):
        owner = "ANON-DONTNEED"
    elif writer is not None and _is_of_the_file_since(look, writer):
        owner = "MKW-PRIVATE-MAP"
    else:
        owner = _why_stale(look, record) if record else _why_lost(look, writer)
    return owner


def _was_given_up(look: Look, writer: Call | None) -> bool:
    """Whether the page was given up after what was due was written."""
    since = -1 if writer is None else writer.asked
    return any(
        detach.is_certain and since < detach.begin and detach.end < look.reader.asked
        for detach in look.oracle.detaches.of(look.name)
    )


def _is_of_the_file_since(look: Look, writer: Call) -> bool:
    """Whether a private page shows what was written to the file after it was copied."""
    memory = look.oracle.layout.memories.get(look.name[0])
    if memory is None or memory.file is None:
        return False
    page = memory.file, look.name[1]
    return any(s.name == page and s.call.asked > writer.asked for s in sources_of(look))


def _pin_beside(look: Look, writer: Call | None) -> PinRecord | None:
    """Return a tracked pin that the page had since something wrote to it."""
    since = -1 if writer is None else writer.asked
    for record, page in reversed(look.oracle._pins.on(look.name)):
        is_early = record.maker.asked < look.reader.ended
        if record.tracked and is_early and page.put_ended > since:
            return record
    return None


def _why_stale(look: Look, record: PinRecord) -> str:
    """Return what took the page of a process from under a pin."""
    forks = list(copies_of(look.oracle, look.name))
    is_anonymous = look.oracle.private_pins.is_anonymous(
        look.name, record.maker.asked, record.maker.ended
    )
    if any(overlaps(record.maker, fork) for fork in forks):
        owner = "ANON-FORK-SEQ"
    elif not record.write and was_shared(look.oracle, record, look.name):
        owner = "ANON-UNSHARE"
    elif not record.write and record.longterm and not is_anonymous:
        owner = "LT-RO"
    elif any(record.maker.ended < fork[0] < look.reader.ended for fork in forks):
        owner = "ANON-FORK-COPY"
    else:
        owner = _why_moved(look, record.maker.asked)
    return owner


def _why_moved(look: Look, since: Moment) -> str:
    """Return what was done to a page behind the back of its process."""
    for kind, owner in _MOVERS:
        for call, operation in look.oracle.history.asked(kind):
            is_between = call.ended > since and call.asked < look.reader.ended
            if is_between and _is_about(look, call, operation):
                return owner
    return "ANON-WRITEREUSE"


_MOVERS: tuple[tuple[type[Operation], str], ...] = (
    (ClearRefs, "ANON-NOWP"),
    (Pageout, "ANON-NOSWAP"),
    (Migrate, "ANON-NOSWAP"),
    (Merge, "ANON-EXCL"),
)


def _is_about(look: Look, call: Call, operation: Operation) -> bool:
    """Whether an operation is about the memory that was looked at."""
    process = getattr(operation, "process", None)
    if process is None:
        return False
    mapping = getattr(operation, "mapping", None)
    spans = (
        look.oracle.layout.find(process, number, call.asked)
        for owner, number in look.oracle.layout.spans
        if owner == process and mapping in {None, number}
    )
    return any(s is not None and s.memory.number == look.name[0] for s in spans)


def _why_lost(look: Look, writer: Call | None) -> str:
    """Return what lost a word of a page that nobody had pinned."""
    line = line_of(look.oracle, look.name[0])
    owner = _why_moved(look, -1)
    if writer is None and len(line) > 1:
        owner = _why_not_copied(look, line)
    elif owner == "ANON-WRITEREUSE" and line and line[0].file is not None:
        owner = "MKW-PRIVATE-MAP"
    return owner


def _why_not_copied(look: Look, line: list[Memory]) -> str:
    """Return what kept a child from having what its parent had."""
    for child in line[:-1]:
        assert child.parent is not None
        fork = child.begin, child.end
        for record, _ in look.oracle._pins.on((child.parent.number, look.name[1])):
            if record.tracked and is_pinned_over(record, fork):
                return "ANON-FORK-COPY"
    return "ANON-FORK-SNAPSHOT"
