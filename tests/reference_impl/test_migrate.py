"""Moving pages to other frames, stealing them, and zones."""

import pytest

from conformance.interface import Errno, Feature, Geometry, KernelError, Setup
from tests.reference_impl.stepper import Driver, words

ZONES = Setup(Geometry(memory_pages=24, movable_pages=16))


def frame(driver: Driver, page: int = 0) -> int | None:
    """Return the frame of a page of file 0."""
    return driver.stack.page_view(0, page).frame


def anonymous(driver: Driver, pages: int = 2) -> None:
    """Map anonymous memory as mapping 1 and write to its pages."""
    driver.do("mmap", mapping=1, file=None, shared=False, pages=pages)
    for page in range(pages):
        driver.do("store", mapping=1, page=page, value=page + 1)


def test_a_dirty_file_page_moves_with_all_that_it_has() -> None:
    """Content, dirty flag and promised blocks go along, and it can be written."""
    driver = Driver(Setup(features={Feature.CHECKSUMS}))
    driver.do("store", value=5)
    before = frame(driver)

    driver.do("migrate")

    view = driver.stack.page_view(0, 0)
    assert view.frame != before
    assert view.is_dirty
    assert driver.do("load") == 5
    driver.do("store", word=1, value=6)
    driver.do("fsync")
    assert words(driver)[:2] == (5, 6)


def test_a_clean_mapped_page_is_write_protected_still() -> None:
    """After moving, the next store goes through page_mkwrite again."""
    driver = Driver()
    driver.do("store", value=5)
    driver.do("fsync")
    count = driver.stack.page_mkwrite_count(0)

    driver.do("migrate")
    driver.do("store", value=6)

    assert driver.stack.page_mkwrite_count(0) == count + 1


@pytest.mark.parametrize("write", [False, True])
def test_a_pinned_page_stays(write: bool) -> None:
    """The operation is refused, whatever the pin is for."""
    driver = Driver()
    driver.do("store", value=5)
    driver.do("get_user_pages", pin=0, write=write)
    before = frame(driver)

    with pytest.raises(KernelError) as refusal:
        driver.do("migrate", pages=2)

    assert refusal.value.errno is Errno.EBUSY
    assert frame(driver) == before
    driver.do("put_user_page", pin=0)
    driver.do("migrate")
    assert frame(driver) != before


def test_gup_fast_that_looked_before_backs_off() -> None:
    """It has read the entry; the page moves; it takes the new one by the slow path."""
    driver = Driver()
    driver.do("store", value=5)
    pins = driver.begin("get_user_pages_fast", pin=0)
    driver.run_to(pins, "gup_fast.pte_read")

    driver.run(driver.begin("migrate"))
    driver.settle()

    assert pins.result == 1
    assert driver.stack.pinned_page_view(0, 0).frame == frame(driver)


def test_an_anonymous_page_shared_by_a_fork_moves_for_both() -> None:
    """Both processes see the new frame, and copy when they write."""
    driver = Driver()
    anonymous(driver, 1)
    driver.do("fork", child=1)

    driver.do("migrate", process=1, mapping=1)

    views = [driver.stack.mapped_page_view(process, 1, 0) for process in (0, 1)]
    assert views[0].frame == views[1].frame
    driver.do("store", mapping=1, value=9)
    assert driver.do("load", process=1, mapping=1) == 1


def test_what_is_not_there_need_not_move() -> None:
    """No page is in memory, and nothing is refused."""
    driver = Driver()
    driver.do("migrate", pages=4)


def test_no_frame_is_free() -> None:
    """Nothing changes if there is no place to go."""
    driver = Driver(Setup(Geometry(memory_pages=2)))
    driver.do("store", page=0, value=1)
    driver.do("store", page=1, value=2)

    with pytest.raises(KernelError):
        driver.do("migrate", pages=2)

    assert [driver.do("load", page=page) for page in (0, 1)] == [1, 2]


def test_long_term_pins_leave_the_movable_zone() -> None:
    """Pages are moved first; a process that stores sees what its device sees."""
    driver = Driver(ZONES)
    anonymous(driver)
    assert driver.stack.mapped_page_view(0, 1, 0).is_movable

    driver.do("get_user_pages_fast", mapping=1, pages=2, pin=0, longterm=True)

    assert not driver.stack.pinned_page_view(0, 0).is_movable
    assert not driver.stack.pinned_page_view(0, 1).is_movable
    driver.do("store", mapping=1, page=1, value=7)
    assert driver.stack.device_read(pin=0, page=1) == 7


def test_a_long_term_pin_that_cannot_move_pins_nothing() -> None:
    """The second page is pinned by somebody else, where nothing may stay."""
    driver = Driver(ZONES)
    anonymous(driver)
    driver.do("get_user_pages", mapping=1, page=1, pin=0)

    with pytest.raises(KernelError) as refusal:
        driver.do("get_user_pages", mapping=1, pages=2, pin=1, longterm=True)

    assert refusal.value.errno is Errno.EBUSY
    stat = driver.stack.vmstat()
    assert stat.nr_foll_pin_acquired is not None
    assert stat.nr_foll_pin_released is not None
    assert stat.nr_foll_pin_acquired - stat.nr_foll_pin_released == 1
    assert stat.pinned_vm == 0


def test_no_place_outside_the_movable_zone() -> None:
    """All of memory is movable, so nothing can be pinned for long."""
    driver = Driver(Setup(Geometry(memory_pages=8, movable_pages=8)))
    anonymous(driver, 1)

    with pytest.raises(KernelError):
        driver.do("get_user_pages", mapping=1, pin=0, longterm=True)

    assert driver.do("load", mapping=1) == 1


def test_charges_come_and_go() -> None:
    """Each page of a long-term pin is charged until it is put."""
    driver = Driver()
    anonymous(driver)
    driver.do("get_user_pages", mapping=1, pages=2, pin=0, longterm=True)
    assert driver.stack.vmstat().pinned_vm == 2
    driver.do("put_user_page", pin=0, page=1)
    assert driver.stack.vmstat().pinned_vm == 1
    driver.do("put_user_pages", pin=0)
    assert driver.stack.vmstat().pinned_vm == 0


def test_a_clean_unmapped_page_is_stolen() -> None:
    """It is brought in again from the disk."""
    driver = Driver()
    driver.do("write", value=5)
    driver.do("fsync")

    driver.do("steal")

    assert driver.stack.page_view(0, 0).is_cached is False
    assert driver.do("read")[0] == 5


@pytest.mark.parametrize("hindrance", ["dirty", "mapped", "pinned"])
def test_a_page_in_use_is_not_stolen(hindrance: str) -> None:
    """And it keeps what writeback needs."""
    driver = Driver()
    driver.do("write", value=5)
    if hindrance != "dirty":
        driver.do("fsync")
    if hindrance == "mapped":
        driver.do("load")
    if hindrance == "pinned":
        driver.do("get_user_pages", pin=0, write=False)
        driver.do("munmap")

    with pytest.raises(KernelError) as refusal:
        driver.do("steal")

    assert refusal.value.errno is Errno.EBUSY
    assert driver.stack.page_view(0, 0).has_buffers


def test_what_has_no_disk_is_not_stolen() -> None:
    """It would be lost."""
    driver = Driver(Setup(features={Feature.NO_DIRTY_TRACKING}))
    driver.do("write", value=5)

    with pytest.raises(KernelError):
        driver.do("steal")

    assert driver.do("read")[0] == 5
