"""Files share extents, lose pages to others, and come and go with a mount."""

import pytest

from conformance.interface import (
    Clone,
    Dedupe,
    DeviceComplete,
    Fsync,
    GetUserPages,
    Load,
    Mmap,
    Mount,
    Munmap,
    PowerCut,
    Read,
    Steal,
    Store,
    Umount,
    Write,
)
from pytest_gup.adapters.linux import missing
from pytest_gup.adapters.linux.lab import the_lab
from tests.pytest_gup.adapters.linux.programs import (
    ALL,
    HOLE,
    SHARING,
    after,
    anonymous,
    answers,
    on_disk,
    on_the_disk,
    samples,
)

pytestmark = [pytest.mark.linux, pytest.mark.slow]

SHARES_LAB = True


@pytest.mark.parametrize("filesystem", SHARING)
def test_clone(filesystem: str) -> None:
    """It keeps what the file held, on the disk as well."""
    history = after(
        filesystem,
        *(Store(value=3), Clone(), Store(value=4), Read(file=1), Read()),
        *(Fsync(file=1), PowerCut()),
    )

    assert answers(history, Read) == [(3, 0), (4, 0)]
    assert on_the_disk(history, file=1) == (3, *HOLE[1:])


@pytest.mark.parametrize("filesystem", SHARING)
def test_dedupe(filesystem: str) -> None:
    """It shares what is equal, and says so; a store parts the files again."""
    history = after(
        filesystem,
        *(Store(value=3), Clone(), Store(value=4), Dedupe(), Store(value=3)),
        *(Dedupe(), Dedupe(page=1, other_page=1, pages=2), Store(value=5)),
        *(Read(file=1), Read()),
    )

    assert answers(history, Dedupe) == [0, 1, 2]
    assert answers(history, Read) == [(3, 0), (5, 0)]


@on_disk
def test_umount_writes_once(filesystem: str) -> None:
    """What a device writes to a page after the umount is nobody's."""
    history = after(
        filesystem,
        *(Store(value=3), anonymous(), Store(mapping=1, value=7), GetUserPages()),
        *(Umount(), PowerCut(), DeviceComplete(value=5), Mount(), Read()),
        *(Load(mapping=1), Mmap(mapping=2), Store(mapping=2, value=9), Read()),
    )

    assert on_the_disk(history) == (3, *HOLE[1:])
    assert answers(history, Read) == [(3, 0), (9, 0)]
    assert answers(history, Load) == [7]


@on_disk
def test_umount_alone(filesystem: str) -> None:
    """A stack is closed while nothing is mounted, and the next one boots."""
    after(filesystem, Store(value=3), Umount())

    history = after(filesystem, Umount(), Mount(), Read())

    assert answers(history, Read) == [(0, 0)]


@on_disk
def test_steal(filesystem: str) -> None:
    """A clean page that nobody maps leaves the cache; a pinned one does not."""
    history = after(
        filesystem,
        *(Write(value=3), Fsync(), Munmap(), Steal(), Read()),
        *(Mmap(mapping=1), GetUserPages(mapping=1), Steal(), Load(mapping=1)),
    )

    stolen, read, _, pinned, kept, _ = (
        sample.pages[0, 0] for sample in samples(history)[3:]
    )
    assert stolen.is_cached is False
    assert read.is_cached
    assert pinned.frame == kept.frame
    assert answers(history, Read) == [(3, 0)]


@pytest.mark.parametrize("filesystem", ALL)
def test_offers_are_found_out_once(filesystem: str) -> None:
    """What a filesystem can do is tried when its first stack boots."""
    reason = missing(filesystem)
    if reason:
        pytest.skip(reason)

    offered = the_lab().offers(filesystem)

    assert ("sharing" in offered) is (filesystem in SHARING)
    assert the_lab().offers(filesystem) is offered
