"""Dirtying: what a device wrote is marked dirty, after its last write, under lock.

A page that a device wrote to differs from what the disk has, and no page table entry
tells of it. Whoever lets go of the page says so, before letting go; the stack then
keeps page, buffers and accounts in order until the data is on the disk, where it is
safe when the cache of the disk has been flushed.

Verified: data of devices in memory and after a power cut; nr_dirty against the pages
that are called dirty, at rest. The caller's duties are verified on the stack's own
drivers. Not verified: pages that nothing shows (of files without a name, beyond the
pages of the geometry), where only too few dirty pages are an error.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    Fsync,
    Load,
    PageView,
    PowerCut,
    Read,
    Sync,
    Umount,
)
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.rules.dirty_pages import ORPHAN_AND_BUFFER_RULES, excess, unlike
from conformance.rules.evidence import found_losses
from conformance.rules.pinned import (
    Pinned,
    good_syncs,
    is_attached,
    write_pins,
)
from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    SERIES,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Binds, Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_DRIVER = "device_transfer|direct_read"
_DIRTYING = "put_user_pages_dirty|put_user_pages_dirty_lock|device_complete"
_LOOK = "power_cut|load|read"
_TRACKED = ("no_dirty_tracking",)


# --- the duties of callers --------------------------------------------------------


@rule(
    "DRT-AFTER",
    clause=Clause(
        DOCUMENT,
        "S16",
        "a page that a device may have written to is marked dirty after the last "
        "write and before it is put; to have marked it when it was pinned is not "
        "enough",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(operations=(_DRIVER, _LOOK)),
)
def dirtied_after_the_last_write(case: Case) -> Iterator[Finding]:
    """What a driver transferred is not lost when its pages are cleaned or dropped."""
    for call, name in _filled_pages(case):
        if _is_looked_at(case, name, call.ended):
            case.premise()
    yield from found_losses(case, "DRT-AFTER")


def _filled_pages(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the pages of files that the stack's own drivers wrote to."""
    for call, operation in case.history.asked(DeviceTransfer, DirectRead):
        count = call.result if isinstance(call.result, int) else 0
        for page in range(operation.page, operation.page + count):
            where = operation.process, operation.mapping, page
            name = case.oracle.target(*where, call.asked)
            if name is not None:
                yield call, name


def _is_looked_at(case: Case, name: PageName, moment: Moment) -> bool:
    """Tell whether a word of a page was read, or looked for on the disk."""
    for call, operation in case.history.asked(PowerCut, Load, Read):
        if call.asked < moment:
            continue
        if not isinstance(operation, PowerCut):
            if case.oracle.file_page(call) == name:
                return True
        elif any(
            moment < sync.asked and sync.ended < call.asked
            for sync in good_syncs(case.oracle, name[0])
        ):
            return True
    return False


@rule(
    "DRT-LOCK",
    clause=Clause(
        KERNEL,
        "mm/page-writeback.c, at folio_mark_dirty",
        "whoever marks a page dirty holds its lock, or knows by other means that the "
        "page cannot be taken from its file meanwhile",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(
        operations=(
            f"{_DRIVER}|put_user_pages_dirty_lock|set_page_dirty_lock",
            "truncate|punch_hole|umount",
        ),
        counters=("nr_dirty",),
        views=("is_dirty",),
    ),
)
def dirtied_under_the_lock(case: Case) -> Iterator[Finding]:
    """Marking a page dirty while it is taken from its file does no harm."""
    for dirtying, taking in _races(case):
        end = max(dirtying.ended, taking.ended)
        grown = excess(case, min(dirtying.asked, taking.asked), end)
        if grown is None:
            continue
        case.premise()
        if grown > 0:
            yield case.found(
                dirtying,
                f"nr_dirty counts {grown} page(s) more than are dirty, after "
                f"{dirtying.operation.name} beside {taking.operation.name} (should "
                "not dirty a page that has lost its file)",
            )


def _races(case: Case) -> Iterator[tuple[Call, Call]]:
    """Yield calls that dirty pages beside calls that take pages from files."""
    takings = [
        call
        for call in case.history.calls
        if call.was_asked
        and call.operation.name in {"truncate", "punch_hole", "umount"}
    ]
    for call in case.history.calls if takings else ():
        if call.was_asked and call.operation.name in _LOCKING:
            for taking in takings:
                if taking.asked < call.ended and call.asked < taking.ended:
                    yield call, taking


_LOCKING = frozenset(
    {
        "device_transfer",
        "direct_read",
        "put_user_pages_dirty_lock",
        "set_page_dirty_lock",
        "device_complete",
    }
)
"""Operations whose own business it is to lock pages before dirtying them."""


@rule(
    "DRT-SKIP-IF-DIRTY",
    clause=Clause(
        SERIES,
        "patch 1, put_user_pages_dirty",
        "a page that is dirty already may be passed over when it is put, if the "
        "device's last write came before the question",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, _DIRTYING, "load|read")),
)
def dirty_pages_may_be_passed_over(case: Case) -> Iterator[Finding]:
    """What a device wrote is still there after its page was put as dirty."""
    for pinned in _dirtied(case):
        name = pinned[1].file_page
        assert name is not None
        if _is_looked_at(case, name, pinned[1].put_ended):
            case.premise()
    yield from found_losses(case, "DRT-SKIP-IF-DIRTY")


