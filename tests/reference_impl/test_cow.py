"""Copy on write: who gets a copy, when, and of what."""

import pytest

from conformance.interface import KernelError, Signal
from tests.reference_impl.stepper import Driver


def private(**fields: bool) -> Driver:
    """Return a stack with a private mapping 1 of file 0, whose first word is 3."""
    driver = Driver()
    driver.do("store", value=3)
    driver.do("mmap", mapping=1, shared=False, **fields)
    return driver


def frame(driver: Driver, process: int = 0, page: int = 0) -> int | None:
    """Return the frame behind a page of mapping 1."""
    return driver.stack.mapped_page_view(process, 1, page).frame


def file_frame(driver: Driver) -> int | None:
    """Return the frame of page 0 of file 0."""
    return driver.stack.page_view(0, 0).frame


@pytest.mark.parametrize("loaded", [False, True])
def test_a_store_to_a_private_mapping_makes_a_copy(*, loaded: bool) -> None:
    """The file is neither changed nor told of it."""
    driver = private()
    if loaded:
        assert driver.do("load", mapping=1) == 3
        assert frame(driver) == file_frame(driver)
    count, mtime = driver.stack.page_mkwrite_count(0), driver.stack.mtime(0)

    driver.do("store", mapping=1, word=1, value=8)

    assert (driver.do("load", mapping=1), driver.do("load", word=1)) == (3, 0)
    assert frame(driver) != file_frame(driver)
    assert driver.stack.page_view(0, 0).refcount == 2
    assert driver.stack.page_mkwrite_count(0) == count
    assert driver.stack.mtime(0) == mtime


def test_a_private_page_is_the_file_until_it_is_written() -> None:
    """And again after it was given up."""
    driver = private()
    driver.do("load", mapping=1)
    driver.do("write", value=4)
    assert driver.do("load", mapping=1) == 4
    driver.do("store", mapping=1, value=9)
    driver.do("write", value=5)
    assert driver.do("load", mapping=1) == 9

    driver.do("dontneed", mapping=1)

    assert driver.do("load", mapping=1) == 5


def test_cutting_the_file_takes_copies_beyond_its_end() -> None:
    """A hole leaves them."""
    driver = private()
    driver.do("store", mapping=1, page=1, value=9)
    driver.do("punch_hole", page=1)
    assert driver.do("load", mapping=1, page=1) == 9

    driver.do("truncate", words=2)

    with pytest.raises(Signal, match=r"^SIGBUS"):
        driver.do("load", mapping=1, page=1)


def test_a_cut_is_noticed_while_a_page_is_copied() -> None:
    """The copy is not put where the file has ended."""
    driver = private()
    store = driver.begin("store", mapping=1, value=9)
    driver.run_to(store, "cow.page_copied")
    truncate = driver.begin("truncate", words=0)
    driver.run(truncate)

    driver.settle()

    assert isinstance(store.error, Signal)
    assert driver.stack.mapped_page_view(0, 1, 0).frame is None


def test_a_copy_is_dropped_if_the_entry_has_changed() -> None:
    """Another thread was faster: its store is not lost."""
    driver = private()
    driver.do("load", mapping=1)
    slow = driver.begin("store", mapping=1, value=8)
    driver.run_to(slow, "cow.page_copied")
    fast = driver.begin("store", mapping=1, word=1, value=9)
    driver.run(fast)

    driver.settle()

    assert driver.do("load", mapping=1) == 8
    assert driver.do("load", mapping=1, word=1) == 9
    free = driver.stack.vmstat().nr_free_pages
    driver.do("munmap", mapping=1)
    assert driver.stack.vmstat().nr_free_pages == (free or 0) + 1


def test_a_pinned_page_is_written_in_place() -> None:
    """Also when it was read-only for a while."""
    driver = private()
    driver.do("get_user_pages", mapping=1)
    driver.do("mprotect", mapping=1, writable=False)
    driver.do("mprotect", mapping=1, writable=True)

    driver.do("store", mapping=1, value=8)
    driver.do("device_write", word=1, value=9)

    assert driver.do("device_read") == 8
    assert driver.do("load", mapping=1, word=1) == 9


