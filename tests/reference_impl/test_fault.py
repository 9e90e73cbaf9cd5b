"""Page faults."""

from conformance.interface import Feature, Setup
from conformance.interface.events import Event, PageDirtied, PteChanged
from conformance.interface.points import FAULT, MKWRITE
from tests.reference_impl.stepper import Driver


def test_a_write_fault_passes_its_points_in_order() -> None:
    """Found, page_mkwrite, entry, dirty, unlocked."""
    driver = Driver()
    driver.do("load")
    store = driver.begin("store")
    driver.run(store)

    known = [*FAULT, *MKWRITE]
    assert [point for point in store.points if point in known] == [
        "fault.page_found",
        "fault.mkwrite_called",
        *MKWRITE,
        "fault.mkwrite_returned",
        "fault.pte_set",
        "fault.page_dirtied",
        "fault.page_unlocked",
    ]


def test_entry_and_dirty_flag_are_set_under_one_hold_of_the_page_lock() -> None:
    """Both events say that the page is locked."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))

    driver.do("store")

    entry = next(event for event in told if isinstance(event, PteChanged))
    dirtied = next(event for event in told if isinstance(event, PageDirtied))
    assert (entry.is_writable, entry.page_is_locked) == (True, True)
    assert (dirtied.is_locked, dirtied.has_buffers) == (True, True)


def test_a_read_fault_asks_nobody() -> None:
    """The entry is read-only and page_mkwrite is not called."""
    driver = Driver()

    driver.do("load")

    view = driver.stack.page_view(0, 0)
    assert (view.writable_ptes, view.is_dirty, view.refcount) == (0, False, 2)
    assert driver.stack.page_mkwrite_count(0) == 0


def test_without_dirty_tracking_a_load_may_map_writable() -> None:
    """Nobody needs to know of writes; the data stays in memory."""
    driver = Driver(Setup(features=frozenset({Feature.NO_DIRTY_TRACKING})))
    driver.do("load")
    assert driver.stack.page_view(0, 0).writable_ptes == 1

    driver.do("store", value=3)
    driver.do("munmap")
    driver.do("evict")
    driver.do("reclaim")
    driver.do("fsync")

    assert driver.do("read") == (3, 0)
    assert driver.stack.page_mkwrite_count(0) == 0
    assert driver.stack.statfs().blocks_free == 48


def test_without_dirty_tracking_a_store_can_be_the_first_access() -> None:
    """The page is dirty at once and mapped writable, also after mprotect."""
    driver = Driver(Setup(features=frozenset({Feature.NO_DIRTY_TRACKING})))
    driver.do("store", value=3)
    driver.do("mprotect", writable=False)
    driver.do("mprotect", writable=True)

    driver.do("store", value=4)

    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.writable_ptes) == (True, 1)


def test_a_read_fault_maps_nothing_when_the_page_has_gone() -> None:
    """Reclaimed between lookup and lock: brought in again."""
    driver = Driver()
    driver.do("load")
    driver.do("munmap")
    driver.do("mmap", mapping=1)
    reclaim = driver.begin("reclaim")
    driver.run_to(reclaim, "reclaim.unmapped")
    load = driver.begin("load", mapping=1)
    driver.run(load)

    driver.settle()

    assert load.result == 0
    assert driver.stack.page_view(0, 0).refcount == 2
