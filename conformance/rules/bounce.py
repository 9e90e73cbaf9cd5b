"""Bounce pages: a copy is written of a page that a device may be writing to.

The copy solves stability, and brings duties of its own: the page is dirty again, a
sync writes it all the same and does not wait for the pin, the space for the next
write is there before the last one's is spent, nothing of what lies beyond the end of
the file gets out with it, and an error loses neither the data nor the copy.

Verified: what is on the disk after a power cut, and what can be read, of pages that
were pinned for writing; that syncs answer; counters at rest. A stack that keeps what
a device writes apart until the put is judged by what a CPU has seen of it.
Not verified: that the page is called dirty while it is pinned: a stack may know it
otherwise.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Errno,
    Fsync,
    KernelError,
    Load,
    PowerCut,
    Read,
    Sync,
    Truncate,
)
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules.bounce_errors import ERROR_RULES
from conformance.rules.device_data import sightings
from conformance.rules.evidence import found_losses
from conformance.rules.losses import Loss
from conformance.rules.pinned import (
    NEW_BLOCKS,
    Pinned,
    cleanings,
    good_syncs,
    has_failures,
    is_attached,
    is_held_over,
    is_hindered,
    pin_of,
    stale,
    sync_of,
    was_full_over,
    was_pinned_over,
    write_pins,
)
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    THREAD,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.stable import STABLE_RULES
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_DEVICE = "device_write|device_complete"
_SYNC = "fsync|sync"
_TRACKED = ("no_dirty_tracking",)


@rule(
    "BNC-KEEPDIRTY",
    clause=Clause(
        DOCUMENT,
        "S19, S20",
        "a page that is still pinned when its copy is written is taken for dirty "
        "again, so that what the device writes later reaches the disk as well",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.SHOULD,
    needs=Needs(
        operations=(_GUP, _DEVICE, f"{_SYNC}|writeback", "power_cut|load|read"),
        absent_features=_TRACKED,
    ),
)
def dirty_as_long_as_pinned(case: Case) -> Iterator[Finding]:
    """What a device writes to a page written while pinned is not lost later."""
    for pinned in write_pins(case.oracle):
        for _ in _writes_after_cleaning(case, pinned):
            case.premise()
    for loss in _lost_after_cleaning(case):
        if loss.owner != "BNC-KEEPDIRTY":
            yield case.found(loss.call, loss.sentence)
    yield from found_losses(case, "BNC-KEEPDIRTY")
    for sighting in sightings(case):
        if sighting.write in _writes_after_cleaning(case, sighting.pinned):
            yield from sighting.findings(case)


def _lost_after_cleaning(case: Case) -> Iterator[Loss]:
    """Yield losses of what a device wrote after the page had been written."""
    for loss in stale(case):
        pin = pin_of(case.oracle, loss)
        if pin is not None and loss.writer in _writes_after_cleaning(case, pin):
            yield loss


def _writes_after_cleaning(case: Case, pinned: Pinned) -> list[Call]:
    """Return a device's writes after a writeback of the page while it was pinned."""
    record, page = pinned
    name = page.file_page
    assert name is not None
    return [
        write
        for write in page.device_writes
        if is_attached(case.oracle, pinned, write.asked, write.asked)
        and any(cleanings(case.oracle, name[0], record.maker.ended, write.asked))
    ]


@rule(
    "BNC-FSYNC",
    clause=Clause(
        THREAD,
        "Kara, Chinner, Glisse 2019, on S6 and S19",
        "a sync for data integrity writes what pinned pages hold and answers; it "
        "neither passes them over nor waits for pins",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, _SYNC), absent_features=_TRACKED),
)
def synced_though_pinned(case: Case) -> Iterator[Finding]:
    """A sync answers while pages are pinned for writing, and has written them."""
    for call, operation in case.history.asked(Fsync, Sync):
        file = operation.file if isinstance(operation, Fsync) else None
        yield from _waits_for_pin(case, call, file)
    for loss in _not_synced(case):
        why = "a sync answered while the page was pinned"
        yield case.found(loss.call, f"{loss.sentence}: {why}")
    for sighting in sightings(case):
        if sighting.write not in _writes_after_cleaning(case, sighting.pinned):
            yield from sighting.findings(case)


_COPIES = (DirectRead, DirectWrite)


def _not_synced(case: Case) -> Iterator[Loss]:
    """Yield the losses of what pinned pages held when a sync was asked for.

    What direct I/O should have brought may have been lost before it got there.
    """
    for loss in stale(case):
        sync = sync_of(case.oracle, loss)
        is_copy = loss.writer and isinstance(loss.writer.operation, _COPIES)
        if is_copy or not sync or has_failures(case.history, before=sync.ended):
            continue
        if was_pinned_over(case.oracle, _name(loss), sync.asked, sync.ended):
            yield loss


def _waits_for_pin(case: Case, sync: Call, file: int | None) -> Iterator[Finding]:
    sample = case.history.sample_after(sync.asked)
    if sample is None or is_hindered(case.history, sample.moment):
        return
    for pinned in write_pins(case.oracle):
        name = pinned[1].file_page
        assert name is not None
        if file not in {None, name[0]}:
            continue
        if is_held_over(case.oracle, pinned, sync.asked, sample.moment):
            case.premise()
            if _is_stuck(sync, sample):
                yield case.found(
                    sync,
                    f"{sync.operation.name} waits for {sync.blocked_on or 'something'} "
                    f"while page {name[1]} of file {name[0]} is pinned (should answer)",
                )
            return


