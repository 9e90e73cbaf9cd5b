"""Long-term pins and direct I/O work on each filesystem as on any."""

import pytest

from conformance.interface import (
    DeviceComplete,
    DirectRead,
    DirectWrite,
    Errno,
    Exit,
    Fork,
    Fsync,
    GetUserPages,
    Load,
    Mmap,
    PunchHole,
    Read,
    Store,
    Truncate,
    Write,
)
from tests.pytest_gup.adapters.linux.programs import (
    after,
    anonymous,
    answers,
    everywhere,
    on_disk,
    refusal,
    samples,
)

pytestmark = [pytest.mark.linux, pytest.mark.slow]

SHARES_LAB = True


@everywhere
def test_longterm_pins_are_charged(filesystem: str) -> None:
    """Pages of a long-term pin are charged to the process, until they are put."""
    history = after(
        filesystem,
        *(anonymous(pages=4), GetUserPages(mapping=1, pages=3, longterm=True)),
        DeviceComplete(value=6),
        *(Load(mapping=1, page=2), Load(mapping=1, page=3)),
    )

    charged = [sample.vmstat.pinned_vm for sample in samples(history)]
    assert charged == [0, 3, 0, 0, 0]
    assert answers(history, Load) == [6, 0]


@everywhere
def test_a_longterm_pin_of_a_readonly_mapping_is_refused(filesystem: str) -> None:
    """It is for writing, and the mapping is not."""
    history = after(
        filesystem,
        Mmap(mapping=1, shared=False, writable=False),
        GetUserPages(mapping=1, longterm=True),
    )

    assert refusal(answers(history, GetUserPages)[0]) is Errno.EFAULT


@everywhere
def test_a_longterm_pin_outlives_the_process(filesystem: str) -> None:
    """The device writes to the page that it was given, which nobody has any more."""
    history = after(
        filesystem,
        *(anonymous(), Store(mapping=1, value=3), Fork()),
        *(GetUserPages(mapping=1, longterm=True), Exit(), DeviceComplete(value=6)),
        Load(process=1, mapping=1),
    )

    assert answers(history, Load) == [3]
    assert history.samples[-1].vmstat.pinned_vm is None


@on_disk
def test_direct_read_into_the_same_file(filesystem: str) -> None:
    """Reading a page into a mapping of another page of the file moves it there."""
    history = after(
        filesystem,
        *(Write(value=3), DirectRead(file=0, page=1), Load(page=1), Read(page=1)),
    )

    assert answers(history, DirectRead) == [1]
    assert answers(history, Load) == [3]
    assert answers(history, Read) == [(3, 0)]


@on_disk
@pytest.mark.parametrize("operation", [DirectRead, DirectWrite])
def test_direct_io_with_itself_for_a_buffer(
    filesystem: str, operation: type[DirectRead] | type[DirectWrite]
) -> None:
    """A page that is its own buffer stays what it is, and nobody waits for ever."""
    history = after(filesystem, Store(value=3), operation(file=0, pages=2), Read())

    assert answers(history, Read) == [(3, 0)]


@on_disk
@pytest.mark.parametrize("operation", [DirectRead, DirectWrite])
def test_direct_io_with_a_buffer_that_ends_early(
    filesystem: str, operation: type[DirectRead] | type[DirectWrite]
) -> None:
    """Of a buffer that lies half behind the end of its file, half is used, or none.

    ext4 and xfs answer EIO where the file has a hole, on any disk (Linux 6.18).
    """
    history = after(
        filesystem,
        *(Store(value=3), Truncate(words=4), Fsync()),
        operation(file=0, page=1, file_page=0, pages=3),
        PunchHole(page=0),
    )

    (answer,) = answers(history, operation)
    is_used = answer in {0, 1}
    assert is_used or refusal(answer) in {Errno.EFAULT, Errno.EIO}


@on_disk
def test_direct_write_from_a_pinned_page(filesystem: str) -> None:
    """A page that a device holds can be a buffer."""
    history = after(
        filesystem,
        *(Store(value=3), GetUserPages(), DirectWrite(file=0, file_page=2)),
        *(DeviceComplete(value=5), Read(page=2), Read()),
    )

    assert answers(history, Read) == [(3, 0), (5, 5)]
