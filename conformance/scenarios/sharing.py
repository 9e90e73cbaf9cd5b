"""Scenarios of what sharing blocks may cost: space, and refusals."""

from conformance.interface import (
    Clone,
    Create,
    Dedupe,
    DeviceAbort,
    DeviceComplete,
    DeviceWrite,
    Evict,
    Feature,
    FillDisk,
    FreeDisk,
    Fsync,
    Geometry,
    GetUserPages,
    Load,
    Mmap,
    Operation,
    PowerCut,
    PutPage,
    Read,
    Setup,
    Store,
    Sync,
    Write,
)
from conformance.program import Preempt
from conformance.scenarios.dedupe import DEDUPES
from conformance.scenarios.scenario import Scenario, program

_NEW_BLOCKS = frozenset({Feature.COPY_ON_WRITE})
_BIAS = 8
_SMALL = Setup(
    Geometry(pin_bias=_BIAS, refcount_max=127), frozenset({Feature.SMALL_LIMITS})
)

_SPACE = (
    Scenario(
        "store-after-a-clone-and-full-disk",
        ("SNAP-RESERVE", "MKW-RESERVE"),
        program(
            Store(value=1),
            Fsync(),
            Clone(),
            Store(value=2),
            Mmap(mapping=1, file=1),
            Store(mapping=1, page=1, value=3),
            FillDisk(),
            Fsync(),
            Fsync(file=1),
            PowerCut(),
            FreeDisk(),
        ),
        story="A store to a shared page is granted; then the disk fills up.",
    ),
    Scenario(
        "store-to-a-clone-and-full-disk",
        ("SNAP-RESERVE",),
        program(
            Store(value=1),
            Clone(),
            Mmap(mapping=1, file=1),
            Store(mapping=1, value=2),
            FillDisk(),
            Fsync(file=1),
            Read(),
            PowerCut(),
            FreeDisk(),
        ),
        story="The same for the clone.",
    ),
    Scenario(
        "store-after-a-clone-on-full-disk",
        ("MKW-FAIL",),
        program(
            Store(value=1),
            Fsync(),
            Clone(),
            FillDisk(),
            Store(value=2),
            GetUserPages(),
            DeviceComplete(value=3),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            Store(value=4),
            Fsync(),
            PowerCut(),
        ),
        story="On a full disk a shared page cannot be written to, and says so.",
    ),
    Scenario(
        "pin-before-a-clone-and-full-disk",
        ("SNAP-RESERVE",),
        program(
            Store(value=1),
            GetUserPages(),
            Fsync(),
            Clone(),
            FillDisk(),
            DeviceWrite(value=2),
            Fsync(),
            DeviceComplete(value=3),
            Fsync(),
            Fsync(file=1),
            PowerCut(),
            FreeDisk(),
        ),
        story="The page is pinned when the clone is made; no page_mkwrite follows.",
    ),
    Scenario(
        "pin-after-a-clone-and-full-disk",
        ("SNAP-RESERVE", "BNC-RESERVE"),
        program(
            Store(value=1),
            Clone(),
            GetUserPages(),
            Fsync(),
            FillDisk(),
            DeviceComplete(value=2),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            features=_NEW_BLOCKS,
        ),
        story="The first copy of a shared page frees no block for the second.",
    ),
    Scenario(
        "clone-on-full-disk",
        (),
        program(
            Store(value=1),
            Fsync(),
            GetUserPages(),
            FillDisk(),
            Clone(clone=1),
            FreeDisk(),
            Clone(clone=2),
            DeviceComplete(value=2),
            Fsync(file=2),
            PowerCut(),
        ),
        story="There is no block for the copy that a clone of a pinned page needs.",
    ),
    Scenario(
        "store-overtakes-a-clone",
        ("SNAP-RESERVE",),
        program(
            Store(value=1),
            Fsync(),
            Clone(),
            Store(value=2),
            Store(page=1, value=3),
            FillDisk(),
            Fsync(),
            PowerCut(),
            FreeDisk(),
            schedule=(
                Preempt(call=2, at="clone.written", until=3),
                Preempt(call=3, at="mkwrite.prepared", until=4),
            ),
        ),
        story="page_mkwrite prepares a page just before its block is shared.",
    ),
)

_SCOPE = (
    Scenario(
        "clone-beside-a-pinned-file",
        ("SNAP-INHIBIT-SCOPE",),
        program(
            Create(file=1),
            Write(file=1, value=1),
            GetUserPages(),
            Clone(file=1, clone=2),
            Read(file=2),
            DeviceComplete(value=2),
        ),
        story="A device has a page of one file, and another file is cloned.",
    ),
    Scenario(
        "dedupe-beside-a-pinned-page",
        ("SNAP-INHIBIT-SCOPE",),
        program(
            Store(page=2, value=1),
            Store(page=3, value=1),
            GetUserPages(pages=2),
            Dedupe(page=2, other=0, other_page=3),
            Read(page=3),
            DeviceAbort(),
        ),
        story="Pages of the same file are deduplicated that no device has.",
    ),
    Scenario(
        "dedupe-of-a-pinned-page",
        ("SNAP-INHIBIT-SCOPE",),
        program(
            Store(page=2, value=1),
            Store(page=3, value=1),
            GetUserPages(page=3),
            Dedupe(page=2, other=0, other_page=3),
            DeviceComplete(value=2),
            Fsync(),
            Evict(),
            Load(page=2),
            Load(page=3),
            PowerCut(),
        ),
        story="A page that a device has is to share a block with an equal one.",
    ),
)


def _references(pins: range) -> tuple[Operation, ...]:
    return tuple(GetUserPages(pin=pin, write=False, tracked=False) for pin in pins)


_FALSE = (
    Scenario(
        "clone-of-a-page-that-looks-pinned",
        ("SNAP-FALSEPOS",),
        program(
            Store(value=1),
            *_references(range(_BIAS)),
            Clone(),
            Store(value=2),
            Read(file=1),
            Sync(),
            PowerCut(),
            *(PutPage(pin=pin) for pin in range(_BIAS)),
            Evict(file=1),
            Read(file=1),
            Evict(),
            Read(),
            setup=_SMALL,
        ),
        story="A page has as many references as a pin is worth.",
    ),
    Scenario(
        "dedupe-of-a-page-that-looks-pinned",
        ("SNAP-FALSEPOS",),
        program(
            Store(value=1),
            Store(page=1, value=1),
            *_references(range(_BIAS)),
            Dedupe(other=0, other_page=1),
            Store(value=2),
            Fsync(),
            Read(page=1),
            PowerCut(),
            *(PutPage(pin=pin) for pin in range(_BIAS)),
            setup=_SMALL,
        ),
        story="The same for pages that are to be deduplicated.",
    ),
)

SHARING: tuple[Scenario, ...] = (*_SPACE, *_SCOPE, *_FALSE, *DEDUPES)
