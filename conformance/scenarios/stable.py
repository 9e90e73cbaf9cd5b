"""Scenarios of stable content: pages that are written to while they are written."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    Evict,
    Feature,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    PowerCut,
    PutUserPages,
    PutUserPagesDirtyLock,
    Read,
    Release,
    Store,
    Write,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario, program

_BEFORE, _AFTER = HoldPoint.BEFORE_CAPTURE, HoldPoint.AFTER_CAPTURE
_CHECKSUMS = frozenset({Feature.CHECKSUMS})
_STABLE = frozenset({Feature.STABLE_WRITES})
_NEW_BLOCKS = frozenset({Feature.COPY_ON_WRITE})


def _completed_in_flight(feature: Feature) -> Program:
    """A device finishes while its page is on the way to the disk."""
    return program(
        Store(value=1),
        GetUserPages(),
        Hold(at=_BEFORE),
        Fsync(),
        DeviceComplete(value=2),
        Release(),
        PowerCut(),
        Fsync(),
        PowerCut(),
        Evict(),
        Read(),
        features={feature},
    )


_PINNED = (
    Scenario(
        "device-completes-in-flight-checksums",
        ("STB-PINNED", "DRT-FSYNC"),
        _completed_in_flight(Feature.CHECKSUMS),
        story="A device writes to a page after its checksum was made.",
    ),
    Scenario(
        "device-completes-in-flight-parity",
        ("STB-PINNED",),
        _completed_in_flight(Feature.PARITY),
        story="A device writes to a page after the parity was made of it.",
    ),
    Scenario(
        "device-completes-in-flight-encryption",
        ("STB-PINNED",),
        _completed_in_flight(Feature.ENCRYPTION),
        story="A device writes to a page that is being encrypted.",
    ),
    Scenario(
        "device-writes-second-page-in-flight",
        ("STB-PINNED", "STB-CAPTURE-ONCE", "BNC-KEEPDIRTY"),
        program(
            Store(page=1, value=1),
            Store(page=2, value=2),
            GetUserPages(page=1, pages=2),
            Hold(at=_BEFORE),
            Fsync(),
            DeviceWrite(page=1, word=1, value=3),
            Release(),
            PowerCut(),
            DeviceWrite(page=0, value=4),
            Hold(at=_BEFORE),
            Fsync(),
            DeviceWrite(page=0, value=5),
            DeviceWrite(page=1, value=6),
            Release(),
            PowerCut(),
            PutUserPagesDirtyLock(),
            Fsync(),
            PowerCut(),
            features=_CHECKSUMS,
        ),
        story="Two pages are pinned; the device writes to either while it is written.",
    ),
    Scenario(
        "device-writes-in-flight-of-memory-cleaning",
        ("STB-PINNED",),
        program(
            Store(value=1),
            GetUserPagesFast(),
            Hold(at=_BEFORE),
            Writeback(),
            DeviceWrite(value=2),
            Fsync(),
            DeviceWrite(value=3),
            Release(),
            PowerCut(),
            PutUserPagesDirtyLock(),
            features=_CHECKSUMS,
        ),
        story="Memory is cleaned, and a sync asked for, while a device writes.",
    ),
    Scenario(
        "device-writes-beside-the-copying",
        ("STB-CAPTURE-ONCE", "STB-PINNED"),
        program(
            Store(value=1),
            GetUserPages(),
            DeviceWrite(value=2),
            Fsync(),
            DeviceWrite(value=3),
            Store(word=1, value=4),
            PowerCut(),
            PutUserPagesDirtyLock(),
            Fsync(),
            PowerCut(),
            features=_CHECKSUMS,
            schedule=(Preempt(call=3, at="writeback.bounce_captured", until=5),),
        ),
        story="A device writes after the copy was taken, before it is submitted.",
    ),
    Scenario(
        "store-beside-the-write-protecting",
        ("STB-CAPTURE-ONCE",),
        program(
            Mmap(process=1, mapping=0),
            Store(value=1),
            Store(process=1, word=1, value=2),
            GetUserPages(),
            Fsync(),
            Store(value=3),
            PutUserPages(),
            Fsync(),
            Evict(),
            Load(),
            PowerCut(),
            schedule=(Preempt(call=4, at="mkclean.pte", until=5),),
        ),
        story="A page is stored to while it is taken from its writers, one by one.",
    ),
)


def _stored_in_flight(at: HoldPoint, features: frozenset[Feature]) -> Program:
    return program(
        Store(value=1),
        Hold(at=at),
        Fsync(),
        Store(value=2),
        Release(),
        PowerCut(),
        Fsync(),
        PowerCut(),
        features=features,
    )


_CPU = (
    Scenario(
        "store-in-flight-stable-writes",
        ("STB-CPU",),
        _stored_in_flight(_AFTER, _STABLE),
        story="A page is stored to while the disk is writing it.",
    ),
    Scenario(
        "store-in-flight-checksums",
        ("STB-CPU",),
        _stored_in_flight(_BEFORE, _CHECKSUMS),
        story="A page is stored to before the disk has looked at it.",
    ),
    Scenario(
        "store-in-flight-parity",
        ("STB-CPU",),
        _stored_in_flight(_BEFORE, frozenset({Feature.PARITY})),
        story="A page is stored to before the disk has looked at it.",
    ),
    Scenario(
        "store-to-second-page-in-flight-checksums",
        ("STB-CPU",),
        program(
            Store(page=1, value=1),
            Hold(at=_BEFORE),
            Fsync(),
            Store(page=1, value=2),
            Release(),
            PowerCut(),
            features=_CHECKSUMS,
        ),
        story="Another page than the first is stored to while it is written.",
    ),
    Scenario(
        "store-through-second-mapping-in-flight",
        ("STB-CPU",),
        program(
            Mmap(process=1, mapping=0),
            Store(page=1, value=1),
            Store(process=1, page=1, word=1, value=2),
            Hold(at=_BEFORE),
            Fsync(),
            Store(process=1, page=1, value=3),
            Release(),
            PowerCut(),
            Evict(),
            Read(page=1),
            features=_CHECKSUMS,
        ),
        story="A page with two writers is stored to by the second while written.",
    ),
    Scenario(
        "write-in-flight-stable-writes",
        ("STB-CPU",),
        program(
            Write(value=1),
            Hold(at=_AFTER),
            Fsync(),
            Write(word=1, value=2),
            Release(),
            PowerCut(),
            features=_STABLE,
        ),
        story="A page is written to by a call while the disk is writing it.",
    ),
    Scenario(
        "store-in-flight-after-pin",
        ("STB-CPU",),
        program(
            GetUserPages(),
            DeviceComplete(value=1),
            Fsync(),
            Store(value=2),
            Hold(at=_BEFORE),
            Fsync(),
            Store(value=3),
            Release(),
            PowerCut(),
            features=_CHECKSUMS,
        ),
        story="A page that was pinned once is stored to while it is written.",
    ),
)

_CAPTURE = (
    Scenario(
        "store-between-copy-and-mkclean",
        ("STB-CAPTURE-ONCE",),
        program(
            GetUserPages(pin=1),
            Store(value=1),
            Store(page=1, value=1),
            Fsync(),
            Store(value=2),
            Store(page=1, value=2),
            DeviceAbort(pin=1),
            Fsync(),
            Evict(),
            Read(page=1),
            Read(),
            PowerCut(),
            schedule=(Preempt(call=3, at="mkclean.entered", until=5),),
            features={Feature.ENCRYPTION},
        ),
        story="Stores come when writeback has begun and has not write-protected yet. A "
        "copy that is taken too early (BNC-CAPTURE) has no rule of its own: the order "
        "is STB-CAPTURE-ONCE's, and a store that is lost by it has its owner already.",
    ),
)

STABLE: tuple[Scenario, ...] = (*_PINNED, *_CPU, *_CAPTURE)
