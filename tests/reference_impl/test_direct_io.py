"""The stack's own drivers."""

from typing import Any

import pytest

from conformance.interface import Feature, HoldPoint, KernelError, Setup
from tests.reference_impl.stepper import Call, Driver, words


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


# --- past the cache ---------------------------------------------------------------


def writing(
    at: HoldPoint = HoldPoint.BEFORE_CAPTURE, **fields: Any
) -> tuple[Driver, Call]:
    """Return a direct write of 5 to file 1, page 0, that the disk holds."""
    driver = with_file(**fields)
    driver.do("fsync", file=1)
    driver.do("store", value=5)
    driver.do("hold", at=at)
    call = driver.start("direct_write")
    assert not call.is_done
    return driver, call


def test_a_direct_write_answers_when_it_has_landed() -> None:
    """Its buffer is pinned until then, and the disk looks at it late."""
    driver, call = writing()
    driver.do("store", value=6)
    assert driver.stack.vmstat().nr_gup_pages_returned == 0

    driver.do("release")

    assert call.result == 1
    assert driver.stack.vmstat().nr_gup_pages_returned == 1
    assert driver.do("read", file=1) == (6, 0)


@pytest.mark.parametrize(
    "feature", [Feature.CHECKSUMS, Feature.PARITY, Feature.ENCRYPTION]
)
def test_a_protected_direct_write_is_made_from_a_copy(feature: Feature) -> None:
    """What is stored meanwhile does not reach the disk; the copy is let go of."""
    driver, call = writing(setup=Setup(features={feature}))
    free = driver.stack.vmstat().nr_free_pages
    driver.do("store", value=6)

    driver.do("release")

    assert call.result == 1
    assert driver.do("read", file=1) == (5, 0)
    assert free is not None
    assert driver.stack.vmstat().nr_free_pages == free  # the copy went, a page came


def test_what_is_read_meanwhile_is_dropped() -> None:
    """Readers see the old content until it has landed, and not after."""
    driver, call = writing()
    driver.do("mmap", mapping=1, file=1, pages=1)
    assert driver.do("load", mapping=1) == 11

    driver.do("release")

    assert call.result == 1
    assert driver.do("load", mapping=1) == 5


def test_a_store_to_the_range_waits() -> None:
    """So does a pin for writing; one that may not wait is refused."""
    driver, call = writing()
    driver.do("mmap", mapping=1, file=1, pages=1)
    store = driver.start("store", mapping=1, word=1, value=7)
    with pytest.raises(KernelError, match=r"^EAGAIN"):
        driver.do("get_user_pages", mapping=1, nowait=True)
    assert store.waits is not None

    driver.do("release")

    assert call.result == 1
    assert store.is_done
    assert driver.do("read", file=1) == (5, 7)


@pytest.mark.parametrize("name", ["truncate", "punch_hole", "write"])
def test_a_change_of_the_file_waits(name: str) -> None:
    """Blocks stay the file's while they are written."""
    driver, call = writing()
    change = driver.start(name, file=1)
    assert change.waits is not None

    driver.do("release")

    assert call.result == 1
    assert change.is_done


def test_a_pinned_page_is_written_through_the_cache() -> None:
    """The device goes on to write to the file's page."""
    driver = with_file()
    driver.do("mmap", mapping=1, file=1, pages=1)
    driver.do("get_user_pages", mapping=1)
    driver.do("store", value=5)

    assert driver.do("direct_write") == 1
    driver.do("device_write", word=1, value=8)
    driver.do("put_user_pages_dirty_lock")

    assert driver.do("read", file=1) == (5, 8)


def test_a_clean_page_that_a_device_reads_is_dropped() -> None:
    """The device goes on to read what the page was."""
    driver = with_file()
    driver.do("mmap", mapping=1, file=1, pages=1)
    driver.do("fsync", file=1)
    driver.do("get_user_pages", mapping=1, write=False)
    driver.do("store", value=5)

    assert driver.do("direct_write") == 1

    assert driver.do("device_read") == 11
    assert driver.do("load", mapping=1) == 5


def test_a_failed_direct_write_leaves_the_file() -> None:
    """EIO, and neither a block nor the size has changed."""
    driver = with_file()
    driver.do("fsync", file=1)
    before = driver.stack.statfs()
    driver.do("fail_next")
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("direct_write", file_page=4)

    assert driver.stack.statfs() == before
    assert driver.do("read", file=1, page=4) == ()


def test_nothing_stays_beyond_what_has_landed() -> None:
    """The first of two pages fails; the second lies beyond the end of the file."""
    driver = with_file()
    driver.do("fsync", file=1)
    before = driver.stack.statfs()
    driver.do("fail_next")
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("direct_write", file_page=3, pages=2)

    assert driver.stack.statfs() == before
    driver.do("truncate", file=1, words=10)
    assert driver.do("read", file=1, page=4) == (0, 0)


def test_a_direct_write_is_short_where_space_ends() -> None:
    """One page is overwritten, and the hole behind it is not filled."""
    driver = with_file()
    driver.do("truncate", file=1, words=6)
    driver.do("fsync", file=1)
    driver.do("store", value=5)
    driver.do("fill_disk")

    assert driver.do("direct_write", pages=2, file_page=1) == 1

    assert driver.do("read", file=1, page=2) == (0, 0)


def test_a_gap_before_a_direct_write_is_zero() -> None:
    """What a mapping left beyond the end of the file does not become visible."""
    driver = with_file()
    driver.do("truncate", file=1, words=3)
    driver.do("mmap", mapping=1, file=1, pages=2)
    driver.do("store", mapping=1, page=1, word=1, value=9)

    assert driver.do("direct_write", file_page=3) == 1

    assert driver.do("read", file=1, page=1) == (13, 0)


def test_only_the_range_of_a_direct_read_is_flushed() -> None:
    """Pages beside it stay dirty."""
    driver = with_file()

    assert driver.do("direct_read") == 1

    assert [driver.stack.page_view(1, page).is_dirty for page in range(2)] == [
        False,
        True,
    ]


def test_crossed_direct_writes_come_to_an_end() -> None:
    """Each file is the buffer of the other's; no lock is held over a fault."""
    driver = with_file()
    driver.do("mmap", mapping=1, file=1, pages=2)
    there = driver.begin("direct_write", mapping=1, file=0, pages=2)
    back = driver.begin("direct_write", mapping=0, file=1, pages=2)

    driver.settle()

    assert (there.result, back.result) == (2, 2)
