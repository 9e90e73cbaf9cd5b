"""What happened to a page of a file while a device could write to it.

Interface:
  * `write_pins(oracle, name)`: the tracked pins for writing that a page had, with
    what became of each; `was_pinned_over`: surely pinned from a moment to another.
  * `cleanings`, `good_syncs`: the calls that write dirty pages of a file, and those
    that promised that it is on the disk; `sync_of(oracle, loss)`: the promise that a
    power cut shows to be broken.
  * `values_since(...)`: what a word may show if what it had at a moment is not lost.
  * `shown_by(cut, ...)`: what a power cut shows of a word.
  * `unreadable(case)`: reads of data that the stack refused by itself. `stale(case)`:
    the losses where old data was read instead.
"""

from collections.abc import Iterator

from conformance.interface import (
    UNREADABLE,
    DeviceComplete,
    DeviceWrite,
    Errno,
    FailNext,
    Feature,
    FillDisk,
    FreeDisk,
    Freeze,
    Fsync,
    Hold,
    KernelError,
    Load,
    PowerCut,
    PowerCutImage,
    Read,
    Release,
    Sync,
    Thaw,
    Umount,
    Writeback,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.detaches import Fate
from conformance.oracle.history import Call, History, Moment
from conformance.oracle.layout import PageName
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.blame import PROTECTING
from conformance.rules.direct_losses import is_written_directly
from conformance.rules.evidence import lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
from conformance.rules.rule import Case

Pinned = tuple[PinRecord, PinnedPage]
"""A pin, and the page of it that is spoken of."""

NEW_BLOCKS = frozenset({Feature.COPY_ON_WRITE, Feature.CHECKSUMS})
"""Features by which every write of a page needs a new block."""


# --- pins -------------------------------------------------------------------------


def write_pins(oracle: Oracle, name: PageName | None = None) -> Iterator[Pinned]:
    """Yield the tracked pins for writing of a page of a file; None: of all pages."""
    if oracle.history.program.misuse:
        return
    for record in oracle.pins:
        if record.tracked and record.write and record.is_certain:
            for page in record.pages:
                if page.file_page is not None and name in {None, page.file_page}:
                    yield record, page


def is_attached(oracle: Oracle, pinned: Pinned, begin: Moment, end: Moment) -> bool:
    """Tell whether a pinned page surely was the file's from begin to end."""
    record, page = pinned
    name = page.file_page
    if name is None:
        return False
    return oracle.detaches.fate(name, record.maker, begin, end) is Fate.ATTACHED


def is_held_over(oracle: Oracle, pinned: Pinned, begin: Moment, end: Moment) -> bool:
    """Tell whether a pin surely was one of the file's page from begin to end."""
    record, page = pinned
    is_there = record.maker.ended < begin and page.put_asked > end
    return is_there and is_attached(oracle, pinned, begin, end)


def was_pinned_over(oracle: Oracle, name: PageName, begin: Moment, end: Moment) -> bool:
    """Tell whether a page surely was pinned for writing from begin to end."""
    return any(
        is_held_over(oracle, pinned, begin, end) for pinned in write_pins(oracle, name)
    )


def pin_of(oracle: Oracle, loss: Loss) -> Pinned | None:
    """Return the pin through which the missing value was written; None: no pin."""
    if loss.writer is None or not isinstance(
        loss.writer.operation, DeviceWrite | DeviceComplete
    ):
        return None
    for record, page in write_pins(oracle, (loss.file, loss.page)):
        if loss.writer in page.device_writes:
            return record, page
    return None


# --- syncs ------------------------------------------------------------------------


def cleanings(oracle: Oracle, file: int, begin: Moment, end: Moment) -> Iterator[Call]:
    """Yield the calls that write dirty pages of a file, asked from begin to end."""
    for call in oracle.history.calls:
        match call.operation:
            case Fsync(about) | Writeback(about) if about != file:
                continue
            case Fsync() | Writeback() | Sync() if begin < call.asked < end:
                yield call


def syncs(oracle: Oracle, file: int) -> Iterator[Call]:
    """Yield the calls that were asked to get a file onto the disk."""
    for call in oracle.history.calls:
        match call.operation:
            case Fsync(about) if about != file:
                continue
            case Fsync() | Sync() | Umount() if call.was_asked:
                yield call


def good_syncs(oracle: Oracle, file: int) -> Iterator[Call]:
    """Yield those that answered that it is there."""
    return (call for call in syncs(oracle, file) if call.succeeded)


def sync_of(oracle: Oracle, loss: Loss) -> Call | None:
    """Return the last sync before the power cut that shows a loss; None: no cut."""
    if not isinstance(loss.call.operation, PowerCut):
        return None
    before = [c for c in good_syncs(oracle, loss.file) if c.ended < loss.call.asked]
    return max(before, key=lambda call: call.asked, default=None)


def has_failures(history: History, *, before: Moment, write: bool = True) -> bool:
    """Tell whether the disk had been made to fail before a moment."""
    return any(
        failure.write is write and call.asked < before
        for call, failure in history.asked(FailNext)
    )


# --- the disk ---------------------------------------------------------------------


def was_full_over(history: History, begin: Moment, end: Moment) -> bool:
    """Tell whether the disk surely was full from begin to end."""
    return _was_on(history, FillDisk, FreeDisk, begin, end)


def may_be_full(history: History, moment: Moment) -> bool:
    """Tell whether the disk was filled and perhaps not freed at a moment."""
    filled = [call for call, _ in history.asked(FillDisk) if call.asked < moment]
    freed = [call for call, _ in history.asked(FreeDisk) if call.ended < moment]
    return len(filled) > len(freed)


def was_held_over(history: History, begin: Moment, end: Moment) -> bool:
    """Tell whether the disk surely was held from begin to end."""
    return _was_on(history, Hold, Release, begin, end)


def _was_on(
    history: History,
    on: type[FillDisk] | type[Hold],
    off: type[FreeDisk] | type[Release],
    begin: Moment,
    end: Moment,
) -> bool:
    since = [c.ended for c, _ in history.asked(on) if c.succeeded and c.ended < begin]
    if not since:
        return False
    ends = (call.asked for call, _ in history.asked(off))
    return not any(since[-1] < asked <= end for asked in ends)


def is_hindered(history: History, moment: Moment) -> bool:
    """Tell whether something may keep writes from ending: a hold, a freeze."""
    hindered = {Hold: False, Freeze: False}
    for call in history.calls:
        if not call.was_asked or call.asked > moment:
            continue
        match call.operation:
            case Hold():
                hindered[Hold] = True
            case Freeze():
                hindered[Freeze] = True
            case Release() if call.ended < moment:
                hindered[Hold] = False
            case Thaw() if call.ended < moment:
                hindered[Freeze] = False
    return any(hindered.values())


# --- values -----------------------------------------------------------------------


def values_since(
    oracle: Oracle, name: PageName, word: int, moment: Moment, end: Moment
) -> frozenset[int]:
    """Return what a word may show, if what it had at a moment is not lost."""
    return oracle._resolved(
        write
        for write in oracle._log.of(name, word)
        if write.begin <= end and write.end >= moment
    )


def shown_by(cut: Call, name: PageName, word: int, words_per_page: int) -> int | None:
    """Return a word of a file as a power cut shows it; None: it is not there."""
    assert isinstance(cut.result, PowerCutImage)
    image = cut.result.files.get(name[0])
    position = name[1] * words_per_page + word
    if image is None or position >= len(image.words):
        return None
    return image.words[position]


def unreadable(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the reads and loads that fail though the disk had no such order."""
    history = case.history
    if history.program.misuse or not PROTECTING & history.features:
        return
    for call, operation in history.asked(Read, Load):
        name = case.oracle.file_page(call)
        if not call.refused or name is None:
            continue
        if has_failures(history, before=call.ended, write=False):
            continue
        is_load = isinstance(operation, Load)
        if case.oracle.may_signal(call) if is_load else not _is_eio(call):
            continue
        if not is_written_directly(case.oracle, call, name):
            yield call, name


def _is_eio(call: Call) -> bool:
    return isinstance(call.error, KernelError) and call.error.errno is Errno.EIO


def stale(case: Case) -> Iterator[Loss]:
    """Yield the losses that are old data, not data that cannot be read.

    What is missing after a power cut of a disk with a cache may just not have been
    flushed; that has its own rule.
    """
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        if not is_unreadable(loss) and not is_in_cache(case, loss.call):
            yield loss


def is_in_cache(case: Case, look: Call) -> bool:
    """Tell whether a look at the disk does not see what its cache may have."""
    is_cut = isinstance(look.operation, PowerCut)
    return is_cut and Feature.VOLATILE_CACHE in case.history.features


def is_unreadable(loss: Loss) -> bool:
    """Tell whether a word could not be read at all."""
    return loss.seen == UNREADABLE
