"""What devices leave behind."""

import pytest

from conformance.interface import (
    Create,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Dontneed,
    Errno,
    GetUserPages,
    KernelError,
    Mmap,
    Mount,
    Operation,
    PunchHole,
    PutPage,
    PutUserPage,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
    Store,
    Truncate,
    Umount,
    Write,
)
from conformance.oracle.history import INFINITY
from tests.conformance.oracle.happenings import Happenings, one_of

HOLE = one_of(0)


def test_a_device_writes_until_the_put() -> None:
    """While the page is pinned both the old and the new value may be seen."""
    now = Happenings()
    now.do(Store(value=1))
    now.pin()
    write = now.do(DeviceWrite(value=2))

    # A stack may merge what the device wrote as late as at the put.
    assert now.load() == one_of(1, 2)
    assert now.oracle.device_write_window(write) == (write.asked, INFINITY)


def test_dirty_and_put() -> None:
    """What was marked dirty after the device wrote, and then put, is there."""
    now = Happenings()
    now.do(Store(value=1))
    now.pin()
    write = now.do(DeviceWrite(value=2))
    put = now.do(PutUserPagesDirtyLock())

    assert now.load() == one_of(2)
    assert now.oracle.device_write_window(write) == (write.asked, put.answered)


def test_dirtied_before_the_put() -> None:
    """Marking dirty by set_page_dirty_lock counts, after the device wrote."""
    now = Happenings()
    now.pin()
    now.do(DeviceWrite(word=0, value=1))
    now.do(SetPageDirtyLock())
    now.do(DeviceWrite(word=1, value=2))
    now.do(PutUserPage())

    # Word 0 was marked after its write; word 1 was not, and may be lost.
    assert now.read().words == (one_of(1), one_of(0, 2))


def test_an_abort_leaves_both_for_ever() -> None:
    """What was not marked dirty may be visible, or lost, at any later time."""
    now = Happenings()
    now.do(Store(value=1))
    now.pin()
    now.do(DeviceWrite(value=2))
    now.do(DeviceAbort())

    assert now.load() == one_of(1, 2)
    now.do(Store(value=3))
    assert now.load() == one_of(3)


def test_plain_references_promise_nothing() -> None:
    """What was written through an untracked reference may be lost."""
    now = Happenings()
    now.pin(tracked=False)
    now.do(DeviceWrite(value=2))
    now.do(SetPageDirtyLock())
    now.do(PutPage())

    assert now.load() == one_of(0, 2)


def test_one_device_writes_in_order() -> None:
    """After the put the last of two writes of one device is seen."""
    now = Happenings()
    now.pin()
    now.do(DeviceWrite(value=1))
    now.do(DeviceWrite(value=2))
    assert now.load() == one_of(0, 1, 2)

    now.do(PutUserPagesDirtyLock())
    assert now.load() == one_of(2)


def test_a_store_while_a_device_may_write() -> None:
    """A CPU store to a pinned page and the device's write have no order."""
    now = Happenings()
    now.pin()
    now.do(DeviceWrite(value=1))
    now.do(Store(value=2))
    now.do(PutUserPagesDirtyLock())

    # The device may have written when the page was put, after the store.
    assert now.load() == one_of(1, 2)


def test_complete_writes_all_that_was_not_put() -> None:
    """DeviceComplete writes every word of the pages that were not put before."""
    now = Happenings()
    now.do(GetUserPages(pages=2), 2)
    now.do(PutUserPage(page=0))
    now.do(DeviceComplete(value=5))

    assert now.read(0).words == (one_of(0), one_of(0))
    assert now.read(1).words == (one_of(5), one_of(5))


def test_fewer_pages_granted() -> None:
    """A pin has as many pages as were granted."""
    now = Happenings()
    get = now.do(GetUserPages(pages=2), 1)
    now.do(DeviceComplete(value=5))

    record = now.oracle.pin_of(get)
    assert record is not None
    assert len(record.pages) == 1
    assert now.read(1).words == (one_of(0), one_of(0))


