"""Promises of blocks, and the journal."""

import pytest

from conformance.interface import Feature, Geometry, KernelError, Setup
from tests.reference_impl.stepper import Driver, words

COW = frozenset({Feature.COPY_ON_WRITE})


def test_a_hole_is_promised_two_blocks_and_gives_the_spare_back() -> None:
    """One for this write and one for the next; the second goes back when clean."""
    driver = Driver()
    driver.do("store")
    statfs = driver.stack.statfs()
    assert (statfs.blocks_free, statfs.blocks_reserved) == (46, 2)

    driver.do("fsync")

    statfs = driver.stack.statfs()
    assert (statfs.blocks_free, statfs.blocks_reserved) == (47, 0)


def test_a_refused_promise_changes_nothing() -> None:
    """No block is free: ENOSPC for write, a signal for store, and space as before."""
    driver = Driver()
    driver.do("fill_disk")

    with pytest.raises(KernelError, match=r"^ENOSPC"):
        driver.do("write")

    assert driver.stack.page_view(0, 0).is_dirty is False
    assert driver.stack.statfs().blocks_free == 0
    driver.do("free_disk")
    assert driver.stack.statfs().blocks_free == 48


def test_a_pinned_page_can_be_written_again_on_a_full_disk() -> None:
    """Each copy-on-write hands the block that it frees to the next one."""
    driver = Driver(Setup(features=COW))
    driver.do("get_user_pages")
    driver.do("fill_disk")
    for value in (1, 2, 3):
        driver.do("device_write", value=value)
        driver.do("fsync")
        assert words(driver)[0] == value

    driver.do("put_user_page")
    driver.do("fsync")

    assert driver.stack.statfs().blocks_reserved == 0
    driver.do("free_disk")
    assert driver.stack.statfs().blocks_free == 47


def test_a_block_of_a_durable_file_is_not_used_again_before_a_commit() -> None:
    """Cut but not committed: its old block still shows after a power cut."""
    driver = Driver(Setup(Geometry(disk_blocks=3)))
    driver.do("write", value=7)
    driver.do("fsync")
    driver.do("create", file=1)
    driver.do("truncate", words=0)
    driver.do("truncate", words=2)

    driver.do("write", file=1, value=9)
    driver.do("fsync", file=1)
    assert words(driver)[:1] in ((), (7,))
    driver.do("write", file=1, page=1, value=9)
    driver.do("fsync", file=1)

    assert 9 not in words(driver)
    assert words(driver, 1) == (9, 0, 9)


def test_blocks_that_only_the_journal_holds_are_taken_after_a_commit() -> None:
    """With nothing else left the journal is committed and the block used again."""
    driver = Driver(Setup(Geometry(disk_blocks=3)))
    for page in (0, 1):
        driver.do("write", page=page, value=7)
        driver.do("fsync")
    for page in (2, 3):
        driver.do("punch_hole", page=page - 2)
        driver.do("write", page=page, value=9)
        driver.do("writeback")

    assert words(driver) == (0, 0, 0, 0, 9, 0, 0, 0)
    driver.do("fsync")
    assert words(driver) == (0, 0, 0, 0, 9, 0, 9, 0)


def test_such_a_commit_forgets_files_without_name() -> None:
    """Their blocks are what is to be had."""
    driver = Driver(Setup(Geometry(disk_blocks=2)))
    driver.do("create", file=1)
    driver.do("write", file=1, value=7)
    driver.do("fsync", file=1)
    driver.do("unlink", file=1)
    driver.do("write", value=8)
    driver.do("writeback")
    driver.do("punch_hole")

    driver.do("write", page=1, value=9)
    driver.do("writeback")
    driver.do("punch_hole", page=1)

    driver.do("write", page=2, value=9)
    driver.do("fsync")
    assert driver.do("power_cut").files.keys() <= {0, 1}
    assert words(driver)[4] == 9


def test_a_file_without_name_is_forgotten_at_sync() -> None:
    """Until then a power cut may show it."""
    driver = Driver()
    driver.do("create", file=1)
    driver.do("write", file=1)
    driver.do("fsync", file=1)
    driver.do("unlink", file=1)
    assert words(driver, 1) == (1,)

    driver.do("sync")

    assert 1 not in driver.do("power_cut").files
