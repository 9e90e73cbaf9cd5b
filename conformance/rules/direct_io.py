"""Direct I/O: the first user of get_user_pages, on both of its ends.

The buffer is memory that a device reads or writes through pins. The file is read and
written past the page cache, which must neither hide what the disk has nor keep what
the disk has no more.

Verified: what readers, mappings and power cuts show of buffers and files after direct
I/O; what it claims to have done; that it ends. Not verified: which way a write went,
past the cache or through it - both are allowed; the order of direct I/O and accesses
through mappings that overlap it, of which S4 promises nothing.
"""

from collections.abc import Iterator

from conformance.interface import (
    DirectRead,
    DirectWrite,
    Load,
    PowerCut,
    Read,
    Store,
    Write,
)
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules import direct_calls
from conformance.rules.direct_losses import (
    AFTER,
    BEFORE,
    CAPTURE,
    CONTENT,
    FLUSH,
    LIFETIME,
    buffer_pages,
    is_touched_beside,
    target_pages,
    unreadable_after_direct_write,
)
from conformance.rules.evidence import found_losses
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Binds, Kind, Level

_LOOK = "load|read|power_cut"
_CACHED = "load|read"
_TRACKED = ("no_dirty_tracking",)

# --- the buffer ---------------------------------------------------------------------


