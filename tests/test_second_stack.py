"""The second stack, in programs worked out by hand.

It is judged by the suite elsewhere; these tests are for whoever changes it.
"""

from collections.abc import Callable

import pytest

from conformance.interface import (
    UNREADABLE,
    Errno,
    Feature,
    HoldPoint,
    KernelError,
    Setup,
    Signal,
    SignalName,
    WouldBlock,
)
from tests.second_stack import Stack, boot


class Pending:
    """A call that may sleep: asked once, then resumed until it answers."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._next = call
        self.blocked_on: str | None = None
        self.result: object = None
        self.resume()

    def resume(self) -> None:
        """Go on, as far as the call goes."""
        try:
            self.result = self._next()
            self.blocked_on = None
        except WouldBlock as sleep:
            self.blocked_on = sleep.on
            self._next = sleep.resume or self._next


@pytest.fixture
def stack() -> Stack:
    """Two words in a page, four pages in file 0, checksums."""
    return boot(Setup(features=frozenset({Feature.CHECKSUMS})))


def put_all(stack: Stack, pin: int = 0) -> None:
    """Put a pin, dirty."""
    stack.put_user_pages_dirty_lock(pin=pin, first=0, pages=None)


def pin_page(stack: Stack, page: int = 0, *, pin: int = 0, pages: int = 1) -> int:
    """Pin pages of mapping 0 for writing."""
    return stack.get_user_pages(
        process=0, mapping=0, page=page, pages=pages, pin=pin, write=True
    )


def put_word(stack: Stack, value: int, page: int = 0, word: int = 0) -> None:
    """Store a word through mapping 0."""
    stack.store(process=0, mapping=0, page=page, word=word, value=value)


def word_of(stack: Stack, page: int = 0, word: int = 0) -> int:
    """Load a word through mapping 0."""
    return stack.load(process=0, mapping=0, page=page, word=word)


def durable(stack: Stack, file: int = 0) -> tuple[int, ...]:
    """Give the words of a file after a power cut."""
    return stack.power_cut().files[file].words


def test_fsync_promises_what_was_stored(stack: Stack) -> None:
    """A store is durable when fsync has answered, not before."""
    put_word(stack, 7, page=1)
    before = durable(stack)
    stack.fsync(file=0)

    assert before == (0,) * 8
    assert durable(stack) == (0, 0, 7, 0, 0, 0, 0, 0)


def test_mkwrite_runs_again_after_each_cleaning(stack: Stack) -> None:
    """A page that was cleaned is writable only after another page_mkwrite."""
    put_word(stack, 1)
    put_word(stack, 2)
    first = stack.page_mkwrite_count(file=0), stack.mtime(file=0)
    stack.fsync(file=0)
    put_word(stack, 3)

    assert first[0] == 1
    assert stack.page_mkwrite_count(file=0) == 2
    assert stack.mtime(file=0) > first[1]


def test_a_device_write_is_merged_at_the_put(stack: Stack) -> None:
    """A device's word shows to the device at once, to others when it is put."""
    pin_page(stack)
    stack.device_write(pin=0, page=0, word=0, value=9)
    put_word(stack, 5, word=1)
    seen = [stack.device_read(pin=0, page=0, word=word) for word in (0, 1)]
    before = word_of(stack)
    put_all(stack)

    assert seen == [9, 5]
    assert before == 0
    assert stack.read(file=0, page=0) == (9, 5)


def test_fsync_does_not_wait_for_a_pin(stack: Stack) -> None:
    """A pinned page is cleaned; what comes from the device dirties it again."""
    pin_page(stack)
    stack.device_write(pin=0, page=0, word=0, value=9)
    stack.fsync(file=0)
    cleaned = stack.page_view(file=0, page=0)
    stack.put_user_page(pin=0, page=0)
    dirtied = stack.page_view(file=0, page=0)
    stack.fsync(file=0)

    assert (cleaned.is_dirty, cleaned.maybe_pinned) == (False, True)
    assert (dirtied.is_dirty, dirtied.maybe_pinned) == (True, False)
    assert stack.page_mkwrite_count(file=0) == 2
    assert durable(stack)[0] == 9


