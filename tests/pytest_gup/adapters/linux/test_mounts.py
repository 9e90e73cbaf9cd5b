"""Unmounting the filesystem and mounting it again, in unusual states."""

import pytest

from conformance.interface import (
    Create,
    DeviceComplete,
    DirectWrite,
    Exit,
    FillDisk,
    Fsync,
    GetUserPages,
    Hold,
    HoldPoint,
    Mount,
    Operation,
    PowerCut,
    PowerCutImage,
    Read,
    Reclaim,
    Release,
    Split,
    Store,
    Umount,
)
from tests.pytest_gup.adapters.linux.programs import after, answers, on_disk

pytestmark = [pytest.mark.linux, pytest.mark.slow]
SHARES_LAB = True


@on_disk
def test_a_full_filesystem_is_mounted_again(filesystem: str) -> None:
    """There is nothing to be warmed up for the next allocation."""
    history = after(
        filesystem, Store(value=5), Fsync(), FillDisk(), Umount(), Mount(), Read()
    )

    (read,) = answers(history, Read)
    assert isinstance(read, tuple)
    assert read[0] == 5


@on_disk
def test_a_process_that_ended_keeps_nothing_mapped(filesystem: str) -> None:
    """Not even if a device still has its pages, and one of its threads stays."""
    history = after(
        filesystem, GetUserPages(), Exit(), Umount(), Mount(), DeviceComplete(value=3)
    )

    assert answers(history, Umount) == [None]


@on_disk
@pytest.mark.parametrize("operation", [Reclaim(), Split()])
def test_what_a_process_that_is_ending_has_mapped_is_left_to_it(
    filesystem: str, operation: Operation
) -> None:
    """A call keeps it from ending, and it can be asked for nothing more."""
    history = after(
        filesystem,
        *(Create(1), Store(value=3), Hold(HoldPoint.AFTER_CAPTURE), DirectWrite()),
        *(Exit(), operation, Release()),
    )

    assert answers(history, type(operation)) == [None]


@on_disk
def test_a_power_cut_beside_a_mount_that_waits(filesystem: str) -> None:
    """It waits as well: btrfs mounts one at a time, and a copy is mounted, too."""
    history = after(
        filesystem,
        *(Store(value=5), Fsync(), Umount(), Hold(HoldPoint.BEFORE_CAPTURE)),
        *(Mount(), PowerCut(), Release()),
    )

    (cut,) = answers(history, PowerCut)
    assert isinstance(cut, PowerCutImage)
    assert cut.files[0].words[0] == 5
    assert answers(history, Mount) == [None]