def test_a_forced_pin_is_one_of_a_copy() -> None:
    """A read-only private mapping sees what the device writes, the file does not."""
    driver = private(writable=False)
    driver.do("load", mapping=1)
    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do("get_user_pages", mapping=1)

    driver.do("get_user_pages", mapping=1, force=True)
    driver.do("device_write", value=9)

    assert driver.do("load", mapping=1) == 9
    assert driver.do("load") == 3
    assert driver.stack.mapped_page_view(0, 1, 0).writable_ptes == 0
    with pytest.raises(Signal, match=r"^SIGSEGV"):
        driver.do("store", mapping=1)


def test_a_shared_mapping_cannot_be_forced() -> None:
    """What is read-only there is read-only for everybody."""
    driver = Driver()
    driver.do("mprotect", writable=False)

    for get in ("get_user_pages", "get_user_pages_fast"):
        with pytest.raises(KernelError, match=r"^EFAULT"):
            driver.do(get, force=True)


def test_a_forced_pin_looks_for_a_copy_again_after_the_fault() -> None:
    """The copy was given up meanwhile; the page of the file is not the device's."""
    driver = private(writable=False)
    get = driver.begin("get_user_pages", mapping=1, force=True)
    driver.run_to(get, "gup_slow.faulted")
    given_up = driver.begin("dontneed", mapping=1)
    driver.run(given_up)
    driver.settle()
    assert get.result == 1

    driver.do("device_write", value=9)

    assert driver.do("load") == 3
    assert frame(driver) != file_frame(driver)


@pytest.mark.parametrize("get", ["get_user_pages", "get_user_pages_fast"])
def test_a_long_term_reader_gets_a_page_that_stays(get: str) -> None:
    """Of a file or of nothing: the next store is seen by the device."""
    driver = private()
    driver.do("mmap", mapping=2, file=None, shared=False)
    for pin, mapping in enumerate((1, 2)):
        driver.do("load", mapping=mapping)
        driver.do(get, mapping=mapping, pin=pin, write=False, longterm=True)

        driver.do("store", mapping=mapping, value=9)

        assert driver.do("device_read", pin=pin) == 9
    assert driver.do("load") == 3


@pytest.mark.parametrize("get", ["get_user_pages", "get_user_pages_fast"])
@pytest.mark.parametrize("process", [0, 1])
def test_a_reader_gets_no_page_that_is_shared(get: str, process: int) -> None:
    """The process goes on with the page that is pinned, the other one with its own."""
    driver = private()
    driver.do("store", mapping=1, value=8)
    driver.do("fork")
    driver.do(get, process=process, mapping=1, write=False)

    driver.do("store", process=process, mapping=1, value=9)

    assert driver.do("device_read") == 9
    assert driver.do("load", process=1 - process, mapping=1) == 8


def test_a_plain_reference_does_not_show_what_others_write() -> None:
    """The child unmaps a page that it has a reference of; the parent writes."""
    driver = private()
    driver.do("store", mapping=1, value=8)
    driver.do("fork")
    driver.do("get_user_pages", process=1, mapping=1, write=False, tracked=False)
    driver.do("exit", process=1)

    driver.do("store", mapping=1, value=9)

    assert driver.do("device_read") == 8


def test_without_memory_a_copy_is_refused() -> None:
    """And nothing is left behind: with memory the store succeeds."""
    driver = private()
    driver.do("load", mapping=1)
    taken = []
    while driver.stack.memory.free_count:
        taken.append(driver.stack.memory.allocate())
    with pytest.raises(Signal, match=r"^SIGBUS"):
        driver.do("store", mapping=1, value=8)

    driver.stack.memory.put(taken.pop())
    driver.do("store", mapping=1, value=8)

    assert driver.do("load", mapping=1) == 8
    assert driver.stack.page_view(0, 0).refcount == 2
