"""Devices that share a page table: what they may do, and when they lose it."""

import pytest

from conformance.interface import Errno, Feature, HoldPoint, KernelError, Setup
from tests.reference_impl.mirroring import attached, entry, in_flight
from tests.reference_impl.stepper import Driver, words

# --- faulting in -------------------------------------------------------------------


def test_a_write_takes_the_write_fault_and_holds_no_pin() -> None:
    """page_mkwrite runs once, and the page is dirty like a CPU's."""
    driver = attached()
    before = driver.stack.vmstat()

    driver.do("mirror_write", value=7)
    driver.do("mirror_write", word=1, value=8)

    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.writable_ptes, view.maybe_pinned) == (True, 1, False)
    assert view.refcount == 2
    assert driver.stack.page_mkwrite_count(0) == 1
    assert driver.do("read")[:2] == (7, 8)
    after = driver.stack.vmstat()
    assert after.nr_foll_pin_acquired == before.nr_foll_pin_acquired


def test_a_read_asks_nobody() -> None:
    """It maps the page read-only, and dirties nothing."""
    driver = attached()
    driver.do("write", value=3)
    driver.do("fsync")

    assert driver.do("mirror_read") == 3
    view = driver.stack.page_view(0, 0)
    assert (view.is_dirty, view.writable_ptes) == (False, 0)
    assert driver.stack.page_mkwrite_count(0) == 0


def test_a_page_that_a_cpu_may_write_to_is_taken_over_as_it_is() -> None:
    """A read finds a writable entry: the write after it needs no fault."""
    driver = attached()
    driver.do("store", value=1)
    driver.do("mirror_read")

    driver.do("mirror_write", word=1, value=2)

    assert driver.stack.page_mkwrite_count(0) == 1


def test_refusals_of_the_fault_are_the_devices() -> None:
    """No space, no mapping, no page; and nothing is taken over."""
    driver = attached()
    driver.do("truncate", words=4)
    driver.do("truncate", words=6)
    driver.do("fill_disk")

    with pytest.raises(KernelError, match=r"^ENOSPC"):
        driver.do("mirror_write", page=2)
    with pytest.raises(KernelError, match=r"^EIO"):
        driver.do("mirror_read", page=3)
    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do("mirror_read", page=4)
    driver.do("mprotect", writable=False)
    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do("mirror_write")
    driver.do("munmap")
    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do("mirror_read")
    assert driver.stack.mirrors.devices[0].entries == {}


def test_a_device_is_bound_to_a_mapping_not_to_its_name() -> None:
    """Another mapping of that name is none of its business."""
    driver = attached()
    driver.do("munmap")
    driver.do("mmap", mapping=0)

    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do("mirror_read")


@pytest.mark.parametrize(
    ("name", "fields", "errno"),
    [
        ("attach", {"mapping": 5, "device": 1}, Errno.EFAULT),
        ("attach", {"process": 5, "device": 1}, Errno.EFAULT),
        ("attach", {"mapping": 1, "device": 1}, Errno.EFAULT),
        ("attach", {"device": 0}, Errno.EINVAL),
        ("detach", {"device": 1}, Errno.EINVAL),
        ("mirror_read", {"device": 1}, Errno.EINVAL),
    ],
)
def test_handles_are_checked(name: str, fields: dict[str, int], errno: Errno) -> None:
    """No such mapping, or a secret one; no such device, or one too many."""
    driver = attached()
    driver.do("mmap", mapping=1, file=None, shared=False, secret=True)

    with pytest.raises(KernelError, match=f"^{errno.value}"):
        driver.do(name, **fields)


def test_the_device_lock_is_not_held_while_a_fault_waits() -> None:
    """A fault waits for a thaw, and the device gives other entries up meanwhile."""
    driver = attached()
    driver.do("mirror_read", page=1)
    driver.do("freeze")
    write = driver.start("mirror_write")
    assert write.waits is not None
    assert write.waits.on == "thaw"

    driver.do("detach")
    driver.do("thaw")
    driver.settle()

    assert isinstance(write.error, KernelError)
    assert write.error.errno is Errno.EINVAL


# --- cleaning ----------------------------------------------------------------------


def test_cleaning_takes_the_right_to_write_away() -> None:
    """The entry stays for reading; the next write calls page_mkwrite again."""
    driver = attached()
    driver.do("mirror_write", value=1)
    driver.do("fsync")

    kept = entry(driver)
    assert kept is not None
    assert not kept.is_writable
    assert driver.stack.page_view(0, 0).is_dirty is False
    driver.do("mirror_write", value=2)
    assert driver.stack.page_mkwrite_count(0) == 2
    driver.do("fsync")
    assert words(driver)[0] == 2


