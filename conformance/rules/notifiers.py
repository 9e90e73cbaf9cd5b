"""Devices that follow the page tables, and hold no pin.

What the document calls the only full answer (S22): who is told of every change of a
page table needs no pin, and what it writes is announced and stable like a CPU's.

Verified: what such a device reads, and what is left of what it wrote, when its page
was cleaned, cut off, moved or copied between two of its accesses, or while one of
them was stopped in its middle; accesses that should have been refused; pins counted.
Not verified: that a change waits for the device, where nothing is lost by it.
"""

from collections.abc import Iterator

from conformance.interface import (
    Attach,
    Detach,
    Feature,
    Fork,
    Load,
    MirrorRead,
    MirrorWrite,
    PowerCut,
    Read,
    Store,
)
from conformance.oracle.history import Call
from conformance.oracle.mirrors import Mirror
from conformance.rules.accounts import alone, changes_held
from conformance.rules.evidence import at_rest, found_losses
from conformance.rules.mirrored import (
    CLEANING,
    TAKING,
    accesses_of,
    changes_between,
    is_related,
)
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
from conformance.rules.sightings import parking
from conformance.verdicts import Kind, Level

_ACCESS = "mirror_write|mirror_read"
_LOOK = "load|read|power_cut|mirror_read"


@rule(
    "MMU-NOPIN",
    clause=Clause(
        DOCUMENT,
        "S22; Linux pin_user_pages.rst, case 3",
        "who follows the page tables is told of their changes, and needs no pin",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.SHOULD,
    mainline=Level.MUST,
    needs=Needs(
        operations=("attach", _ACCESS),
        counters=("nr_gup_slow_pages_requested|nr_foll_pin_acquired",),
    ),
)
def attached_devices_hold_no_pins(case: Case) -> Iterator[Finding]:
    """An attached device holds no pin between its accesses."""
    kinds = (Attach, MirrorWrite, MirrorRead)
    for spell, call in alone(case.history, *kinds):
        case.premise()
        for change in changes_held(spell):
            if change:
                yield case.found(
                    call,
                    f"{call.operation.name} changed the number of pins held by "
                    f"{change} (should leave it)",
                )
    yield from _begins_to_look_pinned(case)


def _begins_to_look_pinned(case: Case) -> Iterator[Finding]:
    """Yield the accesses of devices after which a page looks pinned for good.

    It may look so for another reason, but not in a program without any pin, in which
    no page gets anywhere near a thousand references.
    """
    is_small = Feature.SMALL_LIMITS in case.history.features
    if is_small or case.oracle.pins or case.history.program.misuse:
        return
    for mirror in case.oracle.mirrors.all:
        for call in mirror.accesses:
            name = case.oracle.file_page(call)
            before = case.history.sample_before(call.asked)
            after = case.history.sample_after(call.ended)
            if name is None or before is None or after is None or not at_rest(after):
                continue
            was, now = before.pages.get(name), after.pages.get(name)
            looked = was is not None and was.maybe_pinned is False
            if looked and now is not None and now.maybe_pinned:
                yield case.found(
                    call,
                    f"page {name[1]} of file {name[0]} may be pinned after "
                    f"{call.operation.name} (should not be: nobody pins it)",
                )


@rule(
    "MMU-ORDER",
    clause=Clause(
        DOCUMENT,
        "S15, S22; Linux mmu_notifier.h, invalidate_range_start",
        "before an entry of a page table goes, whoever follows it has given its own "
        "up and ended the accesses through it; a new one is not made until it is gone",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("attach", _ACCESS)),
)
def entries_do_not_outlive_pages(case: Case) -> Iterator[Finding]:
    """An attached device has ended its accesses to a page before the page goes."""
    for mirror in case.oracle.mirrors.all:
        for call in mirror.accesses:
            if mirror.span.remove_answered < call.asked:
                case.premise()
                yield from _unrefused(case, call)
            elif _follows(case, mirror, call, TAKING):
                case.premise()
    for _ in _changes_while_stopped(case):
        case.premise()
    yield from found_losses(case, "MMU-ORDER")


def _unrefused(case: Case, call: Call) -> Iterator[Finding]:
    if call.succeeded:
        yield case.found(
            call,
            f"{call.operation} was answered after its mapping was gone "
            "(should be refused)",
        )


def _changes_while_stopped(case: Case) -> Iterator[Call]:
    """Yield the changes that were asked while an access was stopped."""
    for stop in parking(case):
        if isinstance(stop.call.operation, MirrorWrite | MirrorRead):
            for call, _ in case.history.asked(*CLEANING, *TAKING, Detach):
                if stop.covers(call):
                    yield call


def _follows(
    case: Case, mirror: Mirror, call: Call, kinds: tuple[type[object], ...]
) -> bool:
    """Tell whether a page was changed so since the device accessed it first."""
    name = case.oracle.mirrors.name(call)
    earlier = (
        other
        for other in mirror.accesses
        if other.succeeded
        and other.ended_before(call.asked)
        and case.oracle.mirrors.name(other) == name
    )
    first = next(earlier, None)
    return first is not None and any(
        isinstance(change.operation, kinds) and change.succeeded
        for change in changes_between(case.oracle, first, call)
    )


@rule(
    "MMU-SEQ",
    clause=Clause(
        DOCUMENT,
        "S22; Linux mmu_interval_read_begin, mmu_interval_read_retry",
        "what was read from a page table is taken over only if the table has not "
        "changed there since",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("attach", _ACCESS), stepping=True),
)
def stale_entries_are_not_taken_over(case: Case) -> Iterator[Finding]:
    """An entry that has changed since it was looked up is looked up again."""
    for stop in parking(case):
        is_access = isinstance(stop.call.operation, MirrorWrite | MirrorRead)
        if is_access and stop.at.startswith("notifier."):
            changes = case.history.asked(*CLEANING, *TAKING, Store)
            if any(stop.covers(call) for call, _ in changes):
                case.premise()
    yield from found_losses(case, "MMU-SEQ")


@rule(
    "MMU-DOWNGRADE",
    clause=Clause(
        DOCUMENT,
        "S10, S14, S22; Linux page_vma_mkclean_one, MMU_NOTIFY_PROTECTION_PAGE",
        "a device that follows the page tables loses the right to write when a page "
        "is write-protected, and takes the write fault again",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("attach", "mirror_write", _LOOK)),
)
def cleaning_is_an_event(case: Case) -> Iterator[Finding]:
    """An attached device writes to a page that was write-protected by a new fault."""
    for mirror in case.oracle.mirrors.all:
        for call in mirror.accesses:
            if not isinstance(call.operation, MirrorWrite):
                continue
            may = mirror.span.writabilities(call.asked, call.ended)
            if may == {False}:
                case.premise()
                if call.succeeded:
                    yield case.found(
                        call,
                        f"{call.operation} wrote to a mapping that is read-only "
                        "(should be refused)",
                    )
            elif _follows(case, mirror, call, CLEANING):
                case.premise()
    yield from found_losses(case, "MMU-DOWNGRADE")


@rule(
    "MMU-DIRTY",
    clause=Clause(
        DOCUMENT,
        "S16, S22; Linux drivers/infiniband/core/umem_odp.c",
        "a page that a device has written to is dirty by the time that the device "
        "has given its entry up",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("attach", "mirror_write", _LOOK)),
)
def revoked_pages_are_dirty(case: Case) -> Iterator[Finding]:
    """What an attached device has written outlives its entry, its mapping and itself.

    It is seen by whoever looks afterwards, and a sync gets it to the disk.
    """
    for call, _ in case.history.asked(MirrorWrite):
        if call.succeeded and any(_is_looked_at(case, call)):
            case.premise()
    yield from found_losses(case, "MMU-DIRTY")


def _is_looked_at(case: Case, write: Call) -> Iterator[bool]:
    """Yield true for each look at a page after its entry had to be given up."""
    name = case.oracle.file_page(write)
    for look, operation in case.history.asked(Load, Read, MirrorRead, PowerCut):
        is_cut = isinstance(operation, PowerCut)
        is_of_page = is_cut or case.oracle.file_page(look) == name
        if name is not None and look.succeeded and is_of_page:
            yield any(changes_between(case.oracle, write, look))


@rule(
    "MMU-FORKCOW",
    clause=Clause(
        KERNEL,
        "mm/memory.c, wp_page_copy, copy_page_range",
        "who follows a page table is told before a page of private memory is shared "
        "by a fork, and before a copy takes its place",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("attach", _ACCESS, "mmap(shared)", "fork|store")),
)
def copies_are_events(case: Case) -> Iterator[Finding]:
    """An attached device and its process go on seeing the same after a copy."""
    for mirror in case.oracle.mirrors.all:
        number = mirror.span.memory.number
        if number >= 0:
            continue
        for call in mirror.accesses:
            if call.succeeded and _was_copied(case, mirror, call):
                case.premise()
    yield from found_losses(case, "MMU-FORKCOW")


def _was_copied(case: Case, mirror: Mirror, call: Call) -> bool:
    """Tell whether a page may have been replaced since the device accessed it."""
    name = case.oracle.mirrors.name(call)
    if name is None:
        return False
    first = next(accesses_of(case.oracle, name), call)
    return any(
        first.ended < other.asked and other.ended_before(call.asked)
        for other, operation in case.history.asked(Store, Fork)
        if isinstance(operation, Fork) or _stores_to(case, other, mirror)
    )


def _stores_to(case: Case, call: Call, mirror: Mirror) -> bool:
    operation = call.operation
    assert isinstance(operation, Store)
    where = operation.process, operation.mapping, operation.page
    name = case.oracle.layout.name(*where, call.asked)
    number = mirror.span.memory.number
    return name is not None and is_related(case.oracle, name[0], number)


RULES: tuple[Rule, ...] = (
    attached_devices_hold_no_pins,
    entries_do_not_outlive_pages,
    stale_entries_are_not_taken_over,
    cleaning_is_an_event,
    revoked_pages_are_dirty,
    copies_are_events,
)
