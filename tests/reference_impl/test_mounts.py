"""Freeze, thaw, umount and mount."""

import pytest

from conformance.interface import Feature, KernelError, Setup
from tests.reference_impl.stepper import Driver, words


def test_a_frozen_filesystem_lets_nobody_write() -> None:
    """Store, write and get_user_pages wait until it is thawed; a load does not."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("freeze")
    assert driver.stack.vmstat().nr_dirty == 0
    calls = [
        driver.start("store", value=2),
        driver.start("write", page=1),
        driver.start("get_user_pages", page=2),
        driver.start("create", file=1),
    ]
    assert driver.do("load") == 1
    assert not any(call.is_done for call in calls)

    driver.do("thaw")
    driver.settle()

    assert all(call.is_done for call in calls)


def test_a_freeze_waits_for_who_is_inside() -> None:
    """A fault past its check for a freeze ends first, and its page is written."""
    driver = Driver()
    store = driver.begin("store", value=3)
    driver.run_to(store, "mkwrite.thawed")
    freeze = driver.begin("freeze")
    driver.run(freeze)
    assert not freeze.is_done

    driver.settle()

    assert (store.is_done, freeze.is_done) == (True, True)
    assert driver.stack.vmstat().nr_dirty == 0
    assert words(driver)[0] == 3


def test_a_pinned_page_stays_dirty_across_a_freeze() -> None:
    """It is not written before the thaw: fsync waits."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("freeze")
    driver.do("device_write", value=4)
    driver.do("writeback")
    driver.do("reclaim")

    fsync, sync = driver.start("fsync"), driver.start("sync")
    assert not fsync.is_done
    assert words(driver)[0] == 0
    driver.do("thaw")
    driver.settle()

    assert (fsync.is_done, sync.is_done) == (True, True)
    assert words(driver)[0] == 4


def test_a_fsync_that_had_begun_waits_too() -> None:
    """No writeback starts once the freeze is complete."""
    driver = Driver()
    driver.do("get_user_pages")
    fsync = driver.begin("fsync")
    driver.run_to(fsync, "fsync.started")
    driver.calls.remove(fsync)
    driver.do("freeze")
    driver.calls.append(fsync)
    driver.settle()
    assert not fsync.is_done

    driver.do("thaw")
    driver.settle()

    assert fsync.is_done


def test_a_freeze_that_cannot_write_lets_everybody_in_again() -> None:
    """EIO, and stores go on."""
    driver = Driver()
    driver.do("store")
    driver.do("fail_next")
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("freeze")

    driver.do("store", page=1)
    with pytest.raises(KernelError, match=r"^EINVAL"):
        driver.do("thaw")
    driver.do("freeze")
    with pytest.raises(KernelError, match=r"^EBUSY"):
        driver.do("freeze")


def test_umount_writes_once_and_orphans() -> None:
    """Mappings go, pins live on, and what their devices write is lost."""
    driver = Driver()
    driver.do("get_user_pages")
    driver.do("device_write", value=5)
    driver.do("umount")
    driver.do("device_write", value=6)
    assert driver.stack.pinned_page_view(0, 0).is_cached is False
    assert driver.stack.statfs().blocks_reserved == 0
    for name in ("read", "write", "fsync", "create"):
        with pytest.raises(KernelError, match=r"^EIO"):
            driver.do(name, file=0)
    driver.do("put_user_pages_dirty_lock")
    driver.do("mount")

    assert driver.do("read") == (5, 0)
    assert words(driver)[0] == 5
    with pytest.raises(KernelError, match=r"^EBUSY"):
        driver.do("mount")


def test_who_waits_for_the_gate_finds_no_filesystem_behind_it() -> None:
    """Calls that meet an umount are refused, not lost."""
    driver = Driver()
    driver.do("store")
    driver.do("hold")
    umount = driver.start("umount")
    calls = [
        driver.start("write", page=1),
        driver.start("store", page=1),
        driver.start("unlink"),
        driver.start("get_user_pages", page=2),
    ]
    driver.do("release")
    driver.settle()

    assert umount.is_done
    assert all(call.error is not None for call in calls)
    driver.do("mount")
    driver.do("mmap", mapping=0)
    driver.do("store", page=1)


def test_without_a_disk_memory_survives_umount() -> None:
    """It is all that the file has."""
    driver = Driver(Setup(features=frozenset({Feature.NO_DIRTY_TRACKING})))
    driver.do("store", value=5)

    driver.do("umount")
    driver.do("mount")

    assert driver.do("read") == (5, 0)
    assert not driver.do("power_cut").files
