"""Flags of pages and their accounting."""

from conformance.interface import Geometry
from conformance.interface.events import (
    BuffersAttached,
    BuffersReleased,
    Event,
    PageCleaned,
    PageDirtied,
    PageOrphaned,
    WritebackEnded,
    WritebackStarted,
)
from reference_impl.counters import Counters
from reference_impl.memory import Memory
from reference_impl.pagecache import AddressSpace, PageCache


def test_dirty_is_counted_once_each_way_and_told() -> None:
    """Dirtying twice counts once; leaving the file takes it back."""
    told: list[Event] = []
    counters = Counters()
    memory = Memory(Geometry())
    cache = PageCache(memory, counters, told.append)
    space = AddressSpace(0, is_tracked=True)
    page = memory.allocate()
    cache.insert(space, 2, page)
    assert (cache.mark_dirty(page), cache.mark_dirty(page)) == (True, False)
    assert counters.dirty == 1
    cache.attach_buffers(page)
    cache.attach_buffers(page)

    cache.remove(space, page)

    assert counters.dirty == 0
    assert told == [
        PageDirtied((0, 2), 0, is_locked=False, has_buffers=False),
        BuffersAttached((0, 2), 0),
        PageCleaned((0, 2), 0, is_locked=False),
        BuffersReleased((0, 2), 0),
        PageOrphaned((0, 2), 0),
    ]


def test_dirtying_an_orphan_does_nothing() -> None:
    """It is nobody's file."""
    counters = Counters()
    memory = Memory(Geometry())
    cache = PageCache(memory, counters)

    assert not cache.mark_dirty(memory.allocate())
    assert counters.dirty == 0


def test_writeback_is_counted_and_told() -> None:
    """The flag goes up and down with its counter."""
    told: list[Event] = []
    counters = Counters()
    memory = Memory(Geometry())
    cache = PageCache(memory, counters, told.append)
    page = memory.allocate()

    cache.start_writeback(page, is_bounced=True, is_integrity=True)
    assert counters.under_writeback == 1
    cache.end_writeback(page, failed=True)

    assert counters.under_writeback == 0
    assert told == [
        WritebackStarted(None, 0, False, is_bounced=True, is_integrity=True),
        WritebackEnded(None, 0, failed=True),
    ]
