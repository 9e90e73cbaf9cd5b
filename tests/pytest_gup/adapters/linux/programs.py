"""Running a program on a filesystem, and what the tests of operations read of it."""

import pytest

from conformance.engines.execution import run
from conformance.interface import (
    Errno,
    Geometry,
    KernelError,
    Mmap,
    Operation,
    PowerCut,
    PowerCutImage,
    Setup,
)
from conformance.oracle.history import History, Sample
from conformance.program import Program
from pytest_gup.adapters.linux import boot_for, missing

ON_DISK = ("ext4", "xfs", "btrfs")
ALL = (*ON_DISK, "tmpfs")
SHARING = ("xfs", "btrfs")
LARGE = ("ext4", "xfs")
HOLE = (0,) * 8

everywhere = pytest.mark.parametrize("filesystem", ALL)
on_disk = pytest.mark.parametrize("filesystem", ON_DISK)


def anonymous(mapping: int = 1, pages: int = 2, **options: bool) -> Mmap:
    """Map private memory that belongs to no file."""
    return Mmap(mapping=mapping, file=None, pages=pages, **{"shared": False, **options})


def after(filesystem: str, *operations: Operation, folio_pages: int = 1) -> History:
    """Run a program; every operation of it must be offered, and must answer."""
    reason = missing(filesystem)
    if reason:
        pytest.skip(reason)
    setup = Setup(geometry=Geometry(folio_pages=folio_pages))
    history = run(boot_for(filesystem), Program(operations, setup))
    assert history.crash is None
    assert history.inconclusive is None
    lacking = [call.skipped for call in history.calls if not call.was_asked]
    if any("offered" in str(reason) for reason in lacking):
        pytest.skip(f"{lacking[0]} on this machine")
    assert lacking == []
    assert all(call.answered is not None for call in history.calls)
    return history


def answers(history: History, kind: type[Operation]) -> list[object]:
    """Tell what the operations of one kind answered with."""
    return [
        call.error or call.result
        for call in history.calls
        if isinstance(call.operation, kind)
    ]


def refusal(answer: object) -> Errno:
    """Tell what an operation was refused with."""
    assert isinstance(answer, KernelError), f"{answer!r} is no refusal"
    return answer.errno


def samples(history: History) -> list[Sample]:
    """Tell what was seen after each operation of the program."""
    last = {sample.after: sample for sample in history.samples}
    return [last[index] for index in range(len(history.program.operations))]


def frames(
    history: History, mapping: int = 1, process: int = 0, page: int = 0
) -> list[int | None]:
    """Tell the frame of a page of a mapping after each operation."""
    return [
        sample.mapped[process, mapping, page].frame
        for sample in samples(history)
        if (process, mapping, page) in sample.mapped
    ]


def on_the_disk(history: History, file: int = 0) -> tuple[int, ...]:
    """Tell what the last power cut left of a file."""
    image = answers(history, PowerCut)[-1]
    assert isinstance(image, PowerCutImage), f"{image!r} is no image"
    return image.files[file].words
