"""The dirty limit, and what does not count against it."""

from conformance.interface import Geometry, Setup
from tests.reference_impl.stepper import Driver

SETUP = Setup(Geometry(file_pages=8, memory_pages=14))
"""Seven pages may be dirty."""


def dirty(driver: Driver) -> int:
    """Count the dirty pages."""
    return driver.stack.counters.dirty


def test_a_writer_over_the_limit_cleans_pages() -> None:
    """The eighth page is one too many: those before it are written."""
    driver = Driver(SETUP)
    for page in range(7):
        driver.do("write", page=page, value=1)
    assert dirty(driver) == 7

    driver.do("write", page=7, value=1)

    assert dirty(driver) < 7


def test_a_writer_over_the_limit_waits_for_the_disk() -> None:
    """What is under writeback counts, too."""
    driver = Driver(SETUP)
    driver.do("hold")
    for page in range(7):
        driver.do("write", page=page, value=1)

    last = driver.start("store", page=7, value=1)
    driver.settle()
    assert not last.is_done
    assert last.waits is not None
    assert last.waits.on == "dirty limit"

    driver.do("release")
    driver.settle()
    assert last.is_done


def test_pinned_pages_do_not_count() -> None:
    """All pages of the file are pinned and dirty; another file is written."""
    driver = Driver(SETUP)
    driver.do("create", file=1)
    driver.do("get_user_pages", pages=8, pin=0)
    assert dirty(driver) == 8

    driver.do("write", file=1, page=0, value=1)
    driver.do("write", file=1, page=1, value=1)

    assert dirty(driver) == 10


def test_a_freeze_that_begins_meanwhile_stops_nobody_for_good() -> None:
    """Nothing is written while it lasts; the writer goes on when it ends."""
    driver = Driver(SETUP)
    driver.do("hold")
    for page in range(7):
        driver.do("write", page=page, value=1)
    last = driver.start("store", page=7, value=1)
    freeze = driver.start("freeze")

    driver.do("release")
    driver.settle()
    assert freeze.is_done
    driver.do("thaw")
    driver.settle()

    assert last.is_done
