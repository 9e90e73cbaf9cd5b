"""Sharing equal pages."""

import pytest

from tests.reference_impl.stepper import Driver
from tests.reference_impl.test_fork import at


def equal() -> Driver:
    """Return a stack with two equal anonymous pages in mapping 1."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None, shared=False, pages=3)
    for page in range(2):
        driver.do("store", mapping=1, page=page, value=5)
    return driver


def frames(driver: Driver) -> list[int | None]:
    """Return the frames of pages 0 and 1."""
    return [driver.stack.mapped_page_view(0, 1, page).frame for page in range(2)]


def test_equal_pages_are_shared_until_one_is_written() -> None:
    """The other keeps what it was."""
    driver = equal()
    free = driver.stack.memory.free_count
    driver.do("merge", mapping=1)
    assert len(set(frames(driver))) == 1
    assert driver.stack.memory.free_count == free + 1
    assert driver.stack.mapped_page_view(0, 1, 0).is_exclusive is False

    driver.do("store", mapping=1, page=1, value=6)

    assert driver.do("load", mapping=1) == 5
    assert driver.do("load", mapping=1, page=1) == 6
    driver.do("pageout", mapping=1, pages=3)
    assert driver.do("load", mapping=1) == 5


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("fields", [{}, {"write": False}, {"tracked": False}])
def test_pages_that_are_held_are_left_alone(page: int, fields: dict[str, bool]) -> None:
    """Whether it would stay or go."""
    driver = equal()
    driver.do("get_user_pages", mapping=1, page=page, **fields)

    driver.do("merge", mapping=1)

    assert len(set(frames(driver))) == 2


@pytest.mark.parametrize("point", ["merge.protected", "merge.compared"])
def test_what_happens_meanwhile_is_noticed(point: str) -> None:
    """A store, or a pin: the pages are not merged, and nothing is lost."""
    for page in range(2):
        driver = equal()
        merge = at(driver, point, "merge", mapping=1)
        driver.run(driver.begin("store", mapping=1, page=page, value=6))
        driver.run(merge)
        assert driver.do("load", mapping=1, page=page) == 6
        assert driver.do("load", mapping=1, page=1 - page) == 5

        driver = equal()
        merge = at(driver, point, "merge", mapping=1)
        driver.run(driver.begin("get_user_pages_fast", mapping=1, page=page))
        driver.run(merge)
        driver.settle()
        driver.do("store", mapping=1, page=page, value=6)
        assert driver.do("device_read") == 6


def test_shared_and_secret_memory_stays_as_it_is() -> None:
    """So does the zero page."""
    for fields in ({"shared": True}, {"shared": False, "secret": True}):
        driver = Driver()
        driver.do("mmap", mapping=1, file=None, pages=2, **fields)
        for page in range(2):
            driver.do("store", mapping=1, page=page, value=5)
        driver.do("merge", mapping=1)
        assert len(set(frames(driver))) == 2

    driver = equal()
    driver.do("load", mapping=1, page=2)
    driver.do("store", mapping=1, page=0, value=0)
    driver.do("merge", mapping=1)
    assert driver.do("load", mapping=1, page=2) == 0
