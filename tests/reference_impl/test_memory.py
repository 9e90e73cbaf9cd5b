"""Pages, references and pins."""

import pytest

from conformance.interface import Geometry, KernelError
from conformance.interface.events import Event, PageFreed
from reference_impl.memory import Memory

SMALL = Geometry(memory_pages=2, pin_bias=8, refcount_max=31)


def test_the_last_put_of_either_kind_frees_the_page() -> None:
    """A page goes back when its count is zero, by put and by unpin alike."""
    told: list[Event] = []
    memory = Memory(SMALL, told.append)
    by_put, by_unpin = memory.allocate(), memory.allocate()
    memory.pin(by_unpin)
    memory.put(by_unpin)

    memory.put(by_put)
    memory.unpin(by_unpin)

    assert told == [PageFreed(0), PageFreed(1)]
    assert memory.free_count == 2


def test_memory_runs_out_and_a_freed_page_is_used_again_zeroed() -> None:
    """There are as many pages as the geometry says."""
    memory = Memory(SMALL)
    page, _ = memory.allocate(), memory.allocate()
    page.words[0] = 5
    with pytest.raises(KernelError, match=r"^ENOMEM: no page of memory is free$"):
        memory.allocate()
    memory.put(page)

    assert memory.allocate() is page
    assert page.words == [0, 0]


def test_maybe_dma_pinned_errs_towards_yes_only() -> None:
    """One pin is enough, whatever else is held; so are many references."""
    memory = Memory(SMALL)
    page = memory.allocate()
    assert not memory.maybe_dma_pinned(page)
    memory.pin(page)
    memory.put(page)
    assert memory.maybe_dma_pinned(page)
    memory.unpin(page)

    page = memory.allocate()
    for _ in range(7):
        memory.get(page)
    assert memory.maybe_dma_pinned(page)


def test_an_overflow_wraps_and_reads_as_pinned() -> None:
    """Who does not ask for room ends with a negative count, as an int does."""
    memory = Memory(SMALL)
    page = memory.allocate()
    memory.add(page, 30)
    assert not memory.has_room(page, 8)

    memory.pin(page)

    assert page.refcount == -25
    assert memory.maybe_dma_pinned(page)
