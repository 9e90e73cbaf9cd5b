"""Mappings, processes, loads and stores."""

import pytest

from conformance.interface import KernelError, Signal
from tests.reference_impl.stepper import Driver


def test_a_store_is_seen_through_every_mapping() -> None:
    """Of this process and of its child."""
    driver = Driver()
    driver.do("mmap", mapping=1, page=1, pages=2)
    driver.do("fork", child=1)

    driver.do("store", page=1, value=6)

    assert driver.do("load", mapping=1, page=0) == 6
    assert driver.do("load", process=1, mapping=1, page=0) == 6


def test_a_process_begins_with_its_first_mapping() -> None:
    """And ends with exit; its number can then be used again."""
    driver = Driver()
    driver.do("mmap", process=2, mapping=0)
    driver.do("store", process=2, mapping=0, value=5)
    driver.do("exit", process=2)
    driver.do("exit", process=2)
    assert 2 not in driver.stack.mm.processes

    driver.do("mmap", process=2, mapping=0)

    assert driver.do("load", process=2, mapping=0) == 5


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mmap", {"mapping": 0}),
        ("mmap", {"pages": 0}),
        ("mmap", {"file": 7}),
        ("munmap", {"mapping": 7}),
        ("mprotect", {"mapping": 7}),
        ("mremap", {"process": 7}),
        ("fork", {"child": 0}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, fields: dict[str, int]) -> None:
    """EINVAL, and no lock is left behind."""
    driver = Driver()

    with pytest.raises(KernelError, match=r"^EINVAL"):
        driver.do(name, **fields)

    driver.do("munmap")
    assert driver.stack.files.names[0].users == 0


def test_an_access_without_mapping_is_a_segmentation_fault() -> None:
    """Behind the end of a mapping, through a mapping that is not, or read-only."""
    driver = Driver()
    driver.do("mprotect", writable=False)

    for name, fields in (
        ("load", {"page": 4}),
        ("load", {"mapping": 7}),
        ("store", {}),
    ):
        with pytest.raises(Signal, match=r"^SIGSEGV"):
            driver.do(name, **fields)


def test_a_mapping_that_was_moved_keeps_its_entries() -> None:
    """The next store needs no fault."""
    driver = Driver()
    driver.do("store", value=3)
    driver.do("mremap")

    driver.do("store", value=4)

    assert driver.stack.page_mkwrite_count(0) == 1
    assert driver.do("load") == 4


def test_munmap_waits_for_faults() -> None:
    """A fault that waits for writeback holds the mmap_lock."""
    driver = Driver()
    driver.do("store")
    driver.do("freeze")
    store = driver.start("store", value=2)
    munmap = driver.start("munmap")
    assert munmap.waits is not None
    assert munmap.waits.on == "mmap_lock"

    driver.do("thaw")
    driver.settle()

    assert (store.is_done, munmap.is_done) == (True, True)
    assert driver.do("read") == (2, 0)
