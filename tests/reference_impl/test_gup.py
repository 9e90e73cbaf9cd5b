"""get_user_pages, the slow way."""

from typing import Any

import pytest

from conformance.interface import Feature, Geometry, KernelError, Setup
from conformance.interface.events import Event, PinGranted, PinReleased, PinTaken
from tests.reference_impl.stepper import Driver, words

SMALL = Setup(Geometry(pin_bias=8, refcount_max=40), frozenset({Feature.SMALL_LIMITS}))


def test_a_pin_is_worth_its_bias_and_is_told() -> None:
    """Taken, granted, released; the counters follow."""
    told: list[Event] = []
    driver = Driver(Setup(tell=told.append))
    driver.do("get_user_pages")
    assert driver.stack.page_view(0, 0).refcount == 2 + 1024
    driver.do("put_user_page")

    pins = [e for e in told if isinstance(e, PinTaken | PinGranted | PinReleased)]
    assert pins == [
        PinTaken((0, 0), 0, "slow", write=True),
        PinGranted((0, 0), 0, "slow", write=True, is_under_writeback=False),
        PinReleased((0, 0), 0),
    ]


def test_a_page_under_writeback_is_not_handed_out_for_writing() -> None:
    """Not even where its entry is writable again."""
    driver = Driver()
    driver.do("store", value=1)
    driver.do("hold")
    driver.start("fsync")
    driver.do("store", value=2)
    assert driver.stack.page_view(0, 0).writable_ptes == 1

    slow = driver.start("get_user_pages", pin=0)
    fast = driver.start("get_user_pages_fast", pin=1)
    read = driver.start("get_user_pages", pin=2, write=False)

    assert (slow.is_done, fast.is_done, read.is_done) == (False, False, True)
    driver.do("release")
    driver.settle()
    assert (slow.result, fast.result) == (1, 1)


@pytest.mark.parametrize("name", ["get_user_pages", "get_user_pages_fast"])
def test_nowait_grants_fewer_pages_or_refuses(name: str) -> None:
    """It never waits for writeback, for the disk or for a thaw."""
    driver = Driver()
    driver.do("store", page=0)
    driver.do("store", page=1)
    driver.do("hold")
    driver.start("fsync")
    assert driver.do(name, page=2, pages=2, pin=0, nowait=True) == 2
    with pytest.raises(KernelError, match=r"^EAGAIN: would wait for writeback$"):
        driver.do(name, page=1, pages=2, pin=1, nowait=True)
    driver.do("release")
    driver.settle()
    driver.do("freeze")
    with pytest.raises(KernelError, match=r"^EAGAIN: would wait for thaw$"):
        driver.do(name, page=0, pin=1, nowait=True)


@pytest.mark.parametrize("name", ["get_user_pages", "get_user_pages_fast"])
def test_the_pages_before_a_refusal_are_granted(name: str) -> None:
    """A prefix; what was not granted is not held."""
    driver = Driver()
    driver.do("truncate", words=4)
    driver.do("store", page=0)

    assert driver.do(name, pages=4) == 2

    vmstat = driver.stack.vmstat()
    assert vmstat.nr_foll_pin_acquired == 2
    with pytest.raises(KernelError, match=r"^EFAULT"):
        driver.do(name, page=2, pin=1)
    assert driver.do(name, pages=0, pin=1) == 0


@pytest.mark.parametrize("name", ["get_user_pages", "get_user_pages_fast"])
@pytest.mark.parametrize(
    ("fields", "errno"),
    [
        ({"mapping": 7}, "EFAULT"),
        ({"pages": -1}, "EINVAL"),
        ({"longterm": True, "tracked": False}, "EINVAL"),
        ({"longterm": True}, "EFAULT"),
    ],
)
def test_a_refusal_counts_nothing(
    name: str, fields: dict[str, Any], errno: str
) -> None:
    """No counter moves and no pin is made."""
    driver = Driver()
    driver.do("store")

    with pytest.raises(KernelError, match=f"^{errno}"):
        driver.do(name, **fields)

    assert driver.stack.vmstat().nr_foll_pin_acquired == 0
    assert not driver.stack.devices.pins


def test_long_term_pins_are_granted_where_nothing_is_written_back() -> None:
    """And for reading everywhere."""
    driver = Driver()
    assert driver.do("get_user_pages_fast", longterm=True, write=False) == 1
    driver = Driver(Setup(features=frozenset({Feature.NO_DIRTY_TRACKING})))
    driver.do("load")
    assert driver.do("get_user_pages_fast", longterm=True) == 1


@pytest.mark.parametrize("name", ["get_user_pages", "get_user_pages_fast"])
def test_an_overflow_is_refused_and_counted(name: str) -> None:
    """Nothing else changes."""
    driver = Driver(SMALL)
    driver.do("store")
    pins = 3
    for pin in range(pins):
        driver.do(name, pin=pin)
    with pytest.raises(KernelError, match=r"^EOVERFLOW: page 0 has no room$"):
        driver.do(name, pin=pins)

    vmstat = driver.stack.vmstat()
    assert vmstat.nr_gup_page_count_overflows == 1
    assert vmstat.nr_foll_pin_acquired == pins
    assert driver.stack.page_view(0, 0).refcount == 2 + 3 * 8


def test_many_plain_references_look_like_a_pin_and_do_no_harm() -> None:
    """The page is written by fsync all the same, and cleaned when they are put."""
    driver = Driver(SMALL)
    driver.do("store", value=4)
    for pin in range(6):
        driver.do("get_user_pages", pin=pin, tracked=False)
    assert driver.stack.page_view(0, 0).maybe_pinned
    driver.do("fsync")
    assert words(driver)[0] == 4
    for pin in range(6):
        driver.do("put_page", pin=pin)

    driver.do("fsync")

    assert not driver.stack.page_view(0, 0).is_dirty
    assert driver.stack.vmstat().nr_gup_slow_pages_requested == 0


def test_a_page_cleaned_after_the_fault_is_faulted_again() -> None:
    """The page table is read again after each fault."""
    driver = Driver()
    pin = driver.begin("get_user_pages")
    driver.run_to(pin, "gup_slow.faulted")
    driver.run(driver.begin("fsync"))
    assert driver.stack.page_view(0, 0).writable_ptes == 0

    driver.settle()

    assert pin.points.count("gup_slow.faulting") == 2
    assert driver.stack.page_view(0, 0).is_dirty


def test_a_fault_without_memory_is_refused_as_such() -> None:
    """ENOMEM."""
    driver = Driver(Setup(Geometry(memory_pages=0)))

    with pytest.raises(KernelError, match=r"^ENOMEM"):
        driver.do("get_user_pages")
