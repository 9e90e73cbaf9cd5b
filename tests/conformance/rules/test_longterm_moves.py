"""Pinned pages stay where they are: histories that the rules admit, or not."""

import attrs
import pytest

from conformance.interface import (
    DeviceComplete,
    Errno,
    GetUserPages,
    KernelError,
    Load,
    Migrate,
    Mmap,
    Munmap,
    PageView,
    PutUserPages,
    Steal,
    Store,
    VmStat,
)
from conformance.rules.longterm_moves import (
    longterm_pins_are_charged,
    longterm_pins_are_not_movable,
    pinned_pages_are_not_stolen,
    pinned_pages_stay,
)
from tests.conformance.rules.story import Story

BUSY = KernelError(Errno.EBUSY)
CACHED = PageView(is_cached=True, frame=5, has_buffers=True)


def charged(pages: int) -> VmStat:
    """Show a charge."""
    return VmStat(pinned_vm=pages)


@pytest.mark.parametrize(("is_movable", "findings"), [(True, 1), (False, 0), (None, 0)])
def test_where_a_long_term_pin_is(is_movable: bool | None, findings: int) -> None:
    """Only a stack that says so can be found to pin in the movable zone."""
    story = Story()
    story.do(GetUserPages(write=False, longterm=True), 1)
    story.look(pins={(0, 0): PageView(is_movable=is_movable)})

    assert len(story.found(longterm_pins_are_not_movable)) == findings
    assert story.premises(longterm_pins_are_not_movable) == (is_movable is not None)


def test_a_short_pin_may_be_anywhere() -> None:
    """The rule is about pins for an unbounded time."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.look(pins={(0, 0): PageView(is_movable=True)})

    assert story.premises(longterm_pins_are_not_movable) == 0


@pytest.mark.parametrize(("frame", "findings"), [(5, 0), (6, 1), (None, 0)])
def test_the_frame_of_a_pinned_file_page(frame: int | None, findings: int) -> None:
    """It is the one that the file shows, whatever the answer of migrate was."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Migrate())
    view = PageView(is_cached=True, frame=frame)
    story.look(pages={(0, 0): view}, pins={(0, 0): PageView(frame=5)})

    assert len(story.found(pinned_pages_stay)) == findings


def test_a_page_that_moved_before_it_was_pinned() -> None:
    """What was moved before the pin is no business of it."""
    story = Story()
    story.do(Migrate())
    story.do(GetUserPages(), 1)
    view = PageView(is_cached=True, frame=6)
    story.look(pages={(0, 0): view}, pins={(0, 0): PageView(frame=5)})

    assert story.found(pinned_pages_stay) == []


def test_a_mapping_that_went_shows_nothing() -> None:
    """Another mapping under the same name may show another page."""
    story = Story()
    anonymous = Mmap(mapping=1, file=None, shared=False, pages=1)
    story.do(anonymous)
    story.do(GetUserPages(mapping=1), 1)
    story.do(Munmap(mapping=1))
    story.do(anonymous)
    story.do(Migrate(mapping=1))
    story.look(pins={(0, 0): PageView(frame=5)})
    last = story.history.samples[-1]
    mapped = {(0, 1, 0): PageView(frame=6)}
    story.history.samples[-1] = attrs.evolve(last, mapped=mapped)

    assert story.found(pinned_pages_stay) == []


def test_device_data_lost_after_a_migration() -> None:
    """The damage is reported with what was asked meanwhile."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(Migrate())
    story.do(DeviceComplete(value=7))
    story.do(Load(), 0)

    (first, _) = story.found(pinned_pages_stay) * 2
    assert first.endswith(f"(should be 7): {Migrate()} found the page pinned")


@pytest.mark.parametrize(
    ("charges", "findings"),
    [((0, 1, 0), 0), ((3, 4, 3), 0), ((0, 0, 0), 1), ((0, 1, 1), 1), ((0, 512, 0), 0)],
)
def test_charges(charges: tuple[int, int, int], findings: int) -> None:
    """Whatever the unit, there is a charge while there is a pin, and none after."""
    before, during, after = charges
    story = Story(start=charged(before))
    story.do(GetUserPages(write=False, longterm=True), 1)
    story.look(charged(during))
    story.do(PutUserPages())
    story.look(charged(after))

    assert len(story.found(longterm_pins_are_charged)) == findings


def test_without_long_term_pins_nothing_is_judged() -> None:
    """Others may be charged for what the program does not know."""
    story = Story(start=charged(0))
    story.do(GetUserPages(), 1)
    story.look(charged(9))

    assert story.found(longterm_pins_are_charged) == []


@pytest.mark.parametrize(
    ("after", "findings"),
    [
        (CACHED, 0),
        (PageView(is_cached=False), 1),
        (PageView(is_cached=True, frame=5, has_buffers=False), 1),
        (PageView(), 0),
    ],
)
def test_what_a_theft_leaves(after: PageView, findings: int) -> None:
    """A pinned page is there as it was, whatever the thief was answered."""
    story = Story(pages={(0, 0): CACHED})
    story.do(Store(value=1))
    story.do(GetUserPages(), 1)
    story.look(pages={(0, 0): CACHED})
    story.do(Steal(), error=BUSY)
    story.look(pages={(0, 0): after})

    assert len(story.found(pinned_pages_are_not_stolen)) == findings
    assert story.premises(pinned_pages_are_not_stolen) == 1


def test_a_theft_without_a_pin() -> None:
    """Who is not pinned may go."""
    story = Story(pages={(0, 0): CACHED})
    story.do(Steal())
    story.look(pages={(0, 0): PageView(is_cached=False)})

    assert story.premises(pinned_pages_are_not_stolen) == 0
