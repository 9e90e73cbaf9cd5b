"""Pins of private memory, and what is done to their pages meanwhile.

A device that has pinned a page of a process, and the process, mean the same page: what
one of them writes the other one sees, until the process gives the page up. So nothing
may put another page in its place: no copy for a store, no bookkeeping, no swap.

Verified: what loads, and devices that read, see afterwards. Not verified: how the page
is kept in its place; a stack may refuse a pin, or what would move the page.
"""

from collections.abc import Iterator

from conformance.interface import (
    ClearRefs,
    Dontneed,
    GetUserPages,
    Merge,
    Migrate,
    Operation,
    Pageout,
)
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules.kinship import was_shared
from conformance.rules.private_losses import (
    PrivatePin,
    calls_about,
    device_looks,
    found,
    looks,
    private_pins,
    stays,
    stores,
)
from conformance.rules.rule import KERNEL, Case, Clause, Finding, Needs, Rule, rule
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_LOOK = "load|device_read"

# --- exclusive pages ------------------------------------------------------------------


@rule(
    "ANON-EXCL",
    clause=Clause(
        KERNEL,
        "mm/rmap.c, PG_anon_exclusive, 6c287605fd56; S21 of the document",
        "only pages that one process has for itself are pinned, and while pinned they "
        "are not shared",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)")),
)
def pinned_pages_are_exclusive(case: Case) -> Iterator[Finding]:
    """A private page that is pinned for writing belongs to one process alone."""
    for pin in private_pins(case):
        for call in calls_about(case, pin.name, Merge, pin.record.process):
            if pin.is_held(call.asked, call.ended) and stays(case, pin):
                case.premise()
        if pin.record.write:
            yield from _shared(case, pin)
    yield from found(case, "ANON-EXCL")


def _shared(case: Case, pin: PrivatePin) -> Iterator[Finding]:
    """Yield the first claim that a page is shared while it is pinned."""
    number = pin.record.pages.index(pin.page)
    for sample in case.history.samples:
        is_held = pin.is_held(sample.moment, sample.moment)
        view = sample.pins.get((pin.record.handle, number))
        is_mapped = case.oracle.private_pins.is_shown(
            pin.record, pin.name, sample.moment, sample.moment
        )
        if not is_held or not is_mapped or view is None or view.is_exclusive is None:
            continue
        case.premise()
        if not view.is_exclusive:
            call = case.history.calls[sample.after] if sample.after >= 0 else None
            yield case.found(
                call,
                f"page {number} of pin {pin.record.handle} is said not to be exclusive "
                "(should be, as a device may write to it)",
            )
            return


# --- stores ---------------------------------------------------------------------------


@rule(
    "ANON-UNSHARE",
    clause=Clause(
        KERNEL,
        "mm/gup.c, gup_must_unshare; FAULT_FLAG_UNSHARE",
        "a pin for reading of a page that may be shared first gives the process a "
        "page of its own",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, "mmap(shared)", "fork", "store", "device_read"),
    ),
)
def read_pins_unshare(case: Case) -> Iterator[Finding]:
    """A device that reads a page pinned after a fork sees what is stored later."""
    for pin in private_pins(case):
        is_shared = not pin.record.write and stays(case, pin)
        if is_shared and was_shared(case.oracle, pin.record, pin.name):
            for _ in _stores_read(case, pin):
                case.premise()
    yield from found(case, "ANON-UNSHARE")


def _stores_read(case: Case, pin: PrivatePin) -> Iterator[Call]:
    """Yield the stores to a pinned page after which the device read it."""
    for store in stores(case, pin.name):
        is_later = store.asked > pin.maker.ended
        if is_later and any(True for _ in device_looks(case, pin, store.ended)):
            yield store


@rule(
    "ANON-WRITEREUSE",
    clause=Clause(
        KERNEL,
        "mm/memory.c, do_wp_page; 09854ba94c6a, 6c287605fd56",
        "a write fault on a page that is pinned goes on with that page, and makes no "
        "copy of it",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "store", _LOOK)),
)
def stores_stay_with_the_pin(case: Case) -> Iterator[Finding]:
    """A process and the device that pinned its page go on seeing one another."""
    for pin in private_pins(case):
        if not stays(case, pin):
            continue
        for _ in _stores_read(case, pin):
            case.premise()
        for _ in _device_writes_loaded(case, pin):
            case.premise()
    yield from found(case, "ANON-WRITEREUSE")


def _device_writes_loaded(case: Case, pin: PrivatePin) -> Iterator[Call]:
    """Yield the device's writes to a page, stored to before, that were looked at."""
    first = min(
        (s.ended for s in stores(case, pin.name) if s.asked > pin.maker.ended),
        default=None,
    )
    for call in pin.page.device_writes if first is not None else ():
        is_later = first is not None and call.asked > first
        if is_later and any(True for _ in looks(case, pin.name, call.ended)):
            yield call


