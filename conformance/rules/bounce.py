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
    DeviceComplete,
    DeviceWrite,
    Errno,
    FailNext,
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
from conformance.rules.evidence import (
    at_rest,
    found_losses,
    lost_in_memory,
    lost_on_disk,
)
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
    shown_by,
    sync_of,
    syncs,
    values_since,
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
    yield from found_losses(case, "BNC-KEEPDIRTY")
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        pin = pin_of(case.oracle, loss)
        is_ours = loss.owner != "BNC-KEEPDIRTY" and pin is not None
        if is_ours and loss.writer in _writes_after_cleaning(case, pin):
            yield case.found(loss.call, f"{loss.sentence}: {_WRITTEN_LATER}")
    for sighting in _sightings(case):
        if sighting.write in _writes_after_cleaning(case, sighting.pinned):
            yield from sighting.findings(case)


_WRITTEN_LATER = "a device wrote it after the pinned page had been written"


def _writes_after_cleaning(case: Case, pinned: Pinned | None) -> list[Call]:
    """Return a device's writes after a writeback of the page while it was pinned."""
    if pinned is None:
        return []
    record, page = pinned
    name = page.file_page
    assert name is not None
    return [
        write
        for write in page.device_writes
        if is_attached(case.oracle, pinned, write.asked, write.asked)
        and any(cleanings(case.oracle, name[0], record.maker.ended, write.asked))
    ]
