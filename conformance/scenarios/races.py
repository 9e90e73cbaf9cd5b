"""Races: calls at once whose every schedule is to be gone through.

They are not programs: no point and no order is named. Each race of the document, and of
the kernel's history, is here with two calls and with three.

Interface:
  * `RACES` is the catalogue, `RACED` the rules it is for.
  * `Race.calls` run at once, after `before` and before `after`.
"""

from collections.abc import Iterable

import attrs

from conformance.interface import (
    DeviceComplete,
    DeviceWrite,
    Fork,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mmap,
    Mremap,
    Operation,
    PowerCut,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    Reclaim,
    Setup,
    Store,
    Truncate,
    Writeback,
)
from conformance.program import Program


def _operations(given: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple(given)


@attrs.frozen
class Race:
    """A few calls at once, what leads to them, and what looks at the result."""

    calls: tuple[Operation, ...] = attrs.field(converter=_operations)
    before: tuple[Operation, ...] = attrs.field(default=(), converter=_operations)
    after: tuple[Operation, ...] = attrs.field(default=(), converter=_operations)
    setup: Setup = attrs.field(factory=Setup)
    name: str = ""
    """Words joined by hyphens; unique in the catalogue."""
    rules: tuple[str, ...] = ()
    """Ids of the rules whose premise it brings up; the first is the main one."""
    story: str = ""
    """What is at stake, in a sentence or two."""

    @property
    def program(self) -> Program:
        """The same, one call after the other."""
        return Program((*self.before, *self.calls, *self.after), self.setup)


_STORED = (Store(value=3),)
_TWO_STORED = (Store(value=3), Store(page=1, value=4))
_PINNED = (Store(value=3), GetUserPages())
_LOST = (Fsync(), PowerCut())
_WRITTEN = (DeviceComplete(value=7), Fsync(), PowerCut())
_PRIVATE = Mmap(mapping=1, file=None, shared=False)
_ANONYMOUS = (_PRIVATE, Store(mapping=1, value=3))

RACES: tuple[Race, ...] = (
    Race(
        (GetUserPagesFast(), Fsync()),
        _STORED,
        _WRITTEN,
        name="gup-fast-mkclean",
        rules=("MKW-DEVICE", "GWB-FAST-RECHECK", "GWB-FAST-ORDER", "STB-PINNED"),
        story="Either GUP-fast sees the changed entry, or writeback sees the pin.",
    ),
    Race(
        (GetUserPagesFast(pages=2), Fsync()),
        _TWO_STORED,
        _WRITTEN,
        name="gup-fast-mkclean-two-pages",
        rules=("MKW-DEVICE", "GWB-FAST-RECHECK", "GWB-FAST-ORDER", "STB-PINNED"),
        story="The same for each of two pages, one after the other.",
    ),
    Race(
        (GetUserPagesFast(), Fsync(), Mremap()),
        _STORED,
        _WRITTEN,
        name="gup-fast-mkclean-mremap",
        rules=("MKW-DEVICE", "GWB-FAST-RECHECK", "STB-PINNED", "WB-WALK"),
        story="The entry that both look at moves away meanwhile.",
    ),
    Race(
        (GetUserPages(), Fsync()),
        _STORED,
        _WRITTEN,
        name="gup-slow-writeback",
        rules=("GWB-NEVER", "MKW-DEVICE", "STB-PINNED", "BNC-KEEPDIRTY"),
        story="A page under writeback is not handed out for writing.",
    ),
    Race(
        (GetUserPages(), Fsync(), Writeback()),
        _STORED,
        _WRITTEN,
        name="gup-slow-writeback-cleaning",
        rules=("GWB-NEVER", "MKW-DEVICE", "STB-PINNED", "BNC-KEEPDIRTY"),
        story="Two kinds of writeback come to the page that is being pinned.",
    ),
    Race(
        (Fsync(), Mremap()),
        _STORED,
        (Store(value=9), *_LOST),
        name="mremap-walk",
        rules=("WB-WALK", "WB-PTEDIRTY", "MKW-EVERY"),
        story="No entry slips past the walk that takes the right to write away.",
    ),
    Race(
        (Fsync(), Mremap(), Store(value=9)),
        _STORED,
        _LOST,
        name="mremap-walk-store",
        rules=("WB-PTEDIRTY", "MKW-EVERY", "WB-WALK"),
        story="Somebody writes through the entry that moves.",
    ),
    Race(
        (Store(value=5), Truncate(words=1)),
        (),
        _LOST,
        name="truncate-fault",
        rules=("INV-UNMAP", "MKW-TRUNC", "MKW-EVERY"),
        story="A page that goes is not made writable.",
    ),
    Race(
        (Store(value=5), Truncate(words=1), Fsync()),
        _STORED,
        _LOST,
        name="truncate-fault-fsync",
        rules=("INV-UNMAP", "MKW-TRUNC", "MKW-EVERY"),
        story="A page that goes is made writable and written back.",
    ),
    Race(
        (Fork(), GetUserPagesFast(mapping=1)),
        _ANONYMOUS,
        (
            DeviceComplete(value=7),
            Load(mapping=1),
            Store(mapping=1, word=1, value=8),
            Load(process=1, mapping=1),
        ),
        name="fork-gup-fast",
        rules=("ANON-FORK-COPY", "ANON-FORK-SEQ", "ANON-ISOLATION"),
        story="A page is pinned just when it is about to be shared with a child.",
    ),
    Race(
        (Fork(), GetUserPagesFast(mapping=1), Store(mapping=1, value=6)),
        _ANONYMOUS,
        (DeviceComplete(value=7), Load(mapping=1), Load(process=1, mapping=1)),
        name="fork-gup-fast-store",
        rules=("ANON-FORK-COPY", "ANON-FORK-SEQ", "ANON-ISOLATION"),
        story="The parent writes while its page is pinned and shared.",
    ),
    Race(
        (Reclaim(), DeviceComplete(value=7)),
        _PINNED,
        (Load(), *_LOST),
        name="reclaim-put",
        rules=("REF-FREE", "MKW-DEVICE", "DRT-AFTER"),
        story="The page is let go of while reclaim decides whether it may go.",
    ),
    Race(
        (Reclaim(), PutUserPagesDirtyLock(), Fsync()),
        (*_PINNED, DeviceWrite(value=7)),
        (Load(), *_LOST),
        name="reclaim-put-fsync",
        rules=("REF-FREE", "MKW-DEVICE", "DRT-AFTER"),
        story="The page is let go of while it is reclaimed and written.",
    ),
    Race(
        (Fsync(), DeviceWrite(value=7)),
        _PINNED,
        (PutUserPagesDirtyLock(), *_LOST),
        name="fsync-device-write",
        rules=("STB-PINNED", "BNC-KEEPDIRTY", "STB-CAPTURE-ONCE"),
        story="The device writes while its page is captured, checksummed and written.",
    ),
    Race(
        (Fsync(), DeviceWrite(value=7), DeviceWrite(word=1, value=8)),
        _PINNED,
        (PutUserPagesDirtyLock(), *_LOST),
        name="fsync-two-device-writes",
        rules=("STB-PINNED", "BNC-KEEPDIRTY", "STB-CAPTURE-ONCE"),
        story="The device writes twice meanwhile.",
    ),
    Race(
        (Fsync(), Fsync()),
        _STORED,
        (PowerCut(),),
        name="two-fsyncs",
        rules=("DRT-FSYNC", "WB-SINGLE"),
        story="An fsync that finds its page being written waits for it.",
    ),
    Race(
        (Fsync(), Fsync(), Store(value=9)),
        _STORED,
        (PowerCut(), *_LOST),
        name="two-fsyncs-store",
        rules=("DRT-FSYNC", "WB-SINGLE", "MKW-EVERY"),
        story="The page is written to again between two fsyncs.",
    ),
    Race(
        (PutUserPagesDirty(), Fsync()),
        (*_PINNED, DeviceWrite(value=7)),
        (Load(), *_LOST),
        name="put-dirty-writeback",
        rules=("DRT-AFTER", "MKW-DEVICE", "BNC-KEEPDIRTY"),
        story="Marked dirty without the lock and let go of, while the page is written.",
    ),
    Race(
        (PutUserPagesDirtyLock(), Fsync(), PutUserPages(pin=1)),
        (*_PINNED, GetUserPages(pin=1), DeviceWrite(value=7)),
        (Load(), *_LOST),
        name="put-dirty-writeback-second-pin",
        rules=("DRT-AFTER", "MKW-DEVICE", "BNC-KEEPDIRTY"),
        story="One of two pins is let go of dirty, the other not, meanwhile.",
    ),
)

RACED = frozenset(rule for race in RACES for rule in race.rules)
"""Ids of the rules that a race is written for."""