# --- bookkeeping, and want of memory --------------------------------------------------


@rule(
    "ANON-NOWP",
    clause=Clause(
        KERNEL,
        "fs/proc/task_mmu.c, clear_soft_dirty, 9348b73c2e1b",
        "bookkeeping does not take a pinned page from its process",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "clear_refs", _LOOK)),
)
def bookkeeping_moves_no_pinned_page(case: Case) -> Iterator[Finding]:
    """Having the next write noticed does not part a process from its device."""
    _count(case, ClearRefs)
    yield from found(case, "ANON-NOWP")


@rule(
    "ANON-NOSWAP",
    clause=Clause(
        KERNEL,
        "mm/vmscan.c, shrink_folio_list, feb889fb40fa",
        "a pinned page is not moved out of memory, nor elsewhere in it",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "pageout|migrate", _LOOK)),
)
def pinned_pages_are_not_swapped(case: Case) -> Iterator[Finding]:
    """A pinned page stays where it is when memory is wanted."""
    _count(case, Pageout)
    _count(case, Migrate)
    yield from found(case, "ANON-NOSWAP")


def _count(case: Case, kind: type[Operation]) -> None:
    """Count the operations on pinned pages that were looked at afterwards."""
    for pin in private_pins(case):
        for call in calls_about(case, pin.name, kind, pin.record.process):
            is_held = pin.is_held(call.asked, call.ended) and stays(case, pin)
            if is_held and any(True for _ in looks(case, pin.name, call.ended)):
                case.premise()


# --- pages given up, and pages forced -------------------------------------------------


@rule(
    "ANON-DONTNEED",
    clause=Clause(
        KERNEL,
        "mm/memory.c, zap_pte_range; S4 of the document",
        "a page that its process gives up stays the device's, and nobody else's; the "
        "process gets a fresh one",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "dontneed|munmap|exit", _LOOK)),
)
def pages_given_up_stay_the_devices(case: Case) -> Iterator[Finding]:
    """What a device does to a page that was given up is seen by the device alone."""
    private = case.oracle.private_pins
    for pin in private_pins(case):
        end = min(pin.page.put_asked, case.history.now)
        loss = private.loss(pin.record, pin.name, end)
        if loss is not None and any(True for _ in looks(case, pin.name, loss.end)):
            case.premise()
    for call, operation in case.history.asked(Dontneed):
        for page in range(operation.page, operation.page + operation.pages):
            where = operation.process, operation.mapping, page
            name = case.oracle.layout.name(*where, call.asked)
            if call.succeeded and name is not None and _is_loaded(case, name, call):
                case.premise()
    yield from found(case, "ANON-DONTNEED")


def _is_loaded(case: Case, name: PageName, call: Call) -> bool:
    is_private = case.oracle.private_pins.is_private(name)
    return is_private and any(True for _ in looks(case, name, call.ended))


@rule(
    "ANON-FORCE",
    clause=Clause(
        KERNEL,
        "mm/gup.c, can_follow_write_common; CVE-2016-5195, CVE-2022-2590",
        "writing through a mapping that is read-only, as a debugger does, reaches a "
        "private copy, never what is shared with others",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("get_user_pages(force)|get_user_pages_fast(force)",)),
)
def force_writes_private_pages_only(case: Case) -> Iterator[Finding]:
    """A forced write pin of a shared read-only mapping is refused."""
    for call, operation in case.history.asked(GetUserPages):
        if not operation.force or not operation.write or call.answered is None:
            continue
        span = case.oracle.layout.find(operation.process, operation.mapping, call.asked)
        if span is None or case.history.program.misuse:
            continue
        if span.writabilities(call.asked, call.ended) != {False}:
            continue
        if not span.memory.is_private and call.succeeded and call.result:
            yield case.found(
                call,
                f"{operation} of a shared mapping that is read-only was granted "
                f"{call.result} page(s) (should be refused)",
            )
        if not span.memory.is_private or _was_written(case, call):
            case.premise()
    yield from found(case, "ANON-FORCE")


def _was_written(case: Case, call: Call) -> bool:
    """Whether a device wrote through the pin that a call made."""
    record = case.oracle.pin_of(call)
    pages = () if record is None else record.pages
    return any(page.device_writes for page in pages)


RULES: tuple[Rule, ...] = (
    pinned_pages_are_exclusive,
    read_pins_unshare,
    stores_stay_with_the_pin,
    bookkeeping_moves_no_pinned_page,
    pinned_pages_are_not_swapped,
    force_writes_private_pages_only,
    pages_given_up_stay_the_devices,
)
