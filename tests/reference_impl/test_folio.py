"""Large folios: coming, being held, being split, and going."""

import pytest

from conformance.interface import Geometry, KernelError, Setup
from conformance.interface.events import Event, FolioSplit, PageFreed
from reference_impl.memory import Page
from tests.reference_impl.stepper import Driver, words

TWO = Setup(Geometry(folio_pages=2))
FOUR = Setup(Geometry(folio_pages=4))


def cached(driver: Driver, index: int, file: int = 0) -> Page:
    """Return a cached page of a file."""
    return driver.stack.files.names[file].space.pages[index]


def test_a_folio_comes_in_whole_and_aligned() -> None:
    """Whoever brings in one page of it has read the others ahead."""
    driver = Driver(TWO)
    driver.do("load", page=3)

    views = [driver.stack.page_view(0, page) for page in range(4)]

    assert [view.is_cached for view in views] == [False, False, True, True]
    assert [view.head_frame for view in views[2:]] == [0, 0]
    assert [view.frame for view in views[2:]] == [0, 1]
    assert [view.refcount for view in views[2:]] == [3, 3]
    assert driver.stack.memory.free_count == 30


def test_beyond_the_end_of_the_file_a_folio_is_zero() -> None:
    """And the file ends where it did."""
    driver = Driver(FOUR)
    driver.do("truncate", words=3)

    driver.do("store", page=0, value=5)
    driver.do("write", page=3, word=1, value=6)

    assert [driver.do("read", page=page) for page in range(4)] == [
        (5, 0),
        (0, 0),
        (0, 0),
        (0, 6),
    ]


def test_where_memory_is_broken_up_single_pages_come() -> None:
    """No two free pages are aligned neighbours."""
    driver = Driver(Setup(Geometry(folio_pages=2, memory_pages=4)))
    first, second, third, fourth = (driver.stack.memory.allocate() for _ in range(4))
    for page in (second, fourth):
        driver.stack.memory.put(page)

    driver.do("load")

    assert not cached(driver, 0).is_large
    assert 1 not in driver.stack.files.names[0].space.pages
    assert (first.refcount, third.refcount) == (1, 1)


def test_a_page_that_is_there_is_not_brought_in_again() -> None:
    """Its neighbours come as single pages, then."""
    driver = Driver(TWO)
    driver.do("load")
    driver.do("punch_hole", page=0)

    driver.do("load")

    assert not cached(driver, 0).is_large
    assert not cached(driver, 1).is_large


def test_a_page_that_cannot_be_read_ahead_is_left_out() -> None:
    """Only the page that was asked for matters."""
    driver = Driver(TWO)
    driver.do("store", page=1, value=5)
    driver.do("fsync")
    driver.do("reclaim")
    driver.do("fail_next", write=False)

    driver.do("load", page=0)

    assert 1 not in driver.stack.files.names[0].space.pages
    assert driver.do("load", page=1) == 5
    assert driver.stack.memory.free_count == 29


def test_a_page_that_cannot_be_read_takes_its_folio_along() -> None:
    """Nothing of it stays."""
    driver = Driver(TWO)
    driver.do("store", page=1, value=5)
    driver.do("fsync")
    driver.do("reclaim")
    driver.do("fail_next", write=False)

    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("read", page=1)

    assert driver.stack.files.names[0].space.pages == {}
    assert driver.stack.memory.free_count == 32


def test_pins_are_counted_exactly_and_hold_the_folio() -> None:
    """One for each page, put in any order; the last of all frees all."""
    told: list[Event] = []
    driver = Driver(Setup(Geometry(folio_pages=4), tell=told.append))
    driver.do("store", page=2)
    driver.do("get_user_pages", page=1, pages=3, pin=0)
    driver.do("get_user_pages_fast", page=2, pin=1)
    view = driver.stack.pinned_page_view(0, 0)
    assert (view.pin_count, view.maybe_pinned) == (4, True)
    driver.do("truncate", words=0)
    told.clear()

    driver.do("put_user_pages", pin=0, first=1)
    driver.do("put_user_page", pin=1)
    assert driver.stack.pinned_page_view(0, 0).pin_count == 1
    assert driver.stack.memory.free_count == 28
    driver.do("put_user_page", pin=0, page=0)

    assert driver.stack.memory.free_count == 32
    freed = [event for event in told if isinstance(event, PageFreed)]
    assert freed == [PageFreed(frame) for frame in range(4)]


