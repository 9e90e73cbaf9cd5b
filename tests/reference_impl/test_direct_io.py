"""The stack's own drivers."""

from typing import Any

import pytest

from conformance.interface import Feature, KernelError, Setup
from tests.reference_impl.stepper import Driver, words


def with_file(**fields: Any) -> Driver:
    """Boot with a file 1 of two pages: 11 12 13 14."""
    driver = Driver(**fields)
    driver.do("create", file=1)
    for word in range(4):
        driver.do("write", file=1, page=word // 2, word=word % 2, value=11 + word)
    return driver


@pytest.mark.parametrize("features", [frozenset(), {Feature.NO_DIRTY_TRACKING}])
def test_a_direct_read_fills_the_buffer_up_to_the_end(
    features: frozenset[Feature],
) -> None:
    """It answers as many pages as the file has there."""
    driver = with_file(setup=Setup(features=features))

    assert driver.do("direct_read", page=1, file_page=1, pages=3) == 1

    assert (driver.do("load", page=1), driver.do("load", page=1, word=1)) == (13, 14)
    assert driver.do("direct_read", file_page=2) == 0
    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_pages_returned == vmstat.nr_foll_pin_acquired == 1


def test_what_a_direct_read_brought_is_durable_after_fsync() -> None:
    """It was marked dirty after the last write."""
    driver = with_file()
    driver.do("direct_read", pages=2)

    driver.do("fsync")

    assert words(driver)[:4] == (11, 12, 13, 14)


def test_a_direct_read_that_fails_puts_its_pins() -> None:
    """EIO; what came before stays, and is dirty."""
    driver = with_file()
    driver.do("fsync", file=1)
    driver.do("fail_next", write=False)
    driver.do("load")
    driver.do("store")
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("direct_read")

    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_pages_returned == vmstat.nr_foll_pin_acquired == 1


def test_a_direct_write_reaches_the_disk_and_the_cache() -> None:
    """Readers of the file see it, and the file grows."""
    driver = with_file()
    driver.do("store", value=5)
    driver.do("load", page=1)

    assert driver.do("direct_write", pages=2, file_page=1) == 2

    assert driver.do("read", file=1, page=1) == (5, 0)
    driver.do("fsync", file=1)
    assert words(driver, 1) == (11, 12, 5, 0, 0, 0)
    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_pages_returned == vmstat.nr_foll_pin_acquired == 2


def test_direct_io_within_one_file_comes_to_an_end() -> None:
    """The buffer may be a mapping of the same pages."""
    driver = Driver()
    driver.do("store", value=5)

    assert driver.do("direct_write", file=0, file_page=0, pages=2) == 2
    assert driver.do("direct_read", file=0, file_page=0, page=1) == 1

    assert driver.do("load", page=1) == 5


def test_a_direct_write_without_space_puts_its_pins() -> None:
    """ENOSPC, by now nothing is held."""
    driver = with_file()
    driver.do("store")
    driver.do("fill_disk")
    with pytest.raises(KernelError, match=r"^ENOSPC"):
        driver.do("direct_write", file_page=2)

    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_pages_returned == vmstat.nr_foll_pin_acquired == 1


def test_a_refused_page_of_the_file_fails_the_direct_read() -> None:
    """What the cache has must reach the disk first."""
    driver = with_file()
    memory = driver.stack.memory
    driver.do("mmap", file=1, pages=2)
    driver.do("get_user_pages", mapping=1)
    while memory.free_count:
        memory.allocate()

    with pytest.raises(KernelError, match=r"^ENOMEM"):
        driver.do("direct_read")


def test_a_transfer_fills_whole_pages() -> None:
    """Every word, and it is durable after fsync."""
    driver = Driver()
    assert driver.do("device_transfer", page=1, pages=2, value=7) == 2

    driver.do("fsync")

    assert words(driver) == (0, 0, 7, 7, 7, 7, 0, 0)
