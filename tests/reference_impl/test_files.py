"""System calls on files."""

import pytest

from conformance.interface import Feature, KernelError, Setup, Signal
from tests.reference_impl.stepper import Driver, words


def test_write_extends_and_read_is_cut_at_the_end() -> None:
    """Words of the last page beyond the end are not answered."""
    driver = Driver()
    driver.do("create", file=1)
    driver.do("write", file=1, page=1, word=0, value=3)

    assert driver.do("read", file=1, page=0) == (0, 0)
    assert driver.do("read", file=1, page=1) == (3,)
    assert driver.do("read", file=1, page=2) == ()


def test_a_name_is_made_once_and_can_be_used_again() -> None:
    """After unlink the handle names another file."""
    driver = Driver()
    driver.do("create", file=1)
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("create", file=1)
    driver.do("write", file=1, value=3)
    driver.do("unlink", file=1)
    with pytest.raises(KernelError, match=r"^EIO: file 1 is not there$"):
        driver.do("read", file=1)

    driver.do("create", file=1)

    assert driver.do("read", file=1) == ()
    assert driver.stack.statfs().blocks_reserved == 0


def test_an_unlinked_file_lives_on_in_its_mapping() -> None:
    """Its blocks and pages go with the last mapping."""
    driver = Driver()
    driver.do("create", file=1)
    driver.do("write", file=1, value=3)
    driver.do("mmap", file=1, pages=1)
    driver.do("unlink", file=1)
    assert driver.do("load", mapping=1) == 3

    driver.do("munmap", mapping=1)

    assert driver.stack.statfs().blocks_free == 48
    assert driver.stack.vmstat().nr_free_pages == 32


def test_an_unlinked_file_waits_for_its_writeback() -> None:
    """It ends when the disk has let go of its page."""
    driver = Driver()
    driver.do("create", file=1)
    driver.do("write", file=1, value=3)
    driver.do("hold")
    driver.do("writeback", file=1)
    driver.do("unlink", file=1)
    assert len(driver.stack.filesystem.inodes) == 2

    driver.do("release")
    driver.settle()

    assert len(driver.stack.filesystem.inodes) == 1
    assert driver.stack.statfs().blocks_free == 48


def test_truncate_orphans_pinned_pages() -> None:
    """What the device writes afterwards is in no file."""
    driver = Driver()
    driver.do("get_user_pages", page=1, pages=2)
    driver.do("truncate", words=2)
    driver.do("truncate", words=8)
    driver.do("device_write", page=0, value=9)
    driver.do("put_user_pages_dirty_lock")

    assert driver.do("load", page=1) == 0
    driver.do("fsync")
    assert words(driver) == (0,) * 8
    assert driver.stack.vmstat().nr_free_pages == 31


def test_what_lies_beyond_the_end_never_becomes_visible() -> None:
    """Neither a store past the end nor old data on the disk survives growth."""
    driver = Driver()
    driver.do("store", word=1, value=5)
    driver.do("fsync")
    driver.do("truncate", words=1)
    driver.do("store", word=1, value=6)
    driver.do("fsync")
    assert words(driver) == (0,)

    driver.do("truncate", words=2)

    assert driver.do("load", word=1) == 0
    driver.do("fsync")
    assert words(driver) == (0, 0)


def test_writing_behind_the_end_zeroes_what_lies_between() -> None:
    """Old data of the last page does not come back with the size."""
    driver = Driver()
    driver.do("store", word=1, value=5)
    driver.do("fsync")
    driver.do("truncate", words=1)
    driver.do("reclaim")

    driver.do("write", page=1, value=7)
    driver.do("fsync")

    assert words(driver) == (0, 0, 7)


def test_an_access_beyond_the_end_is_a_signal() -> None:
    """The mapping is longer than the file."""
    driver = Driver()
    driver.do("store", page=3)
    driver.do("truncate", words=2)

    with pytest.raises(Signal, match=r"^SIGBUS"):
        driver.do("load", page=3)


def test_truncate_waits_for_the_disk_before_blocks_are_freed() -> None:
    """A block in flight belongs to the file until it has landed."""
    driver = Driver()
    driver.do("store", page=1)
    driver.do("hold")
    driver.start("fsync")

    truncate = driver.start("truncate", words=0)

    assert truncate.waits is not None
    assert truncate.waits.on == "writeback"
    driver.do("release")
    driver.settle()
    assert truncate.is_done
    assert driver.stack.statfs().blocks_free == 48


def test_cutting_a_page_waits_for_its_writeback() -> None:
    """The part that is cut off is not zeroed while the disk looks at it."""
    driver = Driver(Setup(features=frozenset({Feature.CHECKSUMS})))
    driver.do("store", word=1, value=5)
    driver.do("hold")
    driver.start("fsync")
    truncate = driver.start("truncate", words=1)
    assert truncate.waits is not None

    driver.do("release")
    driver.settle()

    assert truncate.is_done
    assert words(driver) == (0,)


def test_punch_hole_keeps_faults_out_while_blocks_go() -> None:
    """A page that comes in afterwards is empty."""
    driver = Driver()
    driver.do("store", page=1, value=5)
    driver.do("fsync")
    punch = driver.begin("punch_hole", page=1)
    driver.run_to(punch, "truncate.page_removed")
    load = driver.begin("load", page=1)
    driver.run(load)
    assert load.waits is not None
    assert load.waits.on == "invalidate lock"

    driver.settle()

    assert load.result == 0
    assert driver.stack.statfs().blocks_free == 48


def test_write_waits_for_writeback_where_content_must_be_stable() -> None:
    """Like a store."""
    driver = Driver(Setup(features=frozenset({Feature.STABLE_WRITES})))
    driver.do("write", value=1)
    driver.do("hold")
    driver.start("fsync")

    write = driver.start("write", value=2)

    assert not write.is_done
    driver.do("release")
    driver.settle()
    assert write.is_done


def test_write_looks_its_page_up_again_when_it_has_gone() -> None:
    """Reclaimed between lookup and lock."""
    driver = Driver()
    driver.do("load")
    reclaim = driver.begin("reclaim")
    driver.run_to(reclaim, "reclaim.unmapped")
    write = driver.begin("write", value=4)
    driver.run(write)

    driver.settle()

    assert write.is_done
    assert driver.do("load") == 4