def test_a_truncated_page_is_nobodys() -> None:
    """A device that writes after its page was cut off writes to no file."""
    now = Happenings()
    now.pin(page=1)
    now.do(Truncate(words=2))
    now.do(Truncate(words=4))
    now.do(DeviceWrite(value=7))
    now.do(PutUserPagesDirtyLock())

    assert now.load(1, 0) == HOLE


def test_a_write_before_the_truncate_is_cut() -> None:
    """What a device wrote before a truncate is cut, though it is put later."""
    now = Happenings()
    now.pin(page=1)
    now.do(DeviceWrite(value=7))
    now.do(Truncate(words=2))
    now.do(Truncate(words=4))
    now.do(PutUserPagesDirtyLock())

    assert now.load(1, 0) == HOLE


def test_a_write_beside_a_punch_is_in_doubt() -> None:
    """A device write that overlaps the punch may be a write of the file, or not."""
    now = Happenings()
    now.pin(page=1)
    punch = now.ask(PunchHole(page=1))
    now.do(DeviceWrite(value=7))
    now.answer(punch)
    now.do(PutUserPagesDirtyLock())

    assert now.load(1, 0) == one_of(0, 7)


def test_a_pin_made_after_the_punch() -> None:
    """A pin made after the punch is one of the file's new page."""
    now = Happenings()
    now.do(PunchHole(page=1))
    now.pin(page=1)
    now.do(DeviceWrite(value=7))
    now.do(PutUserPagesDirtyLock())

    assert now.load(1, 0) == one_of(7)


def test_a_cut_in_the_middle_of_a_page_does_not_detach() -> None:
    """A page that is kept in part stays the file's, and the device's writes count."""
    now = Happenings()
    now.pin(page=1)
    now.do(Truncate(words=3))
    now.do(DeviceWrite(page=0, word=0, value=7))
    now.do(DeviceWrite(page=0, word=1, value=8))
    now.do(PutUserPagesDirtyLock())

    # Word 1 of the page lies beyond the end all the time: no write of the file.
    assert now.read(1).words == (one_of(7),)
    assert now.load(1, 1) == one_of(0, 8)


def test_umount_detaches() -> None:
    """What a device writes after umount is lost; what it wrote before is in doubt."""
    now = Happenings()
    now.pin()
    now.do(DeviceWrite(word=0, value=1))
    now.do(Umount())
    now.do(Mount())
    now.do(DeviceWrite(word=1, value=2))
    now.do(PutUserPagesDirtyLock())

    assert now.read().words == (one_of(0, 1), one_of(0))


def test_put_before_umount() -> None:
    """What was marked dirty and put before umount is kept."""
    now = Happenings()
    now.pin()
    now.do(DeviceWrite(value=1))
    now.do(PutUserPagesDirtyLock())
    now.do(Umount())
    now.do(Mount())

    assert now.read().words[0] == one_of(1)


def test_transfer_writes_what_it_answers() -> None:
    """A transfer writes as many pages as it answers; of the rest nothing is sure."""
    now = Happenings()
    now.do(DeviceTransfer(pages=2, value=6), 1)

    assert now.read(0).words == (one_of(6), one_of(6))
    assert now.read(1).words == (one_of(0, 6), one_of(0, 6))


def test_a_refused_transfer_may_have_written() -> None:
    """A transfer that was refused may have written some of its pages."""
    now = Happenings()
    now.do(DeviceTransfer(value=6), error=KernelError(Errno.EFAULT))

    assert now.read().words == (one_of(0, 6), one_of(0, 6))