@rule(
    CONTENT,
    clause=Clause(
        DOCUMENT,
        "S3, S23",
        "a direct read into a mapped page of a file is a write to that page, and "
        "lasts as any other does",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(operations=("direct_read", _LOOK)),
)
def what_was_read_stays_in_the_buffer(case: Case) -> Iterator[Finding]:
    """What a direct read has put into a page of a file is the file's content."""
    for call, operation in case.history.asked(DirectRead):
        for name in _done(case, call, operation)[0]:
            if name[0] >= 0 and _is_looked_at(case, name, call):
                case.premise()
    yield from found_losses(case, CONTENT)


@rule(
    CAPTURE,
    clause=Clause(
        DOCUMENT,
        "S4, S17; 968f19c5b1b7",
        "the buffer of a direct write may change meanwhile; where content is "
        "checksummed, encrypted or kept with parity, the disk gets one version of it "
        "all the same",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("direct_write", "read|power_cut"),
        features=("checksums", "parity", "encryption"),
    ),
)
def a_changing_buffer_is_captured_once(case: Case) -> Iterator[Finding]:
    """A page can be read after a direct write, however its buffer changed meanwhile."""
    for call, operation in case.history.asked(DirectWrite):
        sources, targets = _done(case, call, operation)
        for source, target in zip(sources, targets, strict=True):
            is_changed = is_touched_beside(case.oracle, call, source)
            if is_changed and _is_looked_at(case, target, call):
                case.premise()
    yield from found_losses(case, CAPTURE)
    for call, name in unreadable_after_direct_write(case):
        yield case.found(
            call,
            f"page {name[1]} of file {name[0]} cannot be read after a direct write "
            "(should be written from a copy of its buffer)",
        )


@rule(
    LIFETIME,
    clause=Clause(
        DOCUMENT,
        "S3; 0c4bcfdecb1a",
        "the pins of a buffer last until the data has been transferred, not only "
        "until it was asked for",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(operations=("direct_write", "truncate|punch_hole|munmap", _LOOK)),
)
def buffers_are_pinned_to_the_end(case: Case) -> Iterator[Finding]:
    """A buffer that is given up during direct I/O is transferred as it was."""
    for call, operation in case.history.asked(DirectWrite):
        if _gives_up_buffer(case, call, operation):
            _, targets = _done(case, call, operation)
            if any(_is_looked_at(case, target, call) for target in targets):
                case.premise()
    yield from found_losses(case, LIFETIME)


def _gives_up_buffer(case: Case, call: Call, operation: DirectWrite) -> bool:
    span = case.oracle.layout.find(operation.process, operation.mapping, call.asked)
    if span is not None and call.asked < span.remove_asked < call.ended:
        return True
    return any(
        detach.is_cut and call.asked < detach.begin < call.ended
        for name in buffer_pages(case.oracle, call, operation)
        if name is not None
        for detach in case.oracle.detaches.of(name)
    )


# --- the page cache -----------------------------------------------------------------


@rule(
    BEFORE,
    clause=Clause(
        KERNEL,
        "mm/filemap.c, kiocb_invalidate_pages; on S3",
        "what the cache has of a range is written to the disk, and dropped, before "
        "the range is written directly",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_write", _CACHED)),
)
def the_cache_makes_way(case: Case) -> Iterator[Finding]:
    """What was cached before a direct write neither hides it nor is lost to it."""
    for call, operation in case.history.asked(DirectWrite):
        for name in target_pages(operation):
            was_there = any(
                other.ended < call.asked and _is_at(case, other, name)
                for other, _ in case.history.asked(Read, Load, Store, Write)
            )
            if was_there and _is_looked_at(case, name, call):
                case.premise()
    yield from found_losses(case, BEFORE)


@rule(
    AFTER,
    clause=Clause(
        KERNEL,
        "mm/filemap.c, kiocb_invalidate_post_direct_write; 332391a9935d",
        "what came into the cache during a direct write is dropped when its data is "
        "on the disk",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_write", _CACHED)),
)
def the_cache_is_invalidated_again(case: Case) -> Iterator[Finding]:
    """What was read into the cache during a direct write does not outlive it."""
    for call, operation in case.history.asked(DirectWrite):
        for name in _done(case, call, operation)[1]:
            is_beside = is_touched_beside(case.oracle, call, name)
            if is_beside and _is_looked_at(case, name, call):
                case.premise()
    yield from found_losses(case, AFTER)


@rule(
    FLUSH,
    clause=Clause(
        KERNEL,
        "mm/filemap.c, kiocb_write_and_wait; on S3",
        "a direct read begins by writing what the cache has of its range",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("direct_read", "write|store", _CACHED)),
)
def direct_reads_see_the_cache(case: Case) -> Iterator[Finding]:
    """A direct read sees what was written to the file before it."""
    for call, operation in case.history.asked(DirectRead):
        buffers, sources = _done(case, call, operation)
        for buffer, source in zip(buffers, sources, strict=True):
            is_written = any(
                other.ended < call.asked and _is_at(case, other, source)
                for other, _ in case.history.asked(Store, Write)
            )
            if is_written and _is_looked_at(case, buffer, call):
                case.premise()
    yield from found_losses(case, FLUSH)


# --- how ----------------------------------------------------------------------------


def _done(
    case: Case, call: Call, operation: DirectRead | DirectWrite
) -> tuple[list[PageName], list[PageName]]:
    """Return the pages of buffer and file that a call has claimed to transfer."""
    count = call.result if isinstance(call.result, int) else 0
    pairs = [
        (buffer, target)
        for buffer, target in zip(
            buffer_pages(case.oracle, call, operation),
            target_pages(operation),
            strict=True,
        )
        if buffer is not None
    ][:count]
    return [buffer for buffer, _ in pairs], [target for _, target in pairs]


def _is_at(case: Case, call: Call, name: PageName) -> bool:
    return not call.refused and case.oracle.file_page(call) == name


def _is_looked_at(case: Case, name: PageName, after: Call) -> bool:
    """Whether a page is read after a call, or looked for on the disk."""
    for call, operation in case.history.asked(Read, Load, PowerCut):
        if call.asked < after.ended:
            continue
        is_cut = isinstance(operation, PowerCut) and call.succeeded
        if is_cut or case.oracle.file_page(call) == name:
            return True
    return False


RULES: tuple[Rule, ...] = (
    what_was_read_stays_in_the_buffer,
    a_changing_buffer_is_captured_once,
    the_cache_makes_way,
    the_cache_is_invalidated_again,
    direct_reads_see_the_cache,
    *direct_calls.CALL_RULES,
    buffers_are_pinned_to_the_end,
    *direct_calls.BLOCK_RULES,
)
