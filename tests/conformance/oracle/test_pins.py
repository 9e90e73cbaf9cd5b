"""Who holds which page, and how many do."""

from conformance.interface import (
    DeviceAbort,
    DeviceWrite,
    DirectRead,
    Errno,
    Fork,
    GetUserPages,
    KernelError,
    Mmap,
    PutUserPage,
    PutUserPages,
    Truncate,
)
from tests.conformance.oracle.happenings import Happenings


def outstanding(now: Happenings, page: int = 0) -> tuple[int, int]:
    """Return the pins of a page of file 0 at this moment."""
    return now.oracle.pins_outstanding(0, page, now.history.tick())


def test_a_pin_counts_until_it_is_put() -> None:
    """A pin counts from the answer of the get until the put is asked for."""
    now = Happenings()
    get = now.ask(GetUserPages())
    assert outstanding(now) == (0, 1)

    now.answer(get, 1)
    assert outstanding(now) == (1, 1)

    put = now.ask(PutUserPage())
    assert outstanding(now) == (0, 1)

    now.answer(put)
    assert outstanding(now) == (0, 0)


def test_a_refused_put_puts_nothing() -> None:
    """A put that was refused leaves the pin."""
    now = Happenings()
    now.pin()
    now.do(PutUserPages(pages=-1), error=KernelError(Errno.EINVAL))

    assert outstanding(now) == (1, 1)


def test_a_refused_get_holds_nothing() -> None:
    """A refused get may hold pages while it runs, and holds none after."""
    now = Happenings()
    get = now.ask(GetUserPages(pages=2))
    during = now.history.tick()
    now.answer(get, error=KernelError(Errno.EFAULT))

    assert now.oracle.pins_outstanding(0, 1, during) == (0, 1)
    assert outstanding(now, 1) == (0, 0)
    assert now.oracle.pins == []


def test_a_handle_that_is_used_again() -> None:
    """A put is of the pin that the handle meant then."""
    now = Happenings()
    first = now.pin(page=0, pin=3)
    put = now.do(PutUserPage(pin=3))
    second = now.pin(page=1, pin=3)
    write = now.do(DeviceWrite(pin=3))

    oracle = now.oracle
    assert oracle.pin_of(put) is oracle.pin_of(first)
    assert oracle.pin_of(write) is oracle.pin_of(second)
    assert oracle.file_page(write) == (0, 1)
    assert outstanding(now, 0) == (0, 0)
    assert outstanding(now, 1) == (1, 1)


def test_pages_are_put_one_by_one() -> None:
    """Each page of a pin has its own put, in any split."""
    now = Happenings()
    get = now.do(GetUserPages(pages=2), 2)
    last = now.do(PutUserPages(first=1, pages=1))
    rest = now.do(PutUserPages())

    record = now.oracle.pin_of(get)
    assert record is not None
    assert [page.puts for page in record.pages] == [[rest], [last]]
    assert record.put_ended == rest.answered


def test_drivers_may_pin() -> None:
    """A driver of the stack may hold the pages of its buffer while it runs."""
    now = Happenings()
    read = now.ask(DirectRead(file=0, file_page=1))
    assert outstanding(now) == (0, 1)

    now.answer(read, 1)
    assert outstanding(now) == (0, 0)


def test_a_page_cut_off_takes_its_pins_along() -> None:
    """A pin of a page that left the file is no pin of the file's."""
    now = Happenings()
    now.pin(page=1)
    cut = now.ask(Truncate(words=2))
    assert outstanding(now, 1) == (0, 1)

    now.answer(cut)
    assert outstanding(now, 1) == (0, 0)


def test_plain_references_do_not_count() -> None:
    """A plain reference is no pin."""
    now = Happenings()
    now.pin(tracked=False)

    assert outstanding(now) == (0, 0)


def test_a_child_has_no_pins() -> None:
    """A fork does not double the pins of its parent."""
    now = Happenings()
    now.pin()
    now.do(Fork(child=1))

    assert outstanding(now) == (1, 1)


def test_a_private_mapping_may_pin_the_files_page() -> None:
    """A pin for reading may be one of the file's page; one for writing never is."""
    now = Happenings()
    now.do(Mmap(mapping=1, shared=False))
    get = now.ask(GetUserPages(mapping=1, write=False))
    assert outstanding(now) == (0, 1)

    now.answer(get, 1)
    assert outstanding(now) == (0, 1)
    assert outstanding(now, 1) == (0, 0)

    now.do(DeviceAbort())
    now.do(GetUserPages(mapping=1), 1)
    assert outstanding(now) == (0, 0)