@pytest.mark.parametrize("at", HoldPoint)
def test_a_page_under_writeback_is_not_written(stack: Stack, at: HoldPoint) -> None:
    """Store, write, pin and put wait for writeback; a read pin does not."""
    pin_page(stack, pin=1)
    stack.device_write(pin=1, page=0, word=1, value=4)
    stack.hold(at=at)
    waiting = [Pending(lambda: stack.fsync(file=0))]
    assert stack.page_view(file=0, page=0).is_under_writeback
    waiting += [
        Pending(lambda: put_word(stack, 1)),
        Pending(lambda: stack.write(file=0, page=0, word=0, value=2)),
        Pending(lambda: pin_page(stack)),
        Pending(lambda: put_all(stack, pin=1)),
    ]
    stack.get_user_pages(process=0, mapping=0, page=0, pages=1, pin=2, write=False)
    assert [call.blocked_on for call in waiting] == ["writeback"] * 5
    stack.release()
    for call in waiting:
        call.resume()

    assert [call.blocked_on for call in waiting] == [None] * 5
    assert stack.read(file=0, page=0) == (2, 4)
    assert durable(stack)[:2] == (0, 0)


def test_nowait_grants_what_can_be_had(stack: Stack) -> None:
    """Instead of waiting, a prefix is granted, or the call is refused."""
    put_word(stack, 1, page=1)
    stack.hold(at=HoldPoint.AFTER_CAPTURE)
    stack.writeback(file=0)

    def pin_from(page: int) -> int:
        return stack.get_user_pages(
            process=0, mapping=0, page=page, pages=2, pin=0, write=True, nowait=True
        )

    assert pin_from(0) == 1
    with pytest.raises(KernelError, match=r"^EAGAIN: writeback$"):
        pin_from(1)


def test_freeze_holds_up_the_merge(stack: Stack) -> None:
    """A pin can be put while frozen only if nothing comes of it."""
    pin_page(stack, pin=0)
    pin_page(stack, pin=1)
    stack.device_write(pin=0, page=0, word=0, value=9)
    stack.freeze()
    stack.put_user_page(pin=1, page=0)
    call = Pending(lambda: stack.put_user_page(pin=0, page=0))
    frozen = call.blocked_on, stack.page_view(file=0, page=0).is_dirty
    stack.thaw()
    call.resume()

    assert frozen == ("frozen", False)
    assert word_of(stack) == 9


def test_a_full_disk_refuses_early(stack: Stack) -> None:
    """What cannot be written later is refused now; what was granted is not."""
    pin_page(stack)
    stack.device_write(pin=0, page=0, word=0, value=9)
    stack.fsync(file=0)
    stack.fill_disk()
    with pytest.raises(Signal) as signal:
        put_word(stack, 1, page=1)
    with pytest.raises(KernelError) as refusal:
        pin_page(stack, 1, pin=1)
    count = stack.page_mkwrite_count(file=0)
    put_all(stack)
    stack.fsync(file=0)

    assert signal.value.name is SignalName.SIGBUS
    assert refusal.value.errno is Errno.EFAULT
    assert (count, stack.page_mkwrite_count(file=0)) == (1, 2)
    assert durable(stack)[0] == 9


def test_space_comes_back(stack: Stack) -> None:
    """At rest, only what is written is allocated; after a truncate, nothing."""
    free = stack.statfs().blocks_free
    pin_page(stack, pages=4)
    put_all(stack)
    stack.fsync(file=0)
    at_rest = stack.statfs()
    pin_page(stack, pages=4)
    stack.truncate(file=0, words=0)

    assert (at_rest.blocks_free, at_rest.blocks_reserved) == (free - 4, 0)
    assert (stack.statfs().blocks_free, stack.statfs().blocks_reserved) == (free, 0)


def test_an_orphan_is_nobodys_file(stack: Stack) -> None:
    """What a device writes to a page that was cut off reaches no file."""
    frames = stack.vmstat().nr_free_pages
    pin_page(stack)
    stack.truncate(file=0, words=0)
    stack.truncate(file=0, words=8)
    stack.device_write(pin=0, page=0, word=0, value=9)
    orphan = stack.pinned_page_view(pin=0, page=0)
    put_all(stack)
    stack.fsync(file=0)

    assert (orphan.is_cached, orphan.maybe_pinned) == (False, True)
    assert durable(stack) == (0,) * 8
    assert word_of(stack) == 0
    assert stack.vmstat().nr_free_pages == (frames or 0) - 1


def test_a_failed_write_keeps_the_page_dirty(stack: Stack) -> None:
    """An fsync tells about a failed write; the next one makes it good."""
    put_word(stack, 3)
    stack.fail_next(write=True)
    stack.writeback(file=0)
    with pytest.raises(KernelError, match=r"^EIO: a write failed$"):
        stack.fsync(file=0)
    stack.fsync(file=0)

    assert durable(stack)[0] == 3


