"""The measurements by hand, as programs, with what each filesystem answered."""

import attrs

from conformance.engines.execution import run
from conformance.interface import (
    DeviceComplete,
    Feature,
    FillDisk,
    Fsync,
    GetUserPages,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Operation,
    PowerCut,
    PowerCutImage,
    Release,
    Setup,
    Store,
)
from conformance.oracle.history import Call, History
from conformance.program import Program
from pytest_gup.adapters.linux import boot_for

Ends = tuple[object, ...]

STABLE = frozenset({Feature.STABLE_WRITES})


@attrs.frozen
class KernelProgram:
    """A program, the calls whose end was noted, and how they ended."""

    operations: tuple[Operation, ...]
    asks: tuple[int, ...]
    ends: dict[str, Ends]
    stable_writes: bool = False


def run_program(filesystem: str, program: KernelProgram) -> History:
    """Run a program; where stable writes cannot be asked for, they are there."""
    has_stable = program.stable_writes and filesystem != "btrfs"
    setup = Setup(features=STABLE if has_stable else frozenset())
    return run(boot_for(filesystem), Program(program.operations, setup))


def ends_as(history: History, asks: tuple[int, ...]) -> Ends:
    """Tell how the calls ended: at once, late, or with what."""
    return tuple(_end(history, history.calls[index]) for index in asks)


def _end(history: History, call: Call) -> object:
    if call.error is not None:
        return str(call.error)
    if isinstance(call.result, PowerCutImage):
        return call.result.files[0].words
    if call.result is None or call.operation.name.startswith("get"):
        after = [
            other
            for other in history.calls
            if other.was_asked and other.index > call.index
        ]
        is_late = call.answered is None or any(
            other.asked < call.answered for other in after
        )
        return "late" if is_late else "at once"
    return call.result


def _same(end: Ends) -> dict[str, Ends]:
    return dict.fromkeys(("ext4", "xfs", "btrfs"), end)


UNDER_WRITEBACK = (Store(value=1), Hold(at=HoldPoint.AFTER_CAPTURE), Fsync())
AT_ONCE_BUT_BTRFS = {**_same(("at once",)), "btrfs": ("late",)}

PROGRAMS = {
    "write pin under writeback": KernelProgram(
        (*UNDER_WRITEBACK, GetUserPages(), Release()), (3,), AT_ONCE_BUT_BTRFS
    ),
    "write pin under writeback, stable writes": KernelProgram(
        (*UNDER_WRITEBACK, GetUserPages(), Release()),
        (3,),
        _same(("late",)),
        stable_writes=True,
    ),
    "store under writeback": KernelProgram(
        (*UNDER_WRITEBACK, Store(value=2), Release()), (3,), AT_ONCE_BUT_BTRFS
    ),
    "store under writeback, stable writes": KernelProgram(
        (*UNDER_WRITEBACK, Store(value=2), Release()),
        (3,),
        _same(("late",)),
        stable_writes=True,
    ),
    "device write into a queued block": KernelProgram(
        (
            *(Store(value=1), Fsync(), GetUserPages()),
            *(Hold(at=HoldPoint.BEFORE_CAPTURE), Fsync(), DeviceComplete(value=9)),
            *(Release(), PowerCut()),
        ),
        (4, 7),
        {
            **_same(("late", (9, 9, 0, 0, 0, 0, 0, 0))),
            "btrfs": ("late", (-2, -2, 0, 0, 0, 0, 0, 0)),
        },
    ),
    "store on a full filesystem": KernelProgram(
        (FillDisk(), Store(page=1), GetUserPages(page=2)),
        (1, 2),
        _same(("SIGBUS", "EFAULT")),
    ),
    "long-term pin of shared file pages": KernelProgram(
        (GetUserPages(longterm=True),), (0,), _same(("EFAULT",))
    ),
    "long-term pin of private file pages": KernelProgram(
        (
            Mmap(mapping=1, shared=False),
            GetUserPages(mapping=1, longterm=True),
            DeviceComplete(value=5),
            Load(mapping=1),
        ),
        (1, 2, 3),
        _same(("at once", "at once", 5)),
    ),
    "long-term pin of anonymous pages": KernelProgram(
        (
            Mmap(mapping=1, file=None, shared=False),
            GetUserPages(mapping=1, longterm=True),
            DeviceComplete(value=5),
            Load(mapping=1),
        ),
        (1, 2, 3),
        _same(("at once", "at once", 5)),
    ),
}
