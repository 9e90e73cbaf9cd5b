"""What a fork does to private memory."""

import pytest

from conformance.interface import KernelError
from tests.reference_impl.stepper import Call, Driver


def anonymous() -> Driver:
    """Return a stack with two anonymous pages in mapping 1, holding 1 and 2."""
    driver = Driver()
    driver.do("mmap", mapping=1, file=None, shared=False, pages=2)
    driver.do("store", mapping=1, page=0, value=1)
    driver.do("store", mapping=1, page=1, value=2)
    return driver


def at(driver: Driver, point: str, name: str, **fields: object) -> Call:
    """Begin a call and leave it at a point."""
    call = driver.begin(name, **fields)
    driver.run_to(call, point)
    return call


@pytest.mark.parametrize("get", ["get_user_pages", "get_user_pages_fast"])
@pytest.mark.parametrize("write", [False, True])
def test_the_parent_keeps_what_is_pinned(get: str, *, write: bool) -> None:
    """The child has what was there at the fork; device and parent go on together."""
    driver = anonymous()
    driver.do(get, mapping=1, pages=2, write=write)
    driver.do("fork")

    for page in range(2):
        driver.do("store", mapping=1, page=page, value=8)
        driver.do("device_write", page=page, word=1, value=9)

    for page in range(2):
        assert driver.do("device_read", page=page) == 8
        assert driver.do("load", mapping=1, page=page, word=1) == 9
        assert driver.do("load", process=1, mapping=1, page=page) == page + 1
        assert driver.do("load", process=1, mapping=1, page=page, word=1) == 0


def test_a_pinned_page_of_a_file_is_not_copied() -> None:
    """The child shows the file, as the parent does."""
    driver = Driver()
    driver.do("mmap", mapping=1, shared=False)
    driver.do("get_user_pages", mapping=1, write=False)
    driver.do("fork")

    driver.do("write", value=5)

    assert driver.do("load", process=1, mapping=1) == 5
    frames = {driver.stack.mapped_page_view(p, 1, 0).frame for p in (0, 1)}
    assert frames == {driver.stack.page_view(0, 0).frame}


@pytest.mark.parametrize("point", ["fork.page_copied", "fork.pte_copied"])
def test_a_child_gets_what_its_parent_had_at_one_moment(point: str) -> None:
    """Stores to pages that the fork has seen wait for its end."""
    driver = anonymous()
    driver.do("get_user_pages", mapping=1)
    fork = at(driver, point, "fork")
    first = driver.begin("store", mapping=1, page=0, value=8)
    driver.run(first)
    assert first.waits is not None
    assert first.waits.on == "mmap_lock"

    driver.run(fork)
    driver.settle()

    assert driver.do("load", process=1, mapping=1) == 1
    assert driver.do("load", mapping=1) == 8


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("point", ["gup_fast.pte_read", "gup_fast.reference_taken"])
def test_gup_fast_backs_off_from_a_fork(point: str, *, write: bool) -> None:
    """Or the fork has seen its pin: in any case the page stays the parent's."""
    for turns in range(12):
        driver = anonymous()
        fork = driver.begin("fork")
        get = at(driver, point, "get_user_pages_fast", mapping=1, write=write)
        for _ in range(turns):
            driver.step_once(fork)
        driver.run(get)
        driver.settle()

        driver.do("store", mapping=1, value=8)

        assert driver.do("device_read") == 8
        assert driver.do("load", process=1, mapping=1) == 1


def test_gup_fast_keeps_off_while_a_fork_is_under_way() -> None:
    """Plain references are taken; a pin waits for the slow way."""
    driver = anonymous()
    fork = at(driver, "fork.pte_copied", "fork")
    while len([p for p in fork.points if p == "fork.pte_copied"]) < 1:
        fork.step()
    get = driver.begin("get_user_pages_fast", mapping=1, page=1)
    driver.run(get)
    assert get.waits is not None

    driver.settle()

    driver.do("store", mapping=1, page=1, value=8)
    assert driver.do("device_read") == 8


def test_a_fork_without_memory_leaves_no_child() -> None:
    """And no reference."""
    driver = anonymous()
    driver.do("get_user_pages", mapping=1, pages=2)
    taken = []
    while driver.stack.memory.free_count > 1:
        taken.append(driver.stack.memory.allocate())
    with pytest.raises(KernelError, match=r"^ENOMEM"):
        driver.do("fork")

    assert 1 not in driver.stack.mm.processes
    assert driver.stack.memory.free_count == 1
    driver.stack.memory.put(taken.pop())
    driver.do("fork")
    assert driver.do("load", process=1, mapping=1, page=1) == 2


def test_a_child_has_pages_that_are_in_swap() -> None:
    """Each gets a frame of its own when it is brought back."""
    driver = anonymous()
    driver.do("pageout", mapping=1)
    driver.do("fork")
    driver.do("store", mapping=1, value=8)

    assert driver.do("load", process=1, mapping=1) == 1
    assert driver.do("load", mapping=1) == 8
