"""The disk and its actor."""

import pytest

from conformance.interface import Geometry, HoldPoint, KernelError
from reference_impl.blockdev import Disk, Words, WriteRequest, has_parity_mismatch
from reference_impl.memory import Memory, Page
from tests.reference_impl.stepper import Call

GEOMETRY = Geometry()


def a_page(words: Words) -> Page:
    """Return a page with some content."""
    page = Memory(GEOMETRY).allocate()
    page.words = list(words)
    return page


def submit(disk: Disk, block: int, page: Page) -> list[bool]:
    """Submit a write; its outcome appears in the list."""
    ends: list[bool] = []
    disk.submit(WriteRequest(block, page, tuple(page.words), ends.append))
    return ends


def run(disk: Disk) -> None:
    """Let the disk work as far as it gets."""
    actor = Call(disk.work())
    while actor.can_go_on:
        actor.step()


def test_content_is_captured_late() -> None:
    """What is changed between submit and capture is what gets written."""
    disk = Disk(GEOMETRY)
    page = a_page((1, 1))
    ends = submit(disk, 4, page)

    page.words[1] = 2
    run(disk)

    assert ends == [False]
    assert disk.read(4) == (1, 2)


def test_a_hold_stops_every_write_at_its_point() -> None:
    """Before capture content may change, after capture it may not."""
    disk = Disk(GEOMETRY, held_at=HoldPoint.BEFORE_CAPTURE)
    first, second = a_page((1, 1)), a_page((2, 2))
    ends = submit(disk, 0, first) + submit(disk, 1, second)
    run(disk)
    assert not disk.captured
    disk.held_at = HoldPoint.AFTER_CAPTURE
    run(disk)
    assert len(disk.captured) == 2

    first.words[0] = 9
    disk.held_at = None
    run(disk)

    assert ends == []
    assert (disk.read(0), disk.read(1)) == ((1, 1), (2, 2))


def test_a_failed_write_leaves_the_block_as_it_was() -> None:
    """Its end says so, and the next write succeeds."""
    disk = Disk(GEOMETRY, fails_next_write=True)
    failed = submit(disk, 0, a_page((1, 1)))
    run(disk)
    assert (failed, disk.read(0)) == ([True], (0, 0))

    ends = submit(disk, 0, a_page((1, 1)))
    run(disk)
    assert (ends, disk.read(0)) == ([False], (1, 1))


def test_a_failed_read_fails_once() -> None:
    """EIO, and then the block is there."""
    disk = Disk(GEOMETRY, fails_next_read=True)

    with pytest.raises(KernelError, match=r"^EIO: block 3 cannot be read$"):
        disk.read(3)
    assert disk.read(3) == (0, 0)


def test_a_volatile_cache_is_lost_until_flushed() -> None:
    """The image has a block only after the flush."""
    disk = Disk(GEOMETRY, has_cache=True, has_parity=True)
    submit(disk, 0, a_page((1, 1)))
    run(disk)
    assert disk.read(0) == (1, 1)
    assert disk.image().blocks == {}

    disk.flush()

    assert disk.image().blocks == {0: (1, 1)}
    assert not has_parity_mismatch(disk.image(), 0, 0)


def test_parity_shows_a_page_that_was_not_stable() -> None:
    """Parity is made at submit; it is judged when the stripe is at rest."""
    disk = Disk(GEOMETRY, has_parity=True)
    page = a_page((1, 1))
    submit(disk, 0, page)
    page.words[0] = 7
    run(disk)
    submit(disk, 2, a_page((3, 3)))

    image = disk.image()

    assert has_parity_mismatch(image, 0, 0)
    assert not has_parity_mismatch(image, 0, 1)
    assert has_parity_mismatch(image, 1, 0)
    assert not has_parity_mismatch(image, 2, 0)