def test_direct_read_copies_the_file() -> None:
    """A direct read puts into memory what the file held while it ran."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Write(file=1, word=1, value=3))
    now.do(Write(file=1, word=0, value=2))
    read = now.ask(DirectRead(file=1))
    now.do(Write(file=1, word=0, value=4))
    now.answer(read, 1)

    # The write of 4 overlaps the direct read.
    assert now.read().words == (one_of(2, 4), one_of(3))


def test_direct_read_stops_at_the_end() -> None:
    """A direct read leaves alone what lies beyond the end of its file, or zeroes it."""
    now = Happenings()
    now.do(Store(word=1, value=9))
    now.do(Create(file=1))
    now.do(Write(file=1, word=0, value=2))
    now.do(DirectRead(file=1), 1)

    assert now.read().words == (one_of(2), one_of(0, 9))


def test_direct_write_copies_memory() -> None:
    """A direct write puts into the file what the memory held, and extends it."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Mmap(mapping=1, file=None, pages=1))
    now.do(Store(mapping=1, word=0, value=1))
    now.do(Store(mapping=1, word=1, value=2))
    now.do(DirectWrite(mapping=1, file=1), 1)

    assert now.read(file=1).words == (one_of(1), one_of(2))


def test_direct_io_within_one_file_ends() -> None:
    """Copies that go round in a circle are followed once."""
    now = Happenings()
    now.do(Store(value=1))
    one = now.ask(DirectRead(page=0, file=0, file_page=1))
    two = now.ask(DirectWrite(page=0, file=0, file_page=1))
    now.answer(one, 1)
    now.answer(two, 1)

    # Page 1 was a hole, and may have been page 0, which may have been page 1.
    assert now.read(1).words[0] == one_of(0, 1)
    assert now.read(0).words[0] == one_of(0, 1)


def test_direct_write_may_detach() -> None:
    """A direct write may drop the pinned page from the file that it writes to."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None, pages=1))
    now.pin(page=1)
    now.do(DirectWrite(mapping=1, file=0, file_page=1), 1)
    now.do(DeviceWrite(value=7))
    now.do(PutUserPagesDirtyLock())

    assert now.load(1, 0) == one_of(0, 7)


@pytest.mark.parametrize(
    ("mapped", "leave", "values"),
    [
        (Mmap(mapping=1, file=None, shared=False), Dontneed(mapping=1), (0, 1, 7)),
        (Mmap(mapping=1, file=1), Truncate(file=1, words=0), (0, 1, 7)),
        (Mmap(mapping=1, file=1), Truncate(file=1, words=4), (1, 7)),
    ],
)
def test_a_buffer_may_leave_while_it_is_written_from(
    mapped: Mmap, leave: Operation, values: tuple[int, ...]
) -> None:
    """The page is held by then, and a device that holds it, too, goes on writing."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Write(file=1, value=1))
    now.do(mapped)
    now.do(Store(mapping=1, value=1))
    now.do(GetUserPages(mapping=1), 1)
    write = now.ask(DirectWrite(mapping=1, file=0))
    now.do(leave)
    now.do(DeviceWrite(value=7))
    now.do(DeviceWrite(word=1, value=8))
    now.answer(write, 1)

    assert now.read().words[0] == one_of(*values)


def test_a_buffer_that_left_before_is_another_page() -> None:
    """What a device writes to the page that was given up is nobody's."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None, shared=False))
    now.do(GetUserPages(mapping=1), 1)
    now.do(Dontneed(mapping=1))
    now.do(DeviceWrite(value=7))
    now.do(DirectWrite(mapping=1, file=0), 1)

    assert now.read().words[0] == HOLE


def test_a_device_reads_the_page() -> None:
    """A device reads what the CPU stored, unless the page has left the file."""
    now = Happenings()
    now.do(Store(page=1, value=1))
    now.pin(page=1)
    read = now.do(DeviceRead())
    assert now.oracle.device_read_values(read) == one_of(1)

    now.do(Truncate(words=0))
    read = now.do(DeviceRead())
    assert now.oracle.device_read_values(read) is None