def test_many_references_of_a_folio_look_like_no_pin() -> None:
    """The pins are counted by themselves."""
    driver = Driver(Setup(Geometry(folio_pages=2)))
    for pin in range(3):
        driver.do("get_user_pages", pin=pin, tracked=False)

    view = driver.stack.page_view(0, 0)

    assert (view.pin_count, view.maybe_pinned, view.refcount) == (0, False, 6)


def test_a_split_leaves_single_pages_that_live_on() -> None:
    """Each has the reference of the cache, and what was stored."""
    told: list[Event] = []
    driver = Driver(Setup(Geometry(folio_pages=2), tell=told.append))
    driver.do("store", page=0, value=5)
    driver.do("store", page=1, value=6)

    driver.do("split", page=1)

    assert FolioSplit(0) in told
    views = [driver.stack.page_view(0, page) for page in range(2)]
    assert [(v.refcount, v.head_frame, v.pin_count) for v in views] == [
        (1, 0, None),
        (1, 1, None),
    ]
    assert [v.is_dirty for v in views] == [True, True]
    driver.do("fsync")
    assert words(driver)[:4] == (5, 0, 6, 0)
    driver.do("truncate", words=0)
    assert driver.stack.memory.free_count == 32


@pytest.mark.parametrize("tracked", [True, False], ids=["pin", "reference"])
def test_a_folio_that_is_held_is_not_split(tracked: bool) -> None:
    """Nobody could tell whose the reference is, then; and later it can be."""
    driver = Driver(TWO)
    driver.do("store")
    driver.do("get_user_pages", page=1, pin=0, tracked=tracked)

    with pytest.raises(KernelError, match=r"^EBUSY: the folio of page 0 is in use$"):
        driver.do("split")
    assert cached(driver, 0).is_large
    driver.do("put_user_page" if tracked else "put_page", pin=0)
    driver.do("split")

    assert not cached(driver, 0).is_large


@pytest.mark.parametrize("hold", ["lock", "writeback"])
def test_a_folio_of_which_a_page_is_busy_is_not_split(hold: str) -> None:
    """Neither while a page is locked nor while one is being written."""
    driver = Driver(TWO)
    driver.do("store", page=1)
    if hold == "lock":
        cached(driver, 1).locked_by = "somebody"
    else:
        driver.do("hold")
        driver.start("fsync")

    with pytest.raises(KernelError, match=r"^EBUSY"):
        driver.do("split")

    assert cached(driver, 0).is_locked is False
    assert cached(driver, 0).refcount == 3


def test_a_single_page_is_split_already() -> None:
    """And one that is not there cannot be."""
    driver = Driver()
    driver.do("load")

    driver.do("split")

    with pytest.raises(KernelError, match=r"^EINVAL: page 1 is not cached$"):
        driver.do("split", page=1)


def test_who_looks_a_page_up_while_it_is_split_has_a_reference_of_that_page() -> None:
    """It is counted where it will be due."""
    driver = Driver(TWO)
    driver.do("store", page=0)
    split = driver.begin("split")
    driver.run_to(split, "split.folio_frozen")
    store = driver.begin("store", page=1, value=7)
    driver.run(store)
    assert store.waits is not None

    driver.settle()

    assert driver.do("load", page=1) == 7
    assert [cached(driver, page).refcount for page in range(2)] == [1, 2]


def test_gup_fast_takes_nothing_of_a_frozen_folio() -> None:
    """It goes the slow way and waits there, whoever has looked the head up."""
    driver = Driver(TWO)
    driver.do("store", page=1)
    pin = driver.begin("get_user_pages_fast", page=1)
    driver.run_to(pin, "gup_fast.pte_read")
    split = driver.begin("split")
    driver.run_to(split, "split.folio_frozen")
    driver.run(driver.begin("store", page=0))
    driver.run(pin)
    assert cached(driver, 0).refcount == 1
    assert "gup_fast.reference_taken" not in pin.points

    driver.settle()

    assert cached(driver, 1).refcount == 2 + 1024
    assert driver.stack.vmstat().nr_gup_fast_page_backoffs == 0


def test_gup_fast_that_took_the_wrong_head_backs_off() -> None:
    """The page is mapped as before, but its folio has been split."""
    driver = Driver(TWO)
    driver.do("store", page=1)
    pin = driver.begin("get_user_pages_fast", page=1)
    driver.run_to(pin, "gup_fast.pte_read")
    driver.run(driver.begin("split"))
    driver.run(driver.begin("store", page=1))

    driver.settle()

    assert "gup_fast.backed_off" in pin.points
    assert [cached(driver, page).refcount for page in range(2)] == [1, 2 + 1024]


