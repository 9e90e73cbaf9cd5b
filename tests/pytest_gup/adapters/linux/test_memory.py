"""Memory and processes are, on each filesystem, what their operations say."""

import pytest

from conformance.interface import (
    ClearRefs,
    DeviceAbort,
    DeviceComplete,
    DirectWrite,
    Dontneed,
    Errno,
    Exit,
    Fork,
    Freeze,
    Fsync,
    GetUserPages,
    Hold,
    Load,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Read,
    Release,
    Store,
    Thaw,
    Write,
)
from tests.pytest_gup.adapters.linux.programs import (
    after,
    anonymous,
    answers,
    everywhere,
    frames,
    on_disk,
    refusal,
    samples,
)

pytestmark = [pytest.mark.linux, pytest.mark.slow]

SHARES_LAB = True


@everywhere
def test_anonymous_private_memory(filesystem: str) -> None:
    """It is zero, keeps what is stored, and is nobody else's after a fork."""
    history = after(
        filesystem,
        *(anonymous(), Load(mapping=1), Store(mapping=1, value=3), Fork()),
        *(Store(mapping=1, value=4), Load(process=1, mapping=1), Load(mapping=1)),
    )

    assert answers(history, Load) == [0, 3, 4]


@everywhere
def test_anonymous_shared_memory(filesystem: str) -> None:
    """What one process stores, its child sees."""
    history = after(
        filesystem,
        *(anonymous(shared=True), Fork(), Store(mapping=1, value=4)),
        Load(process=1, mapping=1),
    )

    assert answers(history, Load) == [4]


@everywhere
def test_private_mapping_of_a_file(filesystem: str) -> None:
    """A store stays in the mapping, and is given up by Dontneed."""
    history = after(
        filesystem,
        *(Write(value=2), Mmap(mapping=1, shared=False), Store(mapping=1, value=3)),
        *(Load(mapping=1), Read(), Dontneed(mapping=1), Load(mapping=1)),
    )

    assert answers(history, Load) == [3, 2]
    assert answers(history, Read) == [(2, 0)]


@everywhere
def test_secret_memory(filesystem: str) -> None:
    """It can be used like any other, but not pinned."""
    history = after(
        filesystem,
        *(anonymous(shared=True, secret=True), Store(mapping=1, value=3)),
        *(Load(mapping=1), GetUserPages(mapping=1), GetUserPages(mapping=1, pin=1)),
    )

    assert answers(history, Load) == [3]
    assert set(map(refusal, answers(history, GetUserPages))) == {Errno.EFAULT}


@everywhere
def test_dontneed(filesystem: str) -> None:
    """Anonymous memory is zero after it, and has no page."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Dontneed(mapping=1)),
        Load(mapping=1),
    )

    assert answers(history, Load) == [0]
    before, *gone = frames(history)[-3:]
    assert before is not None
    assert gone == [None, None]


@everywhere
def test_frames_are_shown_without_bringing_pages_in(filesystem: str) -> None:
    """A page has a frame once it was written, and is exclusive until a fork."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Fork(), Store(mapping=1, value=4)),
    )

    views = [sample.mapped[0, 1, 0] for sample in samples(history)]
    assert [view.is_exclusive for view in views] == [None, True, False, True]
    assert samples(history)[-1].mapped[0, 1, 1].frame is None


@everywhere
def test_clear_refs(filesystem: str) -> None:
    """It changes nothing of what is held, pinned or not, of memory and of a file."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Store(value=5)),
        *(GetUserPages(mapping=1), ClearRefs(), Load(mapping=1), Load()),
        *(DeviceComplete(value=7), Load(mapping=1), Store(mapping=1, value=8)),
        *(Load(mapping=1), Store(value=6), Read()),
    )

    assert answers(history, Load) == [3, 5, 7, 8]
    assert answers(history, Read) == [(6, 0)]


@everywhere
def test_mremap_and_mprotect(filesystem: str) -> None:
    """Private memory moves with what it holds, and can be made read-only."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Mremap(mapping=1), Load(mapping=1)),
        *(Mprotect(mapping=1), Load(mapping=1), Munmap(mapping=1)),
    )

    assert answers(history, Load) == [3, 3]


@everywhere
def test_exit_leaves_the_pins(filesystem: str) -> None:
    """What a device writes after the process has ended is in the file."""
    history = after(
        filesystem,
        *(Store(value=3), Fork(), GetUserPages(), GetUserPages(page=1, pin=1)),
        *(Exit(), DeviceComplete(value=5), DeviceAbort(pin=1), Load(process=1)),
    )

    assert answers(history, Load) == [5]
    last = history.samples[-1].vmstat
    assert last.nr_foll_pin_acquired == last.nr_foll_pin_released


@everywhere
def test_a_child_outlives_its_parent(filesystem: str) -> None:
    """A child goes on by itself, and has children."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Fork(), Exit(), Fork(1, 2)),
        *(Exit(1), Load(process=2, mapping=1), Store(process=2, value=4), Read()),
    )

    assert answers(history, Load) == [3]
    assert answers(history, Read) == [(4, 0)]


@on_disk
def test_exit_waits_for_calls(filesystem: str) -> None:
    """A process ends when its calls have."""
    history = after(
        filesystem,
        *(Mmap(1, 0), Store(process=1, value=3), Hold()),
        *(DirectWrite(process=1, file=0, file_page=2), Exit(1), Release()),
    )

    calls = {type(call.operation): call for call in history.calls}
    write, ended = calls[DirectWrite].answered, calls[Exit].answered
    assert write is not None
    assert ended is not None
    assert write < ended


@everywhere
def test_a_number_is_used_again(filesystem: str) -> None:
    """A process may bear the number of one that has ended."""
    history = after(
        filesystem,
        *(Mmap(1, 0), Exit(1), Mmap(1, 0), Store(process=1, value=3)),
        Read(),
    )

    assert answers(history, Read) == [(3, 0)]


@on_disk
def test_a_mapping_that_is_moving_is_moved_again(filesystem: str) -> None:
    """A fault keeps the first move waiting; what comes later finds it where it goes."""
    history = after(
        filesystem,
        *(Store(value=3), Fsync(), Freeze(), GetUserPages(), Mremap(), Mremap()),
        *(Mprotect(writable=False), Load(), Thaw(), Mprotect(writable=True)),
        *(Store(value=4), Load()),
    )

    assert answers(history, Mremap) == [None, None]
    assert answers(history, Load) == [3, 4]


@on_disk
def test_a_fork_that_waits_shuts_its_process_out(filesystem: str) -> None:
    """It has the interpreter; other calls of the process are blocked, not running."""
    history = after(
        filesystem,
        *(Load(), Freeze(), Store(value=1), Store(word=1, value=2)),
        *(Fork(child=2), Fork(child=1), Load(word=1), Thaw(), Load()),
    )

    assert history.inconclusive is None
    assert answers(history, Load)[-1] == 1
