"""get_user_pages_fast and its races."""

import pytest

from conformance.interface import Setup
from conformance.interface.events import Event, PinBackedOff
from tests.reference_impl.stepper import Driver


def test_a_writable_entry_is_enough() -> None:
    """No lock, no fault."""
    driver = Driver()
    driver.do("store")

    pin = driver.start("get_user_pages_fast")

    assert pin.points == [
        "gup_fast.pte_read",
        "gup_fast.reference_taken",
        "gup_fast.pte_checked",
        "gup_fast.page_granted",
    ]
    assert driver.stack.vmstat().nr_gup_fast_pages_requested == 1


@pytest.mark.parametrize("point", ["gup_fast.pte_read", "gup_fast.reference_taken"])
def test_a_change_of_the_entry_makes_it_back_off(point: str) -> None:
    """The page is given back, counted, and had by a fault instead."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))
    driver.do("store")
    driver.do("store", page=1)
    pin = driver.begin("get_user_pages_fast", pages=2)
    driver.run_to(pin, point)
    driver.run(driver.begin("fsync"))

    driver.settle()

    assert PinBackedOff((0, 0), 0, 2) in told
    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_fast_page_backoffs == 1
    assert vmstat.nr_gup_fast_pages_requested == 1
    assert vmstat.nr_gup_slow_pages_requested == 2
    assert vmstat.nr_gup_pages_returned == 1
    assert driver.stack.page_view(0, 0).is_dirty


def test_a_plain_reference_backs_off_uncounted() -> None:
    """It is given back like it was taken."""
    driver = Driver()
    driver.do("store")
    pin = driver.begin("get_user_pages_fast", tracked=False)
    driver.run_to(pin, "gup_fast.reference_taken")
    driver.run(driver.begin("fsync"))

    driver.settle()

    assert driver.stack.vmstat().nr_gup_fast_page_backoffs == 0
    assert driver.stack.page_view(0, 0).refcount == 3


def test_a_page_that_was_freed_is_not_taken() -> None:
    """Its count is zero: nothing to hold on to."""
    driver = Driver()
    driver.do("store", value=1)
    pin = driver.begin("get_user_pages_fast")
    driver.run_to(pin, "gup_fast.pte_read")
    driver.run(driver.begin("truncate", words=0))
    assert driver.stack.vmstat().nr_free_pages == 32

    driver.settle()

    assert pin.error is not None
    assert driver.stack.vmstat().nr_gup_fast_pages_requested == 0


def test_a_pin_taken_before_writeback_asks_is_seen_by_it() -> None:
    """Granted before the walk: the page stays dirty and is bounced."""
    driver = Driver()
    driver.do("store")
    fsync = driver.begin("fsync")
    driver.run_to(fsync, "writeback.page_locked")
    driver.run(driver.begin("get_user_pages_fast"))

    driver.settle()

    assert fsync.is_done
    assert "writeback.bounce_captured" in fsync.points
    assert driver.stack.page_view(0, 0).is_dirty
