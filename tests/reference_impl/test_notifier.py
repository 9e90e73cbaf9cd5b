"""Changes of page tables: told before, ended after, and never missed."""

import pytest

from conformance.interface import Event, Geometry, Setup
from conformance.interface.events import (
    InvalidateEnded,
    InvalidateStarted,
    MirrorAccessed,
    MirrorRevoked,
    MirrorSet,
    PteChanged,
)
from reference_impl.notifier import Interval, Notifiers
from reference_impl.pagetable import Process
from reference_impl.stepping import Stepped
from tests.reference_impl.mirroring import attached, entry, in_flight
from tests.reference_impl.stepper import Call, Driver

# --- the protocol ------------------------------------------------------------------


def test_an_entry_that_changed_meanwhile_is_looked_up_again() -> None:
    """The page is cleaned between look-up and take-over: a second page_mkwrite."""
    driver = attached()
    write = driver.begin("mirror_write", value=1)
    driver.run_to(write, "notifier.pte_found")
    cleaning = driver.begin("writeback")
    driver.run(cleaning)
    assert cleaning.is_done

    driver.settle()

    assert write.is_done
    assert driver.stack.page_mkwrite_count(0) == 2
    assert driver.stack.page_view(0, 0).is_dirty is True


def test_a_change_waits_while_an_entry_is_taken_over() -> None:
    """It finds the entry, and takes the right to write from it."""
    driver = attached()
    write = driver.begin("mirror_write", value=1)
    driver.run_to(write, "notifier.sequence_checked")
    fsync = driver.begin("fsync")
    driver.run(fsync)
    assert fsync.waits is not None
    assert fsync.waits.on == "device lock"

    driver.settle()

    kept = entry(driver)
    assert write.is_done
    assert fsync.is_done
    assert kept is not None
    assert kept.is_writable == bool(driver.stack.page_view(0, 0).is_dirty)


def test_nothing_is_looked_up_while_a_change_is_under_way() -> None:
    """The device has given its entry up, and the page table still has it."""
    driver = attached()
    driver.do("mirror_write", value=1)
    punch = driver.begin("punch_hole")
    driver.run_to(punch, "invalidate.drained")

    read = driver.begin("mirror_read")
    driver.run(read)

    assert read.waits is not None
    assert read.waits.on == "invalidation"
    driver.settle()
    assert read.result == 0


def test_a_device_attached_during_a_change_waits_for_its_end() -> None:
    """It was not told of the beginning."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("attach", device=1)
    driver.do("mirror_read", device=1)
    punch = driver.begin("punch_hole")
    driver.run_to(punch, "invalidate.drained")
    driver.run(driver.begin("attach", device=0))

    read = driver.begin("mirror_read")
    driver.run(read)

    assert read.waits is not None
    assert read.waits.on == "invalidation"


def test_two_accesses_that_fault_at_once_share_an_entry() -> None:
    """A read that comes late takes no right away."""
    driver = attached()
    read = driver.begin("mirror_read", page=1)
    driver.run_to(read, "notifier.sequence_read")
    write = driver.begin("mirror_write", page=1, value=4)
    driver.run_to(write, "mirror.started")
    driver.settle()

    kept = entry(driver, page=1)
    assert kept is not None
    assert kept.is_writable
    assert (kept.readers, kept.writers) == (0, 0)
    assert driver.do("load", page=1) == 4


def test_events_come_in_the_order_of_the_protocol() -> None:
    """Told, given up, changed, ended."""
    seen: list[Event] = []
    driver = attached(Setup(Geometry(), tell=seen.append))
    driver.do("mirror_write", value=1)
    kinds = (MirrorSet, MirrorAccessed)
    assert [type(e) for e in seen if isinstance(e, kinds)] == [
        MirrorSet,
        MirrorAccessed,
    ]
    del seen[:]

    driver.do("fsync")

    kinds_ = (InvalidateStarted, MirrorRevoked, PteChanged, InvalidateEnded)
    assert [type(e) for e in seen if isinstance(e, kinds_)] == list(kinds_)
    assert seen[0] == InvalidateStarted(0, 0, 1, only_protects=True)
    assert seen[1] == MirrorRevoked(0, 0, 0, 0, is_readable=True)


def test_a_stack_without_followers_takes_no_step_more() -> None:
    """Nobody is told, and nobody waits."""
    driver = Driver()
    driver.do("store", value=1)

    fsync = driver.start("fsync")

    assert not [point for point in fsync.points if point.startswith("invalidate")]


def test_fingerprints_tell_states_of_devices_apart() -> None:
    """An entry, a write through it, an access in flight."""
    driver = attached()
    seen = [driver.stack.fingerprint()]
    driver.do("mirror_read")
    seen.append(driver.stack.fingerprint())
    read = in_flight(driver, "mirror_read")
    seen.append(driver.stack.fingerprint())
    driver.run(read)
    assert driver.stack.fingerprint() == seen[1]
    driver.do("detach")
    seen.append(driver.stack.fingerprint())

    assert len(set(seen)) == len(seen)


# --- intervals ---------------------------------------------------------------------


def told(change: object) -> Stepped[None]:
    """Follow, and do nothing."""
    yield from ()


@pytest.mark.parametrize(
    ("addresses", "concerns"),
    [
        (range(1), False),
        (range(4, 5), True),
        (range(6, 9), True),
        (range(7, 9), False),
        (range(9), True),
        (range(5, 5), False),
    ],
)
def test_a_change_concerns_who_follows_one_of_its_addresses(
    addresses: range, concerns: bool
) -> None:
    """The interval is 4, 5, 6; what is empty concerns nobody."""
    notifiers, owner = Notifiers(), Process(0)
    interval = Interval(owner, range(4, 7), told)
    notifiers.follow(interval)
    begin = Call(notifiers.read_begin(interval))
    begin.step()

    start = Call(notifiers.invalidate_start(owner, addresses))
    while not start.is_done:
        start.step()

    assert notifiers.read_retry(interval, begin.result) is concerns
    assert notifiers.is_quiet(interval) is not concerns
    notifiers.invalidate_end(start.result)
    assert notifiers.is_quiet(interval)


def test_a_change_in_another_process_concerns_nobody_here() -> None:
    """The same addresses, another page table."""
    notifiers = Notifiers()
    interval = Interval(Process(0), range(4), told)
    notifiers.follow(interval)

    start = Call(notifiers.invalidate_start(Process(1), range(4)))
    start.step()

    assert start.is_done
    assert notifiers.is_quiet(interval)
