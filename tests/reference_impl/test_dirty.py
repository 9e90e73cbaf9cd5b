"""Dirtying past the page tables."""

import pytest

from tests.reference_impl.stepper import Driver, words

PUTS = ["put_user_pages_dirty", "put_user_pages_dirty_lock"]


@pytest.mark.parametrize("name", PUTS)
def test_a_dirty_page_is_not_dirtied_again(name: str) -> None:
    """Its lock is not even asked for."""
    driver = Driver()
    driver.do("get_user_pages")
    mtime = driver.stack.mtime(0)

    put = driver.start(name)

    assert put.points == [
        "put.entered",
        "put.dirty_checked",
        "put.dirtied",
        "put.released",
    ]
    assert driver.stack.mtime(0) == mtime


@pytest.mark.parametrize("name", PUTS)
def test_a_clean_page_gets_buffers_and_is_written(name: str) -> None:
    """A caller's mistake: it had pinned the page for reading."""
    driver = Driver()
    driver.do("get_user_pages", write=False)
    driver.do("device_write", value=5)
    driver.do(name)
    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.has_buffers) == (True, True)

    driver.do("fsync")

    assert words(driver)[0] == 5


@pytest.mark.parametrize("name", [*PUTS, "set_page_dirty_lock"])
def test_dirtying_an_orphan_is_harmless(name: str) -> None:
    """Nothing is accounted, and the page is freed with its last put."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("truncate", words=0)

    driver.do(name)

    assert driver.stack.vmstat().nr_dirty == 0
    assert driver.stack.statfs().blocks_reserved == 0
    if name == "set_page_dirty_lock":
        driver.do("put_user_page")
        driver.do(name)
    assert driver.stack.vmstat().nr_free_pages == 32
