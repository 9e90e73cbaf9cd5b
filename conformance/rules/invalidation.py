"""Pages that leave their mapping or their file while a device has them pinned.

What a device may do to such a page concerns nobody: not the file that it was cut off,
not the file that has its blocks now, not the page that has taken its place. And
nobody waits for the device.
"""

from collections.abc import Iterator

from conformance.interface import (
    Exit,
    Fork,
    Mremap,
    Munmap,
    PageView,
    PunchHole,
    Truncate,
)
from conformance.interface.events import BlockSubmitted, PageKey, WritebackEnded
from conformance.oracle.history import Call, Moment, Sample
from conformance.oracle.layout import PageName
from conformance.rules import gone_files
from conformance.rules.detached import (
    is_orphan,
    orphan_writes,
    pins_beside,
    removals,
    stuck,
    was_cleaned,
)
from conformance.rules.evidence import call_at, lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
from conformance.rules.pinned import Pinned, pin_of, write_pins
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
from conformance.rules.sightings import place_of
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_WRITES = "device_write|device_complete"
_CUTS = "truncate|punch_hole"


# --- the mapping goes -----------------------------------------------------------------


@rule(
    "INV-UNMAP",
    clause=Clause(
        DOCUMENT,
        "S4",
        "munmap, mremap and exit do not wait for pins; the pinned page outlives its "
        "mapping, and as long as the file has it, its data are the file's",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, _WRITES, "munmap|mremap|exit")),
)
def a_mapping_goes_without_its_pins(case: Case) -> Iterator[Finding]:
    """A pin survives its mapping; what the device writes then is in the file."""
    for pinned in write_pins(case.oracle):
        for _ in removals(case, pinned):
            case.premise()
    for call in stuck(case, Munmap, Mremap, Exit):
        if pins_beside(case, call):
            yield case.found(call, f"{call.operation} waits for a pin to be put")
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        removal = _removed_before(case, loss)
        if removal is not None:
            what = f"{removal.operation.name} had removed the mapping of the pin"
            yield case.found(loss.call, f"{loss.sentence}: {what}")


def _removed_before(case: Case, loss: Loss) -> Call | None:
    """Return what had removed the mapping of the pin that lost data were written by."""
    pin = pin_of(case.oracle, loss)
    if pin is None or loss.writer is None or was_cleaned(case, pin, loss.writer):
        return None
    before = loss.writer.asked
    return next((r for r in removals(case, pin) if r.ended < before), None)


# --- the file lets go -----------------------------------------------------------------


@rule(
    "INV-ORPHAN",
    clause=Clause(
        DOCUMENT,
        "S4, S18",
        "a page that was cut off its file is nobody's; what a device writes to it "
        "reaches no file, no new owner of its blocks, and no page in its place",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, _WRITES, f"{_CUTS}|umount")),
)
def orphans_reach_no_file(case: Case) -> Iterator[Finding]:
    """What a device writes to a page that was cut off is seen in no file."""
    writes = list(orphan_writes(case))
    for _ in writes:
        case.premise()
    for loss in (*lost_in_memory(case), *lost_on_disk(case)):
        for write in writes:
            is_earlier = write.call.asked < loss.call.ended
            if loss.file >= 0 and loss.seen == write.value and is_earlier:
                why = "a device wrote it to a page that was cut off"
                yield case.found(loss.call, f"{loss.sentence}: {why}")
                break


@rule(
    "INV-PINWAIT",
    clause=Clause(
        KERNEL,
        "mm/truncate.c, truncate_inode_pages_range",
        "cutting pages off a file does not wait for who has them pinned",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, _CUTS)),
)
def cuts_do_not_wait_for_pins(case: Case) -> Iterator[Finding]:
    """A truncate or punch_hole is answered while the pages it cuts are pinned."""
    waiting = {call.index for call in stuck(case, Truncate, PunchHole)}
    for call, _ in case.history.asked(Truncate, PunchHole):
        if not pins_beside(case, call):
            continue
        case.premise()
        if call.index in waiting:
            yield case.found(call, f"{call.operation} waits for a pin to be put")


@rule(
    "INV-REFILL",
    clause=Clause(
        KERNEL,
        "mm/filemap.c, filemap_fault",
        "after a page was cut off, its place in the file is filled by a new page; "
        "there are never two pages for one place",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _CUTS),
        observations=("pinned_page_view",),
        views=("frame",),
    ),
)
def a_new_page_takes_the_place(case: Case) -> Iterator[Finding]:
    """The page that fills the place of one cut off is another physical page."""
    for name, old, sample in _seen_after_a_cut(case):
        view = sample.pages.get(name)
        if view is None or not view.is_cached or None in {view.frame, old}:
            continue
        case.premise()
        if view.frame == old:
            yield case.found(
                call_at(case, sample),
                f"{place_of(name)} is the physical page {old} that was cut off and is "
                "pinned (should be another)",
            )
            return


