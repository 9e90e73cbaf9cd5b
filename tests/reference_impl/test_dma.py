"""Pins and their devices."""

import pytest

from conformance.interface import KernelError, PageView
from tests.reference_impl.stepper import Driver


def test_a_pin_outlives_mapping_and_process() -> None:
    """The device still reads and writes the file's page."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("exit")

    driver.do("device_write", value=8)

    assert driver.do("device_read") == 8
    assert driver.do("read") == (8, 0)
    assert driver.stack.pinned_page_view(0, 0).is_cached


def test_pages_are_put_in_any_split_and_each_once() -> None:
    """A page that has been put is passed over, or refused when asked for alone."""
    driver = Driver()
    driver.do("get_user_pages", pages=4)
    driver.do("put_user_page", page=2)
    with pytest.raises(KernelError, match=r"^EINVAL"):
        driver.do("put_user_page", page=2)
    driver.do("put_user_pages", first=0, pages=1)
    driver.do("put_user_pages")

    assert driver.stack.vmstat().nr_gup_pages_returned == 4
    assert driver.stack.pinned_page_view(0, 0) == PageView()
    assert driver.do("device_read") is None
    assert driver.do("device_write") is None


def test_a_negative_count_puts_nothing() -> None:
    """Neither pages nor counters change."""
    driver = Driver()
    driver.do("get_user_pages", pages=2)

    driver.do("put_user_pages", pages=-1)

    assert driver.stack.vmstat().nr_gup_pages_returned == 0


def test_the_two_kinds_of_put_are_not_interchangeable() -> None:
    """A pin is not put by put_page, nor a reference by put_user_page."""
    driver = Driver()
    driver.do("get_user_pages", pin=0)
    driver.do("get_user_pages", pin=1, tracked=False)
    before = driver.stack.page_view(0, 0).refcount

    for name, pin in (
        ("put_page", 0),
        ("put_user_page", 1),
        ("put_user_pages", 1),
        ("put_user_pages", 2),
    ):
        with pytest.raises(KernelError, match=r"^EINVAL"):
            driver.do(name, pin=pin)

    assert driver.stack.page_view(0, 0).refcount == before
