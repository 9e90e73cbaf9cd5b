"""Processes, mappings and entries."""

from conformance.interface import Setup
from conformance.interface.events import Event, PteChanged
from reference_impl.pagetable import Process
from tests.reference_impl.stepper import Driver


def test_mappings_never_touch_each_other() -> None:
    """A page behind the end of a mapping belongs to no mapping."""
    process = Process(0)

    first, second = process.take_addresses(4), process.take_addresses(4)

    assert second > first + 4
    assert process.find_vma(first + 4) is None


def test_an_entry_is_told_and_its_dirty_bit_goes_to_the_page() -> None:
    """Set, moved and cleared; the page keeps what the entry knew."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))
    driver.do("store", page=1)
    driver.do("mremap")
    driver.do("munmap")

    entries = [event for event in told if isinstance(event, PteChanged)]
    assert [(e.address, e.frame, e.is_writable) for e in entries] == [
        (1, 0, True),
        (1, None, False),
        (6, 0, True),
        (6, None, False),
    ]
    assert driver.stack.page_view(0, 1).is_dirty


def test_a_read_only_entry_keeps_its_dirty_bit() -> None:
    """Mprotect takes the right to write, not what was written."""
    driver = Driver()
    driver.do("store")

    driver.do("mprotect", writable=False)

    view = driver.stack.page_view(0, 0)
    assert (view.writable_ptes, view.dirty_ptes) == (0, 1)
