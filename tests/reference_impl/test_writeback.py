"""Writeback of pages, pinned and not."""

import pytest

from conformance.interface import (
    UNREADABLE,
    Feature,
    HoldPoint,
    KernelError,
    Setup,
)
from conformance.interface.events import (
    BlockSubmitted,
    BounceCaptured,
    Event,
    PageCleaned,
)
from tests.reference_impl.stepper import Driver, words

DAMAGE_SHOWS = [
    frozenset({Feature.CHECKSUMS}),
    frozenset({Feature.PARITY}),
    frozenset({Feature.CHECKSUMS, Feature.PARITY, Feature.ENCRYPTION}),
]


@pytest.mark.parametrize("features", DAMAGE_SHOWS)
@pytest.mark.parametrize("at", list(HoldPoint))
def test_a_pinned_page_is_written_through_a_copy(
    features: frozenset[Feature], at: HoldPoint
) -> None:
    """What the device writes meanwhile is not in it, and nothing is torn."""
    driver = Driver(Setup(features=features))
    driver.do("get_user_pages")
    driver.do("device_write", value=1)
    driver.do("hold", at=at)
    fsync = driver.start("fsync")
    driver.do("device_write", value=2)
    driver.do("release")
    driver.settle()

    assert fsync.is_done
    assert words(driver)[0] == 1
    assert driver.stack.page_view(0, 0).is_dirty
    driver.do("fsync")
    assert words(driver)[0] == 2


def test_a_pinned_page_is_never_clean() -> None:
    """Not for one step: no event says that it was cleaned before the put."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))
    driver.do("get_user_pages")
    driver.do("fsync")
    driver.do("writeback")
    driver.do("reclaim")
    assert not any(isinstance(event, PageCleaned) for event in told)
    bounced = [event for event in told if isinstance(event, BounceCaptured)]
    submitted = [event for event in told if isinstance(event, BlockSubmitted)]
    assert bounced == [BounceCaptured((0, 0), 0, (0, 0))]
    assert submitted == [BlockSubmitted((0, 0), 0, 0, is_bounced=True)]

    driver.do("put_user_page")
    driver.do("writeback")

    assert any(isinstance(event, PageCleaned) for event in told)


def test_cleaning_memory_leaves_pinned_pages_alone() -> None:
    """It writes the others."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("store", page=1)

    driver.do("writeback")

    assert driver.stack.page_view(0, 0).is_dirty
    assert not driver.stack.page_view(0, 1).is_dirty
    assert driver.stack.statfs().blocks_free == 48 - 2 - 1


def test_the_copy_is_cut_at_the_end_of_file_and_the_page_is_not() -> None:
    """The device's words beyond the end stay in memory only."""
    driver = Driver()
    driver.do("truncate", words=1)
    driver.do("get_user_pages")
    driver.do("device_write", word=1, value=9)

    driver.do("fsync")

    assert driver.stack.disk.medium[0] == (0, 0)
    assert driver.do("device_read", word=1) == 9


def test_a_second_writeback_waits_for_the_first() -> None:
    """At most one of a page at a time; the later content is durable."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("hold")
    first = driver.start("fsync")
    driver.do("store", value=2)
    second = driver.start("fsync")
    assert len(list(driver.stack.disk.in_flight())) == 1

    driver.do("release")
    driver.settle()

    assert (first.is_done, second.is_done) == (True, True)
    assert words(driver)[0] == 2


def test_a_failed_write_keeps_the_page_dirty_and_is_reported_once() -> None:
    """To fsync and to sync each; then it is written."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("fail_next")
    with pytest.raises(KernelError, match=r"^EIO: file 0 was not written$"):
        driver.do("fsync")
    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.is_under_writeback) == (True, False)

    driver.do("fsync")

    assert words(driver)[0] == 1
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("sync")
    driver.do("sync")
    assert driver.stack.statfs().blocks_free == 47


def test_a_failed_write_of_the_copy_leaves_dirt_promise_and_pin() -> None:
    """And the copy is given back."""
    driver = Driver(Setup(features=frozenset({Feature.CHECKSUMS})))
    driver.do("get_user_pages")
    driver.do("device_write", value=1)
    driver.do("fail_next")
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("fsync")

    assert driver.stack.statfs().blocks_reserved == 2
    assert driver.stack.vmstat().nr_free_pages == 31
    driver.do("fsync")
    assert words(driver)[0] == 1


def test_no_memory_for_the_copy_fails_the_fsync_and_changes_nothing() -> None:
    """ENOMEM; the page stays dirty, and later it is written."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("device_write", value=1)
    memory = driver.stack.memory
    taken = [memory.allocate() for _ in range(memory.free_count)]
    with pytest.raises(KernelError, match=r"^ENOMEM"):
        driver.do("fsync")
    assert driver.stack.page_view(0, 0).is_dirty
    for page in taken:
        memory.put(page)

    driver.do("fsync")

    assert words(driver)[0] == 1


def test_a_store_during_writeback_is_written_again() -> None:
    """The end of the older writeback does not make the page clean."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("hold")
    driver.do("writeback")
    driver.do("store", value=2)
    driver.do("release")
    driver.settle()
    assert driver.stack.page_view(0, 0).is_dirty

    driver.do("fsync")

    assert words(driver)[0] == 2
    assert not driver.stack.page_view(0, 0).is_dirty


def test_fsync_flushes_a_volatile_cache() -> None:
    """A power cut before it loses the data, after it does not."""
    driver = Driver(Setup(features=frozenset({Feature.VOLATILE_CACHE})))
    driver.do("store", value=1)
    driver.do("writeback")
    driver.settle()
    assert words(driver)[0] == 0

    driver.do("fsync")

    assert words(driver)[0] == 1


def test_a_page_dirtied_without_page_mkwrite_gets_what_it_lacks() -> None:
    """Or the lack of space is reported, and the page stays dirty."""
    driver = Driver()
    driver.do("get_user_pages", write=False)
    driver.do("fill_disk")
    driver.do("set_page_dirty_lock")
    driver.do("put_user_page")
    with pytest.raises(KernelError, match=r"^ENOSPC"):
        driver.do("fsync")
    assert driver.stack.page_view(0, 0).is_dirty

    driver.do("free_disk")
    driver.do("fsync")

    assert not driver.stack.page_view(0, 0).is_dirty


def test_fsync_sees_a_page_that_is_about_to_become_dirty() -> None:
    """A store through an entry whose fault has not ended is durable too."""
    driver = Driver()
    first = driver.begin("store", value=1)
    driver.run_to(first, "fault.pte_set")
    second = driver.begin("store", value=2)
    driver.run(second)
    assert second.is_done

    fsync = driver.begin("fsync")
    driver.run(fsync)

    assert not fsync.is_done
    driver.settle()
    assert words(driver)[0] in (1, 2)


def test_nothing_is_torn_when_stores_race_with_writeback() -> None:
    """With checksums a store waits, so no block is unreadable."""
    driver = Driver(Setup(features=frozenset({Feature.CHECKSUMS})))
    for value in range(1, 5):
        driver.do("store", value=value)
        driver.do("hold", at=HoldPoint.BEFORE_CAPTURE)
        driver.start("writeback")
        driver.start("store", value=value + 100)
        driver.do("release")
        driver.settle()

        assert UNREADABLE not in words(driver)
