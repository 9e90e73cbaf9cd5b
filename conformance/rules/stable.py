"""Stable content: what goes to the disk does not change on its way.

A checksum, a parity block, a cipher are made of the content of a page before the
disk takes it over. If it changes in between, what is on the disk cannot be read any
more. CPUs can be kept out, by write-protecting and waiting; a device that has the
page pinned cannot, so what is written must be a copy.

Verified: data that cannot be read back, by read(2) or after a power cut; stores that
got through while one and the same writeback went on; by stepping, that the copy was
taken once and is what the disk got. Not verified: parity while a write is in flight;
anything after the disk was told to fail a write.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    Feature,
    Fsync,
    Load,
    MirrorWrite,
    PowerCut,
    Read,
    Store,
    Sync,
    Write,
)
from conformance.interface.events import (
    BlockCaptured,
    BlockSubmitted,
    BounceCaptured,
    PteChanged,
    WritebackEnded,
)
from conformance.oracle.history import Call, Sample
from conformance.rules.blame import PROTECTING, owner_of_torn
from conformance.rules.direct_losses import CAPTURE
from conformance.rules.evidence import lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
from conformance.rules.pinned import (
    Pinned,
    cleanings,
    has_failures,
    is_attached,
    is_unreadable,
    unreadable,
    write_pins,
)
from conformance.rules.rule import (
    DOCUMENT,
    SERIES,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sightings import is_same_writeback
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_SYNC = "fsync|sync"
_LOOK = "power_cut|read"
_WAITING = frozenset({Feature.CHECKSUMS, Feature.PARITY, Feature.STABLE_WRITES})
"""Features for which content must stay as it is until the write has ended."""


@rule(
    "STB-CPU",
    clause=Clause(
        DOCUMENT,
        "S14, S17",
        "a page whose content goes into a checksum or the like is not changed by a "
        "CPU from the time when it is taken from its writers until the write ends",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("store|write", f"{_SYNC}|writeback"),
        features=("checksums", "stable_writes", "parity"),
    ),
)
def no_store_during_writeback(case: Case) -> Iterator[Finding]:
    """No CPU store changes a page while it is being written with stable content."""
    if _WAITING & case.history.features:
        for call, _ in case.history.asked(Store, Write, MirrorWrite):
            yield from _store_got_through(case, call)
    for call in _looks(case):
        if _shows_disk(call) and _has_stored_and_synced(case, call):
            case.premise()
        yield from _torn(case, call, "STB-CPU")


def _has_stored_and_synced(case: Case, look: Call) -> bool:
    """Tell whether CPUs had written something that a sync had got to the disk."""
    kinds = (Store, Write, MirrorWrite)
    stored = [call.ended for call, _ in case.history.asked(*kinds)]
    return any(
        call.succeeded and min(stored, default=look.asked) < call.asked < look.asked
        for call, _ in case.history.asked(Fsync, Sync)
    )


def _store_got_through(case: Case, call: Call) -> Iterator[Finding]:
    name = case.oracle.file_page(call)
    before = case.history.sample_before(call.asked)
    after = case.history.sample_after(call.asked)
    if name is None or before is None or after is None or before.parked:
        return
    if case.oracle.pins_outstanding(*name, call.asked)[1]:
        return  # A copy may be on its way: then nothing depends on the page.
    waits = call.ended > after.moment and _is_under_writeback(before, name)
    if not waits and not is_same_writeback(case, name, before, after):
        return
    case.premise()
    if call.succeeded and call.ended < after.moment:
        yield case.found(
            call,
            f"page {name[1]} of file {name[0]} was under writeback before and after "
            f"{call.operation.name} answered (should wait until it is written)",
        )


def _is_under_writeback(sample: Sample, name: tuple[int, int]) -> bool:
    """Tell whether a page was claimed to be under writeback."""
    view = sample.pages.get(name)
    return view is not None and view.is_under_writeback is True


@rule(
    "STB-PINNED",
    clause=Clause(
        DOCUMENT,
        "S17, S19",
        "of a page that a device may be writing to, a private copy is written, so "
        "that checksum, parity and cipher fit what reaches the disk",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.SHOULD,
    needs=Needs(
        operations=(_GUP, "device_write|device_complete", _SYNC, _LOOK),
        features=("checksums", "parity", "encryption"),
    ),
)
def written_from_a_copy(case: Case) -> Iterator[Finding]:
    """What is written of a page that a device writes to can be read back."""
    if not PROTECTING & case.history.features:
        return
    for call in _looks(case):
        written = (_is_written_during(case, pinned, call) for pinned in _pins(case))
        if _shows_disk(call) and any(written):
            case.premise()
        yield from _torn(case, call, "STB-PINNED")


def _pins(case: Case) -> Iterator[Pinned]:
    """Yield the pins through which a device wrote."""
    return (pin for pin in write_pins(case.oracle) if pin[1].device_writes)


def _is_written_during(case: Case, pinned: Pinned, look: Call) -> bool:
    """Tell whether a device wrote while its page was on its way to the disk."""
    record, page = pinned
    name = page.file_page
    assert name is not None
    return any(
        is_attached(case.oracle, pinned, write.asked, write.asked)
        for write in page.device_writes
        for sync in cleanings(case.oracle, name[0], record.maker.ended, write.asked)
        if sync.ended > write.asked and write.asked < look.asked
    )


def _looks(case: Case) -> Iterator[Call]:
    """Yield what may show that data cannot be read, where that is told."""
    history = case.history
    if not PROTECTING & history.features or history.program.misuse:
        return
    for call, _ in history.asked(PowerCut, Read, Load):
        if not call.is_pending and not has_failures(history, before=call.ended):
            yield call


def _shows_disk(look: Call) -> bool:
    """Tell whether it is not a page in memory that was looked at."""
    return look.refused or isinstance(look.operation, PowerCut)


def _torn(case: Case, look: Call, owner: str) -> Iterator[Finding]:
    """Yield the pages that cannot be read for which a rule is to blame, once each."""
    seen: set[tuple[int, int]] = set()
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        name = loss.file, loss.page
        if loss.call is not look or name in seen or not _is_torn(case, loss):
            continue
        if loss.owner == CAPTURE:
            continue  # it was not writeback that wrote it
        if owner_of_torn(case.oracle, look, name) == owner:
            seen.add(name)
            yield case.found(look, f"{loss.sentence}: {_HOW[owner]}")
    for call, name in unreadable(case):
        if call is look and owner_of_torn(case.oracle, call, name) == owner:
            text = f"page {name[1]} of file {name[0]} cannot be read"
            yield case.found(look, f"{text}: {_HOW[owner]}")


_HOW = {
    owner: f"{who} changed it on its way to the disk (should be written from a copy)"
    for owner, who in (("STB-CPU", "a CPU"), ("STB-PINNED", "a device"))
}


def _is_torn(case: Case, loss: Loss) -> bool:
    """Tell whether what a power cut shows cannot be what anybody wrote."""
    features = case.history.features
    is_cut = isinstance(loss.call.operation, PowerCut)
    if is_cut and Feature.PARITY in features and _is_in_flight(case, loss.call):
        return False
    if is_unreadable(loss):
        return True
    if Feature.ENCRYPTION not in features or loss.seen is None or not is_cut:
        return False
    stamps = {getattr(call.operation, "value", 0) for call in case.history.calls}
    return loss.seen not in stamps | {0}


def _is_in_flight(case: Case, look: Call) -> bool:
    """Tell whether a block may have been on its way at a power cut."""
    sample = case.history.sample_before(look.asked)
    if sample is None or sample.pending or sample.parked:
        return True
    views = sample.pages.values()
    return any(view.is_under_writeback is not False for view in views if view.is_cached)


@rule(
    "STB-CAPTURE-ONCE",
    clause=Clause(
        SERIES,
        "S14, S17, S19",
        "the copy of a pinned page is taken after the page was write-protected, "
        "once, and the disk gets that copy and no later one",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MAY,
    needs=Needs(operations=(_GUP, _SYNC), stepping=True, events=True),
)
def captured_once(case: Case) -> Iterator[Finding]:
    """The copy of a pinned page is taken after mkclean, once, and then written."""
    books = _Copies(Feature.ENCRYPTION in case.history.features)
    for moment, event in case.history.events:
        match event:
            case PteChanged():
                books.note_pte(event)
            case BounceCaptured():
                case.premise()
                yield from _at(case, moment, books.captured(event))
            case BlockSubmitted():
                books.submitted(event)
            case BlockCaptured():
                yield from _at(case, moment, books.written(event))
            case WritebackEnded():
                books.copies.pop(event.frame, None)
            case _:
                pass


@attrs.define(eq=False)
class _Copies:
    """The copies on their way, and who may write to the pages that they are of."""

    is_encrypted: bool
    writable: dict[tuple[int, int], int] = attrs.field(
        factory=dict[tuple[int, int], int]
    )
    """Frames, by the entries through which they can be written."""
    copies: dict[int, tuple[int, ...]] = attrs.field(factory=dict[int, tuple[int, ...]])
    """What was captured, by frame."""
    blocks: dict[int, int] = attrs.field(factory=dict[int, int])
    """Frames, by the block to which their copy goes."""

    def note_pte(self, event: PteChanged) -> None:
        """Note through which entries frames can be written."""
        where = event.process, event.address
        self.writable.pop(where, None)
        if event.frame is not None and event.is_writable:
            self.writable[where] = event.frame

    def captured(self, event: BounceCaptured) -> str | None:
        """Note a copy; return what is wrong with it."""
        is_second = event.frame in self.copies
        self.copies[event.frame] = event.words
        if is_second:
            return f"{_frame(event.frame)} was copied twice (should be once)"
        if event.frame in self.writable.values():
            return (
                f"{_frame(event.frame)} was copied while a page table entry allowed "
                "writing to it (should be write-protected first)"
            )
        return None

    def submitted(self, event: BlockSubmitted) -> None:
        """Note where a copy goes."""
        self.blocks.pop(event.block, None)
        if event.is_bounced and event.frame in self.copies:
            self.blocks[event.block] = event.frame

    def written(self, event: BlockCaptured) -> str | None:
        """Return what is wrong with what the disk took over."""
        frame = self.blocks.pop(event.block, None)
        copy = None if frame is None else self.copies.get(frame)
        if frame is None or copy in {None, event.words} or self.is_encrypted:
            return None
        return (
            f"the disk took {event.words} for {_frame(frame)} (should be {copy}, as "
            "it was copied)"
        )


def _frame(frame: int) -> str:
    return f"the page in frame {frame}"


def _at(case: Case, moment: int, sentence: str | None) -> Iterator[Finding]:
    """Make a finding at the last call that had been asked at a moment."""
    if sentence is None:
        return
    calls = [c for c in case.history.calls if c.was_asked and c.asked < moment]
    yield case.found(calls[-1] if calls else None, sentence)


STABLE_RULES: tuple[Rule, ...] = (
    no_store_during_writeback,
    written_from_a_copy,
    captured_once,
)
