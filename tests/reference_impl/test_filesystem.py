"""page_mkwrite and bringing pages in."""

import pytest

from conformance.interface import (
    Feature,
    HoldPoint,
    KernelError,
    Setup,
    Signal,
)
from conformance.interface.events import (
    Event,
    PageMkwriteCalled,
    PageMkwriteReturned,
)
from tests.reference_impl.stepper import Driver, words


def test_page_mkwrite_runs_once_for_each_cleaning() -> None:
    """The second store to a dirty page is silent, the first after fsync is not."""
    driver = Driver()
    for expected in (1, 2):
        driver.do("store", value=expected)
        driver.do("store", value=expected)
        assert driver.stack.page_mkwrite_count(0) == expected
        assert driver.stack.mtime(0) == expected
        driver.do("fsync")


def test_page_mkwrite_returns_with_the_page_locked() -> None:
    """The events say so, in order."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))

    driver.do("store")

    calls = [e for e in told if isinstance(e, PageMkwriteCalled | PageMkwriteReturned)]
    assert calls == [
        PageMkwriteCalled((0, 0), 0),
        PageMkwriteReturned((0, 0), 0, succeeded=True, is_locked=True),
    ]


def test_a_failed_page_mkwrite_leaves_all_as_it_was() -> None:
    """No space: a signal, and the page is neither dirty nor writable nor locked."""
    driver = Driver()
    driver.do("fill_disk")

    with pytest.raises(Signal, match=r"^SIGBUS"):
        driver.do("store")

    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.is_locked, view.writable_ptes) == (False, False, 0)
    assert driver.stack.filesystem.gate.is_idle()


@pytest.mark.parametrize(
    ("feature", "waits"),
    [
        (None, False),
        (Feature.STABLE_WRITES, True),
        (Feature.CHECKSUMS, True),
        (Feature.PARITY, True),
        (Feature.ENCRYPTION, False),
        (Feature.COPY_ON_WRITE, False),
    ],
)
def test_a_store_waits_for_writeback_where_content_must_be_stable(
    feature: Feature | None, waits: bool
) -> None:
    """Checksums, parity and such a disk make it wait; a copy makes it needless."""
    driver = Driver(Setup(features=frozenset({feature} if feature else ())))
    driver.do("store", value=1)
    driver.do("hold")
    driver.start("fsync")

    store = driver.start("store", value=2)

    assert store.is_done is not waits
    driver.do("release")
    driver.settle()
    assert store.is_done
    driver.do("fsync")
    assert words(driver)[0] == 2


def test_the_fault_is_retried_when_the_page_has_gone() -> None:
    """Truncated while page_mkwrite was about to lock it: not dirtied, not mapped."""
    driver = Driver()
    store = driver.begin("store", page=3)
    driver.run_to(store, "mkwrite.entered")
    driver.run(driver.begin("truncate", words=2))

    driver.settle()

    assert isinstance(store.error, Signal)
    assert driver.stack.vmstat().nr_dirty == 0
    assert driver.stack.statfs().blocks_reserved == 0


def test_a_page_that_cannot_be_read_is_not_there() -> None:
    """EIO for read, a signal for load; afterwards it can be read."""
    driver = Driver()
    driver.do("store", value=5)
    driver.do("fsync")
    driver.do("reclaim")
    driver.do("fail_next", write=False)
    with pytest.raises(Signal, match=r"^SIGBUS"):
        driver.do("load")
    driver.do("fail_next", write=False)
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("read")

    assert driver.do("load") == 5


def test_two_readers_bring_a_page_in_once() -> None:
    """The second waits for the first."""
    driver = Driver()
    first, second = driver.begin("load"), driver.begin("read")
    driver.run_to(first, "read.page_locked")
    driver.run(second)
    assert second.waits is not None
    assert second.waits.on == "page read"

    driver.settle()

    assert (first.result, second.result) == (0, (0, 0))


def test_a_checksum_that_does_not_match_is_an_error() -> None:
    """The filesystem answers EIO rather than wrong data."""
    driver = Driver(Setup(features=frozenset({Feature.CHECKSUMS})))
    driver.do("store", value=5)
    driver.do("fsync")
    driver.do("reclaim")
    block = driver.stack.files.names[0].extents[0].block
    driver.stack.disk.medium[block] = (6, 6)

    with pytest.raises(KernelError, match=r"^EIO: block 0: wrong checksum$"):
        driver.do("read")
    assert words(driver)[:2] == (-2, -2)


def test_encrypted_data_does_not_look_like_the_page() -> None:
    """On the medium it differs, and it is read back as it was."""
    driver = Driver(Setup(features=frozenset({Feature.ENCRYPTION})))
    driver.do("store", value=5)
    driver.do("fsync")

    assert driver.stack.disk.medium[0] != (5, 0)
    assert words(driver)[:2] == (5, 0)
    driver.do("reclaim")
    assert driver.do("load") == 5


def test_a_hold_before_capture_shows_that_content_is_looked_at_late() -> None:
    """Without stable pages the disk gets what a later store wrote."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("hold", at=HoldPoint.BEFORE_CAPTURE)
    driver.start("fsync")
    driver.do("store", value=2)
    driver.do("release")
    driver.settle()

    assert words(driver)[0] == 2
    assert driver.stack.page_view(0, 0).is_dirty