def test_cleaning_waits_for_a_write_and_not_for_a_read() -> None:
    """A read in flight hurts nobody."""
    driver = attached()
    driver.do("mirror_write", value=1)
    read = in_flight(driver, "mirror_read")
    cleaning = driver.begin("writeback")
    driver.run(cleaning)
    assert cleaning.is_done

    driver.settle()
    driver.do("mirror_write", value=1)
    write = in_flight(driver, value=2)
    fsync = driver.begin("fsync")
    driver.run(fsync)
    assert fsync.waits is not None
    assert fsync.waits.on == "device access"
    driver.settle()
    assert (read.result, write.is_done, fsync.is_done) == (1, True, True)
    assert words(driver)[0] == 2
    assert driver.stack.page_view(0, 0).is_dirty is False


def test_a_write_waits_for_stable_content_as_a_cpu_does() -> None:
    """Under a checksum it waits; else it writes while the page is being written."""
    for features, waits in (({Feature.CHECKSUMS}, True), (set[Feature](), False)):
        driver = attached(Setup(features=features))
        driver.do("mirror_write", value=1)
        driver.do("hold", at=HoldPoint.BEFORE_CAPTURE)
        driver.do("writeback")

        write = driver.start("mirror_write", value=2)

        assert write.is_done is not waits
        driver.do("release")
        driver.settle()
        assert write.is_done
        assert write.error is None


def test_what_a_device_wrote_makes_the_page_dirty_when_it_is_told() -> None:
    """Also where a read fault had mapped the page writable and clean."""
    driver = attached(Setup(features={Feature.NO_DIRTY_TRACKING}))
    driver.do("mirror_read")
    driver.do("mirror_write", value=1)
    assert driver.stack.page_view(0, 0).is_dirty is False

    driver.do("munmap")

    assert driver.stack.page_view(0, 0).is_dirty is True


# --- losing pages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("truncate", {"words": 0}),
        ("punch_hole", {"page": 0}),
        ("munmap", {}),
        ("mremap", {}),
        ("exit", {}),
        ("umount", {}),
        ("reclaim", {}),
        ("detach", {}),
    ],
)
def test_whatever_takes_a_page_waits_for_the_device(
    name: str, fields: dict[str, int]
) -> None:
    """A write in flight lands first, and no entry is left."""
    driver = attached()
    driver.do("mirror_write", value=1)
    device = driver.stack.mirrors.devices[0]
    page = device.entries[0].page
    in_flight(driver, value=2)

    taking = driver.begin(name, **fields)
    driver.run(taking)

    assert taking.waits is not None
    assert taking.waits.on == "device access"
    assert page.words[0] == 1
    driver.settle()
    assert taking.is_done
    assert taking.error is None
    assert device.entries == {}


def test_a_truncate_leaves_the_entries_before_the_cut() -> None:
    """Only what concerns a device is taken from it."""
    driver = attached()
    for page in range(4):
        driver.do("mirror_read", page=page)

    driver.do("truncate", words=4)

    assert sorted(driver.stack.mirrors.devices[0].entries) == [0, 1]


def test_a_device_follows_its_mapping_to_other_addresses() -> None:
    """After a move it hears of what happens there."""
    driver = attached()
    driver.do("mirror_write", value=1)
    driver.do("mremap")
    driver.do("mirror_write", value=2)
    driver.do("fsync")

    kept = entry(driver)
    assert kept is not None
    assert not kept.is_writable
    assert words(driver)[0] == 2


def test_a_fork_leaves_the_entries_of_a_shared_mapping() -> None:
    """Nothing changes for the parent."""
    driver = attached()
    driver.do("mirror_write", value=1)

    driver.do("fork", child=1)

    kept = entry(driver)
    assert kept is not None
    assert kept.is_writable
    assert driver.do("load", process=1) == 1


def test_a_private_page_is_copied_under_the_device() -> None:
    """It goes on with the process that it is attached to."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None, shared=False, pages=2)
    driver.do("attach", mapping=1)
    driver.do("mirror_write", value=1)
    driver.do("fork", child=1)

    driver.do("mirror_write", value=2)
    driver.do("store", mapping=1, word=1, value=3)

    assert driver.do("load", mapping=1) == 2
    assert driver.do("mirror_read", word=1) == 3
    assert driver.do("load", process=1, mapping=1) == 1
    assert driver.do("load", process=1, mapping=1, word=1) == 0


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dontneed", {"mapping": 1}),
        ("pageout", {"mapping": 1}),
        ("merge", {"mapping": 1}),
        ("clear_refs", {}),
    ],
)
def test_what_happens_to_private_memory_is_told(
    name: str, fields: dict[str, int]
) -> None:
    """The device sees what its process sees, before and after."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None, shared=False, pages=2)
    driver.do("attach", mapping=1)
    for page in (0, 1):
        for word in (0, 1):
            driver.do("mirror_write", page=page, word=word, value=5)

    driver.do(name, **fields)

    seen = driver.do("load", mapping=1)
    assert seen == (0 if name == "dontneed" else 5)
    assert driver.do("mirror_read") == seen
    driver.do("mirror_write", value=6)
    assert driver.do("load", mapping=1) == 6
    assert driver.do("load", mapping=1, page=1) == 5