def _is_stuck(sync: Call, sample: Sample) -> bool:
    """Tell whether a sync had not answered, with nobody else under way."""
    return sample.pending == {sync.index} and not sample.parked


def _name(loss: Loss) -> PageName:
    return loss.file, loss.page


@rule(
    "BNC-RESERVE",
    clause=Clause(
        THREAD,
        "Chinner, Hellwig, February 2023, on S18",
        "where every write takes a new block, a page that is pinned and was written "
        "gets another promised before it can be dirty again",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.SHOULD,
    needs=Needs(
        operations=(_GUP, _DEVICE, _SYNC, "fill_disk"),
        features=("copy_on_write", "checksums"),
    ),
)
def space_for_every_copy(case: Case) -> Iterator[Finding]:
    """A pinned page that was written once can be written again on a full disk."""
    history = case.history
    if not NEW_BLOCKS & history.features:
        return
    for call, operation in history.asked(Fsync, Sync):
        file = operation.file if isinstance(operation, Fsync) else None
        if _is_on_full_disk(case, call) and _rewrites(case, call, file):
            case.premise()
            if _is_for_space(call):
                yield case.found(
                    call,
                    f"{call.operation.name} of a page that was written while it was "
                    f"pinned is refused with {call.error} (should have space)",
                )
    for loss in _lost_after_cleaning(case):
        sync = sync_of(case.oracle, loss)
        if sync is not None and _is_on_full_disk(case, sync):
            yield case.found(loss.call, f"{loss.sentence}: the disk was full")


def _is_on_full_disk(case: Case, sync: Call) -> bool:
    """Tell whether a sync ran on a full disk that did nothing worse."""
    return was_full_over(case.history, sync.asked, sync.ended) and not has_failures(
        case.history, before=sync.ended
    )


def _rewrites(case: Case, sync: Call, file: int | None) -> bool:
    """Tell whether a sync has to write what a device wrote after a copy was taken."""
    return any(
        write.ended < sync.asked
        for pinned in write_pins(case.oracle)
        if pinned[1].file_page is not None and file in {None, pinned[1].file_page[0]}
        for write in _writes_after_cleaning(case, pinned)
    )


def _is_for_space(call: Call) -> bool:
    errors = {Errno.ENOSPC, Errno.EIO}
    return isinstance(call.error, KernelError) and call.error.errno in errors


@rule(
    "BNC-EOF",
    clause=Clause(
        KERNEL,
        "writepage of every filesystem; iomap_writepage_handle_eof",
        "the copy is zero beyond the end of the file, whatever a device has put "
        "there; it does not show when the file grows",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _DEVICE, _SYNC, "truncate", "power_cut|read|load"),
        absent_features=_TRACKED,
    ),
)
def nothing_beyond_the_end(case: Case) -> Iterator[Finding]:
    """What a device wrote beyond the end of the file never becomes its content."""
    for name, word, sync in _spills(case):
        if _is_shown_later(case, name, word, sync):
            case.premise()
    for loss in stale(case):
        if loss.word is None or loss.seen is None:
            continue
        for name, word, sync in _spills(case):
            values = {
                value
                for write in case.oracle._log.beyond(name, word)
                for value in write.values
            }
            is_here = (*_name(loss), loss.word) == (*name, word)
            if is_here and loss.seen in values and loss.call.asked > sync.ended:
                why = "a device wrote it beyond the end of the file"
                yield case.found(loss.call, f"{loss.sentence}: {why}")
                break


def _spills(case: Case) -> Iterator[tuple[PageName, int, Call]]:
    """Yield words beyond the end that devices wrote, and a sync while pinned."""
    for _, page in write_pins(case.oracle):
        name = page.file_page
        assert name is not None
        for write in page.device_writes:
            for word in range(case.oracle.words_per_page):
                if _is_beyond(case, name, word, write):
                    for sync in good_syncs(case.oracle, name[0]):
                        if _finds_pinned(case, name, sync, write.ended):
                            yield name, word, sync


def _finds_pinned(case: Case, name: PageName, sync: Call, since: Moment) -> bool:
    """Tell whether a sync found a page pinned; umount detaches it afterwards."""
    return sync.asked > since and any(
        record.maker.ended < sync.asked
        and page.put_asked > sync.ended
        and is_attached(case.oracle, (record, page), since, sync.asked - 1)
        for record, page in write_pins(case.oracle, name)
    )


def _is_beyond(case: Case, name: PageName, word: int, write: Call) -> bool:
    if isinstance(write.operation, DeviceWrite) and write.operation.word != word:
        return False
    beyond = case.oracle._log.beyond(name, word)
    return any(spill.begin == write.asked for spill in beyond)


def _is_shown_later(case: Case, name: PageName, word: int, sync: Call) -> bool:
    """Tell whether the file was made to reach the word, and then looked at."""
    position = name[1] * case.oracle.words_per_page + word
    grown = [
        call.ended
        for call, truncate in case.history.asked(Truncate)
        if truncate.file == name[0]
        and truncate.words > position
        and call.asked > sync.ended
        and call.succeeded
    ]
    looks = (call for call, _ in case.history.asked(PowerCut, Read, Load))
    return any(call.asked > min(grown, default=call.asked) for call in looks)


RULES: tuple[Rule, ...] = (
    *STABLE_RULES,
    dirty_as_long_as_pinned,
    synced_though_pinned,
    space_for_every_copy,
    nothing_beyond_the_end,
    *ERROR_RULES,
)
