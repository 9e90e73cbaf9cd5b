"""Taking pages out of memory."""

from conformance.interface import Feature, Setup
from tests.reference_impl.stepper import Driver, words


def test_reclaim_writes_unmaps_and_frees() -> None:
    """Nothing is lost; the next load reads the disk."""
    driver = Driver()
    for page in range(4):
        driver.do("store", page=page, value=page + 1)

    driver.do("reclaim")

    assert driver.stack.vmstat().nr_free_pages == 32
    assert [driver.do("load", page=page) for page in range(4)] == [1, 2, 3, 4]


def test_reclaim_leaves_a_pinned_page_and_its_buffers() -> None:
    """It is unmapped, and stays the file's page."""
    driver = Driver()
    driver.do("get_user_pages")

    driver.do("reclaim")

    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.has_buffers, view.writable_ptes) == (True, True, 0)
    driver.do("device_write", value=3)
    assert driver.do("load") == 3


def test_reclaim_leaves_a_page_that_was_pinned_for_reading() -> None:
    """Clean, but held: its buffers stay as well."""
    driver = Driver()
    driver.do("store")
    driver.do("fsync")
    driver.do("get_user_pages", write=False)

    driver.do("reclaim")

    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.has_buffers) == (False, True)


def test_evict_drops_only_what_is_clean_and_unused() -> None:
    """A dirty page, a mapped one and a pinned one stay."""
    driver = Driver()
    driver.do("write", page=0)
    driver.do("load", page=1)
    driver.do("get_user_pages", page=2, write=False)
    driver.do("read", page=3)

    driver.do("evict")

    cached = [driver.stack.page_view(0, page).is_cached for page in range(4)]
    assert cached == [True, True, True, False]


def test_reclaim_goes_on_when_a_page_cannot_be_written() -> None:
    """Dirty without space: left alone."""
    driver = Driver()
    driver.do("get_user_pages", write=False)
    driver.do("fill_disk")
    driver.do("set_page_dirty_lock")
    driver.do("put_user_page")
    driver.do("load", page=1)

    driver.do("reclaim")

    assert driver.stack.page_view(0, 0).is_dirty
    assert not driver.stack.page_view(0, 1).is_cached


def test_a_page_found_by_a_fault_is_not_freed() -> None:
    """The reference of the lookup is enough."""
    driver = Driver()
    driver.do("load")
    reclaim = driver.begin("reclaim")
    driver.run_to(reclaim, "reclaim.unmapped")
    load = driver.begin("load")
    driver.run(load)

    driver.settle()

    assert load.result == 0
    assert driver.stack.page_view(0, 0).is_cached


def test_pages_that_leave_while_reclaim_or_fsync_walk_are_passed_over() -> None:
    """The list was made before they were freed."""
    for name in ("reclaim", "fsync", "writeback"):
        driver = Driver(Setup(features=frozenset({Feature.CHECKSUMS})))
        driver.do("store", page=0, value=1)
        driver.do("store", page=1, value=2)
        walk = driver.begin(name)
        driver.step_once(walk)
        driver.step_once(walk)
        driver.run(driver.begin("truncate", words=2))

        driver.settle()

        assert walk.is_done
        driver.do("fsync")
        assert words(driver) == (1, 0)
        assert driver.stack.vmstat().nr_free_pages in (31, 32)
