"""What a page of a mapping is."""

from conformance.interface import (
    Errno,
    Exit,
    Fork,
    GetUserPages,
    KernelError,
    Load,
    Mmap,
    Munmap,
    PunchHole,
    Read,
    Store,
    Sync,
    Umount,
)
from tests.conformance.oracle.happenings import Happenings


def test_pages_of_a_shared_mapping() -> None:
    """A page of a shared mapping is a page of its file; there are no others."""
    now = Happenings()
    now.do(Mmap(mapping=1, page=1, pages=2))
    moment = now.history.tick()

    assert now.oracle.target(0, 1, 0, moment) == (0, 1)
    assert now.oracle.target(0, 1, 1, moment) == (0, 2)
    assert now.oracle.target(0, 1, 2, moment) is None
    assert now.oracle.target(0, 2, 0, moment) is None


def test_memory_that_is_no_file() -> None:
    """Anonymous and private memory is no page of a file."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None))
    now.do(Mmap(mapping=2, shared=False))
    moment = now.history.tick()

    assert now.oracle.target(0, 1, 0, moment) is None
    assert now.oracle.target(0, 2, 0, moment) is None


def test_the_page_that_a_call_is_about() -> None:
    """Calls on files and on memory are about a file's page; others are not."""
    now = Happenings()
    oracle = now.oracle
    read, punch = now.do(Read(page=1), (0, 0)), now.do(PunchHole(page=1))
    get, load = now.do(GetUserPages(page=1), 1), now.do(Load(page=1))

    assert {oracle.file_page(call) for call in (read, punch, get, load)} == {(0, 1)}
    assert oracle.file_page(now.do(Sync())) is None


def test_a_refused_umount_takes_no_mapping() -> None:
    """Mappings go by a umount that succeeds, and by exit."""
    now = Happenings()
    now.do(Fork(child=1))
    now.do(Umount(), error=KernelError(Errno.EBUSY))
    assert now.load() == frozenset({0})

    now.do(Exit())
    load = now.ask(Load(process=1))
    umount = now.ask(Umount())
    now.answer(load)
    now.answer(umount)
    assert now.oracle.load_values(load) is None


def test_mapped_beside_a_fork() -> None:
    """What a parent maps while it forks its child may have, too."""
    now = Happenings()
    fork = now.ask(Fork(child=1))
    now.do(Mmap(mapping=1, page=1, pages=1))
    now.answer(fork)
    store = now.do(Store(process=1, mapping=1, value=4))

    assert now.oracle.may_signal(store)
    assert now.load(1, 0) == frozenset({4})


def test_unmapped_beside_a_fork() -> None:
    """What a parent unmaps while it forks its child may lack."""
    now = Happenings()
    munmap = now.ask(Munmap())
    now.do(Fork(child=1))
    now.answer(munmap)
    load = now.do(Load(process=1))

    assert now.oracle.may_signal(load)
    assert not now.oracle.must_signal(load)
