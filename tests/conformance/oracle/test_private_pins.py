"""What pins of private memory show, worked out by hand."""

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    Dontneed,
    Exit,
    Fork,
    GetUserPages,
    Load,
    Merge,
    Mmap,
    Mprotect,
    Munmap,
    PutUserPagesDirtyLock,
    Store,
    Truncate,
    Write,
)
from conformance.oracle.history import Call
from tests.conformance.oracle.happenings import Happenings, one_of

ANONYMOUS = Mmap(mapping=1, file=None, shared=False, pages=2)
PRIVATE = Mmap(mapping=1, shared=False, pages=2)
SHARED = Mmap(mapping=1, file=None, shared=True, pages=2)
STORE = Store(mapping=1, value=1)
HOLE = one_of(0)


def began(*mapped: Mmap | Store | Write) -> Happenings:
    """Begin with a mapping 1, and what was stored to it."""
    now = Happenings()
    for operation in mapped:
        now.do(operation)
    return now


def pin(now: Happenings, *, process: int = 0, **how: bool) -> Call:
    """Pin page 0 of mapping 1."""
    return now.do(GetUserPages(process=process, mapping=1, **how), 1)


def device(now: Happenings, word: int = 0) -> frozenset[int] | None:
    """Have the device read now, and return what that may answer."""
    return now.oracle.device_read_values(now.do(DeviceRead(word=word)))


# --- pins that stay the mapping's -----------------------------------------------------


def test_a_write_pin_shows_what_is_stored_later() -> None:
    """Device and process have the same page."""
    now = began(ANONYMOUS)
    pin(now)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(2)


def test_a_write_pin_shows_it_after_a_fork_and_a_protection() -> None:
    """Nothing but giving the page up parts them."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    now.do(Fork())
    now.do(Mprotect(mapping=1))
    now.do(Mprotect(mapping=1, writable=True))
    now.do(Store(mapping=1, value=2))
    now.do(Store(process=1, mapping=1, value=3))

    assert device(now) == one_of(2)
    assert now.load(process=1, mapping=1) == one_of(3)


def test_a_read_pin_of_a_page_that_was_stored_to_stays() -> None:
    """It was the process's own page when it was pinned."""
    now = began(ANONYMOUS, STORE)
    pin(now, write=False)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(2)


def test_a_read_pin_of_a_page_that_a_parent_stored_to_stays() -> None:
    """It may be shared, and has to be unshared first."""
    now = began(ANONYMOUS, STORE)
    now.do(Fork())
    pin(now, process=1, write=False)
    now.do(Store(process=1, mapping=1, value=2))
    now.do(Store(mapping=1, value=3))

    assert device(now) == one_of(2)


def test_a_short_read_pin_of_a_page_nobody_wrote_may_be_stale() -> None:
    """It may be one of the zero page."""
    now = began(ANONYMOUS)
    pin(now, write=False)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(0, 2)


def test_a_long_read_pin_of_a_page_nobody_wrote_stays() -> None:
    """It has to break the sharing with the zero page first."""
    now = began(ANONYMOUS)
    pin(now, write=False, longterm=True)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(2)


def test_equal_pages_may_have_become_the_zero_page() -> None:
    """After a merge nothing is known of a short read pin."""
    now = began(ANONYMOUS, STORE)
    now.do(Merge(mapping=1))
    pin(now, write=False)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(1, 2)


def test_a_plain_reference_may_be_stale_but_not_older() -> None:
    """It shows what the page was when it was got, or later."""
    now = began(ANONYMOUS, STORE)
    now.do(Store(mapping=1, value=2))
    pin(now, write=False, tracked=False)
    now.do(Store(mapping=1, value=3))

    assert device(now) == one_of(2, 3)


def test_another_process_is_never_shown() -> None:
    """What a relative stores after the fork is in no set."""
    now = began(ANONYMOUS, STORE)
    now.do(Fork())
    pin(now, process=1, write=False, tracked=False)
    now.do(Munmap(process=1, mapping=1))
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(1)


def test_a_store_that_overlaps_the_pin_may_come_before_or_after() -> None:
    """Then the page may have been the zero page."""
    now = began(ANONYMOUS)
    store = now.ask(Store(mapping=1, value=1))
    pin(now, write=False)
    now.answer(store)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(0, 1, 2)


# --- pages given up -------------------------------------------------------------------


def test_a_page_given_up_stays_the_devices() -> None:
    """It holds what it held; the process has a page of zeros."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    now.do(Dontneed(mapping=1))

    assert device(now) == one_of(1)
    assert now.load(mapping=1) == HOLE
    now.do(Store(mapping=1, value=2))
    now.do(DeviceWrite(value=3))
    assert device(now) == one_of(1, 3)
    assert now.load(mapping=1) == one_of(2)


def test_what_a_device_wrote_before_is_given_up_too() -> None:
    """The process sees zero for certain, put or no put."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    now.do(DeviceWrite(value=3))
    now.do(Dontneed(mapping=1))
    now.do(PutUserPagesDirtyLock())

    assert now.load(mapping=1) == HOLE


def test_a_mapping_that_is_gone_leaves_the_page_to_the_device() -> None:
    """It does not matter whether it is unmapped, or its process ends."""
    for operation in (Munmap(mapping=1), Exit()):
        now = began(ANONYMOUS, STORE)
        pin(now)
        now.do(operation)

        assert device(now) == one_of(1)