def test_a_reference_that_is_taken_first_keeps_the_folio_whole() -> None:
    """The split sees it, when it has unmapped the folio."""
    driver = Driver(TWO)
    driver.do("store", page=1)
    pin = driver.begin("get_user_pages_fast", page=1, tracked=False)
    driver.run_to(pin, "gup_fast.reference_taken")
    split = driver.begin("split")
    driver.run(split)

    assert isinstance(split.error, KernelError)
    driver.settle()
    assert cached(driver, 1).is_large
    assert cached(driver, 1).refcount == 4


def test_a_truncate_splits_a_folio_that_nobody_holds() -> None:
    """What is cut off is free at once."""
    driver = Driver(FOUR)
    driver.do("store", page=0, value=5)

    driver.do("truncate", words=3)

    assert [cached(driver, page).is_large for page in range(2)] == [False, False]
    assert driver.stack.memory.free_count == 30


def test_a_truncate_takes_pages_out_of_a_pinned_folio() -> None:
    """They are nobody's; a page that comes in their place is another."""
    driver = Driver(FOUR)
    driver.do("store", page=2, value=5)
    driver.do("get_user_pages", page=2, pin=0)

    driver.do("truncate", words=4)
    driver.do("device_write", pin=0, value=9)
    driver.do("truncate", words=8)

    assert driver.do("load", page=2) == 0
    assert driver.stack.pinned_page_view(0, 0).is_cached is False
    assert cached(driver, 1).is_large
    driver.do("put_user_page", pin=0)
    assert driver.stack.memory.free_count == 32 - 4 - 2 + 1


def test_a_punch_splits_at_both_ends() -> None:
    """What lies around the hole stays cached."""
    driver = Driver(FOUR)
    driver.do("store", page=3, value=5)

    driver.do("punch_hole", page=1, pages=2)

    assert sorted(driver.stack.files.names[0].space.pages) == [0, 3]
    assert driver.stack.memory.free_count == 30


def test_reclaim_frees_a_folio_as_a_whole() -> None:
    """Dirty pages are written before; if one is pinned, all stay."""
    driver = Driver(TWO)
    driver.do("store", page=0, value=5)
    driver.do("store", page=1, value=6)
    driver.do("get_user_pages", page=1, pin=0, write=False)
    driver.do("reclaim")
    assert sorted(driver.stack.files.names[0].space.pages) == [0, 1]
    driver.do("put_user_page", pin=0)

    driver.do("reclaim")

    assert driver.stack.memory.free_count == 32
    assert [driver.do("load", page=page) for page in range(2)] == [5, 6]


def test_reclaim_leaves_a_folio_of_which_a_page_is_locked() -> None:
    """It does not wait for each of them."""
    driver = Driver(TWO)
    driver.do("load", page=0)
    cached(driver, 1).locked_by = "somebody"

    driver.stack.pressure.evict(driver.stack.files.names[0])
    reclaim = driver.begin("reclaim")
    driver.run_to(reclaim, "reclaim.page_freed")

    assert sorted(driver.stack.files.names[0].space.pages) == [0, 1]
    assert cached(driver, 0).locked_by is None


def test_evict_keeps_a_folio_with_a_dirty_page() -> None:
    """Nothing of it would be free."""
    driver = Driver(TWO)
    driver.do("write", page=1, value=5)
    driver.do("evict")
    assert sorted(driver.stack.files.names[0].space.pages) == [0, 1]
    driver.do("fsync")

    driver.do("evict")

    assert driver.stack.files.names[0].space.pages == {}
    assert driver.stack.memory.free_count == 32


def test_a_page_beside_a_pinned_one_is_written_through_a_bounce_page() -> None:
    """Which page of the folio is pinned cannot be told, and so it stays dirty."""
    driver = Driver(TWO)
    driver.do("store", page=0, value=5)
    driver.do("get_user_pages", page=1, pin=0)

    driver.do("fsync")

    assert words(driver)[0] == 5
    assert driver.stack.page_view(0, 0).is_dirty
    driver.do("put_user_page", pin=0)
    driver.do("fsync")
    assert driver.stack.page_view(0, 0).is_dirty is False
    assert driver.stack.statfs().blocks_reserved == 0


def test_the_fingerprint_tells_folios_apart() -> None:
    """A folio that was split acts in another way."""
    driver, other = Driver(TWO), Driver(TWO)
    for each in (driver, other):
        each.do("load", page=1)
        each.do("mprotect", writable=False)
    before = driver.stack.fingerprint()
    assert other.stack.fingerprint() == before
    driver.do("split")

    driver.do("load", page=1)

    assert driver.stack.fingerprint() != before
