"""Moving pages out of memory."""

from conformance.interface import PageView
from tests.reference_impl.stepper import Driver
from tests.reference_impl.test_fork import anonymous, at


def test_a_page_comes_back_with_its_content() -> None:
    """Its frame was free meanwhile."""
    driver = anonymous()
    free = driver.stack.memory.free_count
    driver.do("pageout", mapping=1, pages=2)
    assert driver.stack.mapped_page_view(0, 1, 0) == PageView()
    assert driver.stack.memory.free_count == free + 2

    assert driver.do("load", mapping=1) == 1
    driver.do("store", mapping=1, page=1, word=1, value=9)

    assert driver.do("load", mapping=1, page=1) == 2
    assert driver.stack.memory.free_count == free


def test_a_page_of_two_processes_comes_back_to_both() -> None:
    """As what it was."""
    driver = anonymous()
    driver.do("fork")
    driver.do("pageout", process=1, mapping=1)
    assert driver.stack.mapped_page_view(0, 1, 0) == PageView()

    driver.do("store", mapping=1, value=8)

    assert driver.do("load", process=1, mapping=1) == 1


def test_a_page_that_is_held_stays() -> None:
    """Pinned or referenced, to read or to write."""
    for fields in ({"write": True}, {"write": False}, {"tracked": False}):
        driver = anonymous()
        driver.do("get_user_pages", mapping=1, **fields)
        before = driver.stack.mapped_page_view(0, 1, 0)

        driver.do("pageout", mapping=1)

        assert driver.stack.mapped_page_view(0, 1, 0) == before


def test_a_moved_mapping_takes_its_swapped_pages_along() -> None:
    """Giving them up forgets them."""
    driver = anonymous()
    driver.do("pageout", mapping=1, pages=2)
    driver.do("mremap", mapping=1)
    driver.do("dontneed", mapping=1, page=1)

    assert driver.do("load", mapping=1) == 1
    assert driver.do("load", mapping=1, page=1) == 0
    driver.do("munmap", mapping=1)
    assert driver.stack.mm.processes[0].swapped == {}


def test_a_page_of_a_file_goes_to_its_file() -> None:
    """It is written, unmapped and freed; of the zero page there is nothing to move."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None, shared=False)
    driver.do("load", mapping=1)
    driver.do("store", value=5)
    driver.do("pageout", pages=4)
    driver.do("pageout", mapping=1)

    assert driver.stack.page_view(0, 0) == PageView(is_cached=False)
    assert driver.do("load") == 5
    assert driver.stack.files.names[0].users == 1


def test_shared_memory_stays() -> None:
    """It has no other place."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None)
    driver.do("store", mapping=1, value=5)

    driver.do("pageout", mapping=1)

    assert driver.stack.mapped_page_view(0, 1, 0).frame is not None


def test_gup_fast_takes_no_page_that_has_gone() -> None:
    """The entry that it had read is not there any more, or the page stays."""
    for point in ("gup_fast.pte_read", "gup_fast.reference_taken"):
        driver = anonymous()
        get = at(driver, point, "get_user_pages_fast", mapping=1)
        driver.run(driver.begin("pageout", mapping=1))
        driver.settle()
        assert get.result == 1

        driver.do("device_write", value=9)

        assert driver.do("load", mapping=1) == 9
