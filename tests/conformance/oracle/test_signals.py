"""When an access may end in a signal, and when it must."""

from conformance.interface import (
    FillDisk,
    Load,
    Mmap,
    Mprotect,
    Mremap,
    Operation,
    Store,
    Truncate,
)
from tests.conformance.oracle.happenings import Happenings


def signals(now: Happenings, operation: Operation) -> tuple[bool, bool]:
    """Make an access now, and tell whether it may and must end in a signal."""
    call = now.do(operation)
    return now.oracle.may_signal(call), now.oracle.must_signal(call)


def test_an_access_within_the_file() -> None:
    """An access within file and mapping ends in no signal."""
    now = Happenings()

    assert signals(now, Load()) == (False, False)
    assert signals(now, Store(page=1)) == (False, False)


def test_a_page_beyond_the_end() -> None:
    """An access to a page that lies beyond the end ends in a signal."""
    now = Happenings()
    now.do(Truncate(words=1))

    # Page 0 is there in part; page 1 is not.
    assert signals(now, Load(page=0, word=1)) == (False, False)
    assert signals(now, Load(page=1)) == (True, True)


def test_a_page_that_is_being_cut_off() -> None:
    """An access beside the truncate may end in a signal, and need not."""
    now = Happenings()
    now.ask(Truncate(words=1))

    assert signals(now, Load(page=1)) == (True, False)


def test_a_read_only_mapping() -> None:
    """A store to a mapping that is read-only ends in a signal, a load does not."""
    now = Happenings()
    now.do(Mmap(mapping=1, pages=1, writable=False))
    assert signals(now, Store(mapping=1)) == (True, True)
    assert signals(now, Load(mapping=1)) == (False, False)

    now.do(Mprotect(mapping=1, writable=True))
    assert signals(now, Store(mapping=1)) == (False, False)

    now.ask(Mprotect(mapping=1, writable=False))
    assert signals(now, Store(mapping=1)) == (True, False)


def test_a_mapping_that_moves() -> None:
    """An access beside the mremap may miss the mapping."""
    now = Happenings()
    now.ask(Mremap())

    assert signals(now, Load()) == (True, False)


def test_a_full_disk() -> None:
    """A store may find no space on a disk that was filled; a load needs none."""
    now = Happenings()
    now.do(FillDisk())

    assert signals(now, Store()) == (True, False)
    assert signals(now, Load()) == (False, False)