def test_a_dontneed_while_the_page_is_pinned_may_come_before() -> None:
    """Then device and process may have one page, or two."""
    now = began(ANONYMOUS, STORE)
    give_up = now.ask(Dontneed(mapping=1))
    pin(now)
    now.answer(give_up)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(0, 1, 2)
    now.do(DeviceComplete(value=3))
    assert now.load(mapping=1) == one_of(2, 3)


def test_a_driver_that_still_writes_is_seen_by_the_device() -> None:
    """It may write to the page that was given up while it ran."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    transfer = now.ask(DeviceTransfer(mapping=1, value=7))
    now.do(Dontneed(mapping=1))
    now.answer(transfer, 1)

    assert device(now) == one_of(1, 7)


def test_shared_anonymous_memory_may_survive_a_dontneed() -> None:
    """Others may have it mapped, so it may be kept."""
    now = began(SHARED, STORE)
    pin(now)
    now.do(Dontneed(mapping=1))

    assert now.load(mapping=1) == one_of(0, 1)
    now.do(DeviceComplete(value=3))
    assert now.load(mapping=1) == one_of(0, 1, 3)


# --- forks ----------------------------------------------------------------------------


def test_a_device_writes_for_the_parent_alone() -> None:
    """What it writes after the fork is certain in the parent, and not in the child."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    now.do(Fork())
    now.do(DeviceComplete(value=3))

    assert now.load(mapping=1) == one_of(3)
    assert now.load(process=1, mapping=1) == one_of(1)


def test_a_device_that_writes_during_the_fork_may_reach_the_child() -> None:
    """The child is copied at some time of the call."""
    now = began(ANONYMOUS, STORE)
    pin(now)
    fork = now.ask(Fork())
    now.do(DeviceWrite(value=3))
    now.answer(fork)
    now.do(PutUserPagesDirtyLock())

    assert now.load(mapping=1) == one_of(3)
    assert now.load(process=1, mapping=1) == one_of(1, 3)


def test_a_pin_that_races_with_a_fork_is_the_parents_as_well() -> None:
    """Once granted it is one of the parent's page, and not of the child's."""
    now = began(ANONYMOUS, STORE)
    get = now.ask(GetUserPages(mapping=1))
    now.do(Fork())
    now.answer(get, 1)
    now.do(Store(mapping=1, word=1, value=2))

    assert device(now, word=1) == one_of(2)
    now.do(DeviceComplete(value=3))
    assert now.load(mapping=1) == one_of(3)
    assert now.load(process=1, mapping=1) == one_of(1)


def test_a_grandchild_has_what_the_child_had() -> None:
    """A device of the child writes for the child alone."""
    now = began(ANONYMOUS, STORE)
    now.do(Fork(child=1))
    pin(now, process=1)
    now.do(DeviceComplete(value=2))
    now.do(Fork(process=1, child=2))
    now.do(Store(process=1, mapping=1, value=3))

    assert now.load(mapping=1) == one_of(1)
    assert now.load(process=1, mapping=1) == one_of(3)
    assert now.load(process=2, mapping=1) == one_of(2)


# --- private mappings of files --------------------------------------------------------


def test_a_private_copy_of_a_file_page_is_the_devices_and_the_processs() -> None:
    """The file sees nothing of it, nor they of the file."""
    now = began(Write(value=5), PRIVATE)
    pin(now)
    now.do(DeviceComplete(value=3))
    now.do(Write(value=6))

    assert now.load(mapping=1) == one_of(3)
    assert now.read().words[0] == one_of(6)


def test_a_short_read_pin_of_a_private_mapping_may_be_one_of_the_file() -> None:
    """It shows the page of the file, or the process's own."""
    now = began(Write(value=5), PRIVATE)
    pin(now, write=False)
    now.do(Store(mapping=1, value=1))
    now.do(Write(value=6))

    assert device(now) == one_of(1, 5, 6)


def test_nothing_is_known_of_a_file_page_that_was_cut_off() -> None:
    """The pin may be of a page that is no longer the file's."""
    now = began(Write(value=5), PRIVATE)
    pin(now, write=False)
    now.do(Truncate())

    assert device(now) is None


def test_a_cut_may_take_the_private_copies_with_it() -> None:
    """What a device writes afterwards may reach the process, or nobody."""
    now = began(Write(value=5), PRIVATE, STORE)
    pin(now)
    now.do(Truncate())
    now.do(Write(word=1, value=6))
    now.do(DeviceComplete(value=3))

    assert now.load(mapping=1) == one_of(0, 1, 3, 5)
    assert now.oracle.device_read_values(now.do(DeviceRead())) == one_of(0, 1, 3, 5)


def test_dontneed_shows_the_file_again() -> None:
    """A device that has the copy pinned keeps it."""
    now = began(Write(value=5), PRIVATE, STORE)
    pin(now)
    now.do(Dontneed(mapping=1))
    values = now.load(mapping=1)

    assert values is not None
    assert 1 not in values
    assert device(now) == one_of(1)


# --- the rest -------------------------------------------------------------------------


def test_a_pin_that_was_put_and_made_anew_is_another() -> None:
    """A handle is looked up by the call that made it."""
    now = began(ANONYMOUS)
    pin(now, write=False)
    now.do(DeviceAbort())
    now.do(STORE)
    pin(now, write=False)
    now.do(Store(mapping=1, value=2))

    assert device(now) == one_of(2)


def test_secret_memory_is_known_as_such() -> None:
    """A child that inherits it has it, too."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None, secret=True))
    now.do(Fork())
    load = now.do(Load(process=1, mapping=1))

    span = now.oracle.layout.find(1, 1, load.asked)
    assert span is not None
    assert span.memory.is_secret