def _dirtied(case: Case) -> Iterator[Pinned]:
    """Yield the pinned pages that were put as the caller has to."""
    for record, page in write_pins(case.oracle):
        if any(page.is_dirtied_after(w) or w in page.puts for w in page.device_writes):
            yield record, page


@rule(
    "DRT-READPIN",
    clause=Clause(
        DOCUMENT,
        "S10, S11; pin_user_pages.rst",
        "who has pinned a page for reading does not mark it dirty: it was not "
        "prepared for that",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    binds=Binds.CALLER,
    needs=Needs(operations=("direct_write",), views=("is_dirty",)),
)
def reading_does_not_dirty(case: Case) -> Iterator[Finding]:
    """A direct write leaves the pages that it reads from as clean as they were."""
    for call, name in _buffers_read(case):
        around = unlike(case, call)
        was = None if around is None else around[0].pages.get(name)
        now = None if around is None else around[1].pages.get(name)
        if was is None or now is None or not _is_clean(was):
            continue
        case.premise()
        if now.is_dirty:
            yield case.found(
                call,
                f"page {name[1]} of file {name[0]} is dirty after direct_write has "
                "read it (should be clean as before)",
            )


def _buffers_read(case: Case) -> Iterator[tuple[Call, PageName]]:
    """Yield the pages that direct writes read from, those they write to excepted."""
    for call, operation in case.history.asked(DirectWrite):
        for page in range(operation.page, operation.page + operation.pages):
            where = operation.process, operation.mapping, page
            name = case.oracle.target(*where, call.asked)
            if name is not None and name[0] != operation.file:
                yield call, name


def _is_clean(view: PageView) -> bool:
    return view.is_dirty is False or view.is_cached is False


# --- the duties of the stack ------------------------------------------------------


@rule(
    "DRT-FSYNC",
    clause=Clause(
        DOCUMENT,
        "S6, S16",
        "a sync that is asked for when a device's data has been put as dirty makes "
        "that data durable",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, _DIRTYING, "fsync|sync", "power_cut"),
        absent_features=_TRACKED,
    ),
)
def device_data_is_durable(case: Case) -> Iterator[Finding]:
    """What a device wrote before its page was put as dirty survives after a sync."""
    for pinned in _dirtied(case):
        if _is_cut_after_sync(case, pinned):
            case.premise()
    yield from found_losses(case, "DRT-FSYNC")


def _is_cut_after_sync(case: Case, pinned: Pinned) -> bool:
    put, name = pinned[1].put_ended, pinned[1].file_page
    assert name is not None
    return any(
        put < sync.asked and sync.ended < cut.asked
        for sync in good_syncs(case.oracle, name[0])
        for cut, _ in case.history.asked(PowerCut)
        if is_attached(case.oracle, pinned, put, sync.asked - 1)
    )


@rule(
    "DRT-FLUSH",
    clause=Clause(
        DOCUMENT,
        "S6",
        "where the disk has a volatile cache, a sync answers when a flush that "
        "covers the data has ended",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=("fsync|sync|umount", "power_cut"), features=("volatile_cache",)
    ),
)
def flushed_before_the_answer(case: Case) -> Iterator[Finding]:
    """What a sync promised is not in the volatile cache of the disk alone."""
    for cut, _ in case.history.asked(PowerCut):
        syncs = case.history.asked(Fsync, Sync, Umount)
        if any(c.succeeded and c.ended < cut.asked for c, _ in syncs):
            case.premise()
    yield from found_losses(case, "DRT-FLUSH")


RULES: tuple[Rule, ...] = (
    dirtied_after_the_last_write,
    dirtied_under_the_lock,
    dirty_pages_may_be_passed_over,
    *ORPHAN_AND_BUFFER_RULES,
    reading_does_not_dirty,
    device_data_is_durable,
    flushed_before_the_answer,
)
