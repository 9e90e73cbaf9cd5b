"""Giving pages up, and bookkeeping of writes."""

from tests.reference_impl.stepper import Driver
from tests.reference_impl.test_fork import anonymous


def test_what_is_given_up_is_the_devices_alone() -> None:
    """New loads find a zero page; the frame is not used again before the put."""
    driver = anonymous()
    free = driver.stack.memory.free_count
    driver.do("get_user_pages", mapping=1, pages=2)
    driver.do("dontneed", mapping=1)
    driver.do("device_write", word=1, value=9)

    assert driver.do("load", mapping=1) == 0
    assert driver.do("load", mapping=1, page=1) == 2
    assert (driver.do("device_read"), driver.do("device_read", word=1)) == (1, 9)
    assert driver.stack.memory.free_count == free
    driver.do("munmap", mapping=1)
    driver.do("put_user_pages")

    assert driver.stack.memory.free_count == free + 2


def test_a_shared_page_of_a_file_stays_what_it_is() -> None:
    """Only the entry goes; its dirty bit does not get lost."""
    driver = Driver()
    driver.do("store", value=5)

    driver.do("dontneed", pages=4)

    view = driver.stack.page_view(0, 0)
    assert (view.writable_ptes, view.is_dirty, view.refcount) == (0, True, 1)
    assert driver.do("load") == 5


def test_shared_anonymous_memory_is_zero_for_all() -> None:
    """Another process sees it at once."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None)
    driver.do("store", mapping=1, value=5)
    driver.do("fork")
    assert driver.do("load", process=1, mapping=1) == 5

    driver.do("dontneed", mapping=1)

    assert driver.do("load", process=1, mapping=1) == 0


def test_clear_refs_has_the_next_write_noticed() -> None:
    """The page of one process alone is not copied for that."""
    driver = anonymous()
    before = driver.stack.mapped_page_view(0, 1, 0)
    driver.do("clear_refs")
    assert driver.stack.mapped_page_view(0, 1, 0).writable_ptes == 0

    driver.do("store", mapping=1, value=8)

    after = driver.stack.mapped_page_view(0, 1, 0)
    assert (after.frame, after.writable_ptes) == (before.frame, 1)


def test_clear_refs_leaves_pinned_pages_writable() -> None:
    """Pages of files are protected; page_mkwrite will be asked again."""
    driver = anonymous()
    driver.do("store", value=5)
    driver.do("get_user_pages", mapping=1)
    driver.do("clear_refs")

    assert driver.stack.mapped_page_view(0, 1, 0).writable_ptes == 1
    assert driver.stack.mapped_page_view(0, 1, 1).writable_ptes == 0
    assert driver.stack.page_view(0, 0).writable_ptes == 0
    driver.do("store", value=6)
    assert driver.do("load") == 6