@rule(
    "INV-REUSE",
    clause=Clause(
        KERNEL,
        "mm/page_alloc.c; CVE-2018-18281",
        "a physical page is not given to anybody else before its last put",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP,),
        observations=("pinned_page_view",),
        views=("frame",),
    ),
)
def pinned_pages_are_not_reused(case: Case) -> Iterator[Finding]:
    """A page that is pinned and has lost its owner is nobody else's page."""
    for sample in case.history.samples:
        orphans = list(_orphans_in(case, sample))
        users = _frames(sample) if orphans else {}
        for pinned, view in orphans:
            if view.frame is None or not users:
                continue
            case.premise()
            user = users.get(view.frame)
            if user is not None and not _is_kept(case, pinned, user):
                yield case.found(
                    call_at(case, sample),
                    f"physical page {view.frame} is {user} (should be nobody's: it "
                    f"is pinned by {pinned[0].maker.operation})",
                )
                return


@rule(
    "INV-BLOCKREUSE",
    clause=Clause(
        KERNEL,
        "fs/ext4/inode.c, ext4_punch_hole; mm/truncate.c, truncate_cleanup_folio",
        "a block that was freed is not written for anybody else while a write for "
        "its last owner is on its way",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("hold", _CUTS, "fsync|writeback"), stepping=True, events=True
    ),
)
def blocks_wait_for_their_last_write(case: Case) -> Iterator[Finding]:
    """No block is written for two pages at once."""
    flying: dict[int, tuple[PageKey, int]] = {}
    if not _cuts_under_writeback(case):
        return
    case.premise()
    for moment, event in case.history.events_of(BlockSubmitted, WritebackEnded):
        if isinstance(event, WritebackEnded):
            flying = {b: w for b, w in flying.items() if w[1] != event.frame}
        elif isinstance(event, BlockSubmitted):
            other = flying.get(event.block)
            if other is not None and other[1] != event.frame:
                yield case.found(
                    _call_before(case, moment),
                    f"block {event.block} is written for page {event.page} while the "
                    f"write for page {other[0]} is on its way",
                )
            flying[event.block] = (event.page, event.frame)


# --- what is looked at ----------------------------------------------------------------


def _call_before(case: Case, moment: Moment) -> Call | None:
    asked = [c for c in case.history.calls if c.was_asked and c.asked <= moment]
    return asked[-1] if asked else None


def _pins_in(case: Case, sample: Sample) -> Iterator[tuple[Pinned, PageView]]:
    """Yield the pins of a sample, with what it shows of the page behind each."""
    if case.history.program.misuse:
        return
    for record in case.oracle.pins:
        if not record.is_certain or not record.tracked:
            continue
        for slot, page in enumerate(record.pages):
            is_held = record.maker.ended < sample.moment < page.put_asked
            view = sample.pins.get((record.handle, slot)) if is_held else None
            if view is not None and page.name is not None:
                yield (record, page), view


def _orphans_in(case: Case, sample: Sample) -> Iterator[tuple[Pinned, PageView]]:
    """Yield the pins of pages that surely had lost their owner.

    What was pinned of private memory may be a page that others share, unless it was
    pinned for writing and nobody was forked.
    """
    forks = any(True for _ in case.history.asked(Fork))
    for pinned, view in _pins_in(case, sample):
        record, page = pinned
        is_sole = page.file_page is not None or (record.write and not forks)
        if is_sole and is_orphan(case, pinned, sample.moment, sample.moment):
            yield pinned, view


def _seen_after_a_cut(case: Case) -> Iterator[tuple[PageName, int | None, Sample]]:
    """Yield pages that were cut off while pinned, their frames, and samples since.

    Not of large folios: a pinned one cannot be split, and may stay in the file whole.
    """
    if case.history.geometry.folio_pages > 1:
        return
    for sample in case.history.samples:
        for (_, page), view in _orphans_in(case, sample):
            if page.file_page is not None:
                yield page.file_page, view.frame, sample


def _is_kept(case: Case, pinned: Pinned, user: str) -> bool:
    """Whether a pinned page may still be there because its folio cannot be split."""
    name = pinned[1].file_page
    is_large = case.history.geometry.folio_pages > 1
    return is_large and name is not None and user == place_of(name)


def _frames(sample: Sample) -> dict[int, str]:
    """Return whose page each physical page is, as far as it is shown."""
    users: dict[int, str] = {}
    for (file, page), view in sample.pages.items():
        if view.is_cached and view.frame is not None:
            users[view.frame] = place_of((file, page))
    for (process, mapping, page), view in sample.mapped.items():
        if view.frame is not None:
            where = f"mapping {mapping} of process {process}"
            users[view.frame] = f"page {page} of {where}"
    return users


def _cuts_under_writeback(case: Case) -> bool:
    """Tell whether a cut was asked while the disk may have had the page."""
    for call, _ in case.history.asked(Truncate, PunchHole):
        before = case.history.sample_before(call.asked)
        if before is not None and any(
            view.is_under_writeback for view in before.pages.values()
        ):
            return True
    return False


RULES: tuple[Rule, ...] = (
    a_mapping_goes_without_its_pins,
    orphans_reach_no_file,
    cuts_do_not_wait_for_pins,
    a_new_page_takes_the_place,
    pinned_pages_are_not_reused,
    blocks_wait_for_their_last_write,
    *gone_files.RULES,
)