def test_both_fsyncs_are_told_of_a_failure(stack: Stack) -> None:
    """A failed write is told to every fsync that waited for it."""
    put_word(stack, 3)
    stack.hold(at=HoldPoint.BEFORE_CAPTURE)
    stack.fail_next(write=True)
    calls = [Pending(lambda: stack.fsync(file=0)) for _ in range(2)]
    stack.release()

    for call in calls:
        with pytest.raises(KernelError, match=r"^EIO: a write failed$"):
            call.resume()
    assert stack.page_view(file=0, page=0).is_dirty


def test_extending_shows_zeroes(stack: Stack) -> None:
    """Neither cut-off words nor stores beyond end of file come back."""
    put_word(stack, 5, word=1)
    stack.fsync(file=0)
    stack.truncate(file=0, words=1)
    put_word(stack, 6, word=1)
    stack.fsync(file=0)
    cut = durable(stack)
    stack.write(file=0, page=1, word=0, value=8)
    stack.fsync(file=0)

    assert cut == (0,)
    assert stack.read(file=0, page=0) == (0, 0)
    assert durable(stack) == (0, 0, 8)


def test_a_truncate_beside_an_fsync(stack: Stack) -> None:
    """A size is made durable with what was written for it."""
    put_word(stack, 5, word=1)
    stack.hold(at=HoldPoint.AFTER_CAPTURE)
    sync = Pending(lambda: stack.fsync(file=0))
    cut = Pending(lambda: stack.truncate(file=0, words=0))
    stack.truncate(file=0, words=2)
    assert (sync.blocked_on, cut.blocked_on) == ("writeback", None)
    stack.release()
    sync.resume()

    assert durable(stack) == (0, 0)


def test_unlinked_files_live_on_in_mappings(stack: Stack) -> None:
    """A file without a name goes with its last mapping, pins or not."""
    free = stack.statfs().blocks_free
    pin_page(stack)
    stack.unlink(file=0)
    put_word(stack, 3)
    assert word_of(stack) == 3
    stack.sync()
    stack.munmap(process=0, mapping=0)
    stack.device_write(pin=0, page=0, word=0, value=9)
    put_all(stack)

    assert stack.power_cut().files == {}
    assert stack.statfs().blocks_free == free
    assert stack.vmstat().nr_free_pages == 32


def test_get_is_a_prefix_and_counted(stack: Stack) -> None:
    """Pages up to the end of file are granted; what was put is counted."""
    stack.truncate(file=0, words=3)
    put_word(stack, 1)
    granted = stack.get_user_pages_fast(
        process=0, mapping=0, page=0, pages=4, pin=0, write=True
    )
    stack.put_user_page(pin=0, page=1)
    stack.put_user_pages(pin=0, first=0, pages=-1)
    with pytest.raises(KernelError, match=r"^EINVAL: pin 0 has no such page to put$"):
        stack.put_user_page(pin=0, page=1)
    counters = stack.vmstat()

    assert granted == 2
    assert counters.nr_gup_fast_pages_requested == 1
    assert counters.nr_gup_slow_pages_requested == 1
    assert counters.nr_gup_pages_returned == 1
    assert (counters.nr_foll_pin_acquired, counters.nr_foll_pin_released) == (2, 1)


def test_long_term_pins_for_writing_are_refused(stack: Stack) -> None:
    """Both calls refuse them, and grant those for reading."""
    for call in (stack.get_user_pages, stack.get_user_pages_fast):
        with pytest.raises(KernelError) as refusal:
            call(0, 0, page=0, pages=1, pin=0, write=True, longterm=True)
        assert refusal.value.errno is Errno.EFAULT
        assert call(0, 0, page=0, pages=1, pin=0, write=False, longterm=True) == 1


def test_the_disk_finds_out_a_change_during_a_write(stack: Stack) -> None:
    """A page that is changed behind the filesystem's back fails its checksum."""
    put_word(stack, 3)
    stack.hold(at=HoldPoint.BEFORE_CAPTURE)
    call = Pending(lambda: stack.fsync(file=0))
    stack.files[0].pages[0].words[0] = 4
    stack.release()
    call.resume()
    stack.evict(file=0)

    assert durable(stack)[:2] == (UNREADABLE, UNREADABLE)
    with pytest.raises(KernelError, match=r"^EIO: checksum of block 0$"):
        stack.read(file=0, page=0)
