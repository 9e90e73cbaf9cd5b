"""Anonymous memory: who owns its pages, and what the zero page stands for."""

import pytest

from conformance.interface import KernelError, PageView
from reference_impl.anon import ZERO_PFN
from tests.reference_impl.stepper import Driver

ANON = {"mapping": 1, "file": None, "pages": 2}


def made(*, shared: bool = False, **fields: bool) -> Driver:
    """Return a stack with mapping 1 of anonymous memory."""
    driver = Driver()
    driver.do("mmap", **ANON, shared=shared, **fields)
    return driver


def view(driver: Driver, process: int = 0, page: int = 0) -> PageView:
    """Show a page of mapping 1."""
    return driver.stack.mapped_page_view(process, 1, page)


def test_what_was_never_written_is_the_zero_page() -> None:
    """It is not counted, and takes no memory."""
    driver = made()
    free = driver.stack.vmstat().nr_free_pages

    assert driver.do("load", mapping=1) == 0
    assert driver.do("load", mapping=1, page=1) == 0

    assert view(driver) == PageView(frame=ZERO_PFN, refcount=1)
    assert driver.stack.vmstat().nr_free_pages == free


def test_a_page_that_is_written_belongs_to_the_process_alone() -> None:
    """Until a fork; the child's copy is its own, too."""
    driver = made()
    driver.do("load", mapping=1)
    driver.do("store", mapping=1, value=5)
    first = view(driver)
    driver.do("fork")
    shared = view(driver)

    driver.do("store", mapping=1, value=6)

    assert (first.is_exclusive, first.writable_ptes, first.refcount) == (True, 1, 1)
    assert (shared.is_exclusive, shared.writable_ptes, shared.refcount) == (False, 0, 2)
    assert view(driver).is_exclusive is True
    assert view(driver, process=1).frame == first.frame
    assert driver.do("load", process=1, mapping=1) == 5
    assert driver.do("load", mapping=1) == 6


def test_shared_anonymous_memory_stays_shared_over_a_fork() -> None:
    """It is gone with the last mapping of it, and stays when there is no file."""
    driver = made(shared=True)
    free = driver.stack.vmstat().nr_free_pages
    driver.do("store", mapping=1, value=5)
    driver.do("fork")
    driver.do("store", process=1, mapping=1, value=6)
    driver.do("munmap", mapping=1)
    driver.do("umount")
    assert driver.do("load", process=1, mapping=1) == 6

    driver.do("munmap", process=1, mapping=1)

    assert driver.stack.vmstat().nr_free_pages == free


def test_an_umount_takes_private_mappings_of_files_along() -> None:
    """Anonymous memory has nothing to do with it."""
    driver = made()
    driver.do("mmap", mapping=2, shared=False)
    driver.do("store", mapping=1, value=5)
    driver.do("store", mapping=2, value=6)

    driver.do("umount")

    assert set(driver.stack.mm.processes[0].vmas) == {1}
    assert driver.do("load", mapping=1) == 5


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("get", ["get_user_pages", "get_user_pages_fast"])
def test_secret_memory_is_never_handed_out(get: str, *, write: bool) -> None:
    """Mapped or not, slow or fast, forced or not."""
    driver = made(secret=True)
    for page in range(2):
        with pytest.raises(KernelError, match=r"^EFAULT"):
            driver.do(get, mapping=1, page=page, write=write, force=True)
        driver.do("store", mapping=1, page=0, value=5)

    assert driver.do("load", mapping=1) == 5


def test_a_file_cannot_be_secret() -> None:
    """Only anonymous memory can."""
    with pytest.raises(KernelError, match=r"^EINVAL"):
        Driver().do("mmap", secret=True)


def test_pins_of_the_zero_page_are_not_counted() -> None:
    """Neither when they are taken nor when they are put, whatever the way."""
    driver = made()
    driver.do("load", mapping=1)
    before = driver.stack.vmstat()

    driver.do("get_user_pages", mapping=1, pin=0, write=False)
    driver.do("get_user_pages_fast", mapping=1, pin=1, write=False, pages=2)
    driver.do("get_user_pages", mapping=1, pin=2, write=False, tracked=False)
    assert driver.do("device_read", pin=1) == 0
    assert driver.stack.vmstat() == before

    driver.do("put_user_page", pin=0)
    driver.do("put_user_pages", pin=1)
    driver.do("put_page", pin=2)

    assert driver.stack.vmstat() == before
    assert view(driver).refcount == 1


def test_a_write_pin_of_the_zero_page_is_one_of_a_new_page() -> None:
    """The process sees what the device writes; nobody else does."""
    driver = made()
    driver.do("load", mapping=1)
    driver.do("load", mapping=1, page=1)
    driver.do("get_user_pages_fast", mapping=1)

    driver.do("device_write", value=7)

    assert driver.do("load", mapping=1) == 7
    assert driver.do("load", mapping=1, page=1) == 0
    assert driver.stack.pinned_page_view(0, 0).is_exclusive is True


def test_what_is_private_is_in_the_fingerprint() -> None:
    """Exclusiveness, swapped pages, and the state of a fork."""
    prints = []
    for names in ((), ("fork",), ("fork", "exit"), ("pageout",)):
        driver = made()
        driver.do("store", mapping=1, value=5)
        for name in names:
            fields = {"mapping": 1} if name == "pageout" else {}
            driver.do(name, **({"process": 1} if name == "exit" else fields))
        prints.append(driver.stack.fingerprint())

    assert len(set(prints)) == len(prints)
