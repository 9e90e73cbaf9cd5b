"""Whose rule a wrong word is that an attached device has written, or has read.

An attached device follows the page table of a mapping. If it missed a change, what it
writes is lost, and what it reads is out of date. Which change it missed, and how, is
told from what was asked between two of its accesses to the page, or while one of them
was stopped in its middle.

Interface:
  * `mirror_owner(oracle, reader, name, kind)`: the id of the owning rule; None: no
    attached device has to do with it.
  * `MIRROR_OWNERS`: all ids that it returns.
  * `accesses_of(oracle, name)`: the accesses of attached devices to a page.
"""

from collections.abc import Iterator

from conformance.interface import (
    Detach,
    DirectWrite,
    Dontneed,
    Freeze,
    Fsync,
    Load,
    Merge,
    Migrate,
    MirrorRead,
    Mremap,
    Munmap,
    Operation,
    Pageout,
    PunchHole,
    Reclaim,
    Sync,
    Truncate,
    Umount,
    Writeback,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call
from conformance.oracle.layout import Memory, PageName

SEQUENCE, ORDER, DOWNGRADE = "MMU-SEQ", "MMU-ORDER", "MMU-DOWNGRADE"
DIRTY, COPY = "MMU-DIRTY", "MMU-FORKCOW"
MIRROR_OWNERS = (ORDER, SEQUENCE, DOWNGRADE, DIRTY, COPY)

CLEANING: tuple[type[Operation], ...] = (Fsync, Sync, Writeback, Freeze)
"""Operations that take the right to write to a page away."""
TAKING: tuple[type[Operation], ...] = (
    DirectWrite,
    Dontneed,
    Merge,
    Migrate,
    Mremap,
    Munmap,
    Pageout,
    PunchHole,
    Reclaim,
    Truncate,
    Umount,
)
"""Operations that may take a page away, or put another in its place."""


def mirror_owner(oracle: Oracle, reader: Call, name: PageName, kind: str) -> str | None:
    """Return the rule that has to report a wrong word of an attached device.

    `kind` is that of the last call that wrote what should be seen.
    """
    is_read = isinstance(reader.operation, MirrorRead)
    if name[0] < 0 and _is_copied(oracle, name) and (is_read or _reads(reader, kind)):
        return COPY
    if not is_read and kind != "mirror":
        return None
    access = _last_access(oracle, name, reader)
    return _stopped(oracle, access) or _missed(oracle, name, access, is_read=is_read)


def accesses_of(oracle: Oracle, name: PageName) -> Iterator[Call]:
    """Yield the accesses of attached devices to a page that were not refused."""
    for mirror in oracle.mirrors.all:
        for call in mirror.accesses:
            if not call.refused and oracle.mirrors.name(call) == name:
                yield call


def changes_between(oracle: Oracle, first: Call, last: Call) -> Iterator[Call]:
    """Yield the calls that change page tables, asked and answered between two calls."""
    for call, _ in oracle.history.asked(*CLEANING, *TAKING, Detach):
        if call.asked > first.ended and call.ended_before(last.asked):
            yield call


def is_related(oracle: Oracle, number: int, other: int) -> bool:
    """Tell whether one memory is another, or a fork's copy of it or of its origin."""
    return _origin(oracle, number) == _origin(oracle, other)


def _origin(oracle: Oracle, number: int) -> int:
    memory: Memory | None = oracle.layout.memories.get(number)
    while memory is not None and memory.parent is not None:
        memory = memory.parent
    return number if memory is None else memory.number


def _is_copied(oracle: Oracle, name: PageName) -> bool:
    """Tell whether a device accesses a page of private memory, or its relatives."""
    return any(
        is_related(oracle, name[0], mirror.span.memory.number)
        for mirror in oracle.mirrors.all
        if mirror.accesses
    )


def _reads(reader: Call, kind: str) -> bool:
    return kind == "mirror" or isinstance(reader.operation, Load)


def _last_access(oracle: Oracle, name: PageName, reader: Call) -> Call:
    """Return the last access of a device to a page before it was shown wrongly."""
    found = [c for c in accesses_of(oracle, name) if c.asked <= reader.asked]
    return found[-1] if found else reader


def _stopped(oracle: Oracle, access: Call) -> str | None:
    """Return whose it is that this access, or a call before it, was stopped."""
    calls = oracle.history.calls
    for preempt in oracle.history.parks:
        call = calls[preempt.call] if preempt.call < len(calls) else None
        if call is not None and call.was_asked and call.index <= access.index:
            return SEQUENCE if preempt.at.startswith("notifier.") else ORDER
    return None


def _missed(oracle: Oracle, name: PageName, access: Call, *, is_read: bool) -> str:
    """Return whose it is, by what happened to the page between two accesses."""
    accesses = [c for c in accesses_of(oracle, name) if c.index < access.index]
    first = accesses[0] if accesses else access
    changes = [call.operation for call in changes_between(oracle, first, access)]
    if is_read or any(isinstance(change, TAKING) for change in changes):
        return ORDER
    return DOWNGRADE if changes else DIRTY
