"""What a word of a file may hold, without devices."""

from conformance.interface import (
    Create,
    Errno,
    Evict,
    Exit,
    Fork,
    Fsync,
    KernelError,
    Load,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    PunchHole,
    Reclaim,
    Store,
    Truncate,
    Write,
)
from tests.conformance.oracle.happenings import Happenings, one_of

HOLE = one_of(0)
REFUSED = KernelError(Errno.ENOSPC)


def test_nobody_wrote() -> None:
    """A word that nobody wrote is a hole."""
    assert Happenings().load() == HOLE


def test_a_store_overwrites() -> None:
    """A store that has ended before a load began is what the load answers."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Store(value=2))

    # HOLE had ended before 1 began, 1 before 2 began, 2 before the load began.
    assert now.load() == one_of(2)


def test_another_word_stays() -> None:
    """A store changes one word of one page."""
    now = Happenings()
    now.do(Store(page=0, word=1, value=1))

    assert now.load(0, 0) == HOLE
    assert now.load(0, 1) == one_of(1)
    assert now.load(1, 1) == HOLE


def test_overlapping_stores_have_no_order() -> None:
    """Of two stores that overlap, either may be seen, whichever answered first."""
    now = Happenings()
    one = now.ask(Store(value=1))
    two = now.ask(Store(value=2))
    now.answer(one)
    now.answer(two)

    # 2 began before 1 had ended: neither overwrites the other. Both overwrite HOLE.
    assert now.load() == one_of(1, 2)


def test_a_pending_store_may_have_happened() -> None:
    """While a store is pending both the old value and the new one may be seen."""
    now = Happenings()
    now.do(Store(value=1))
    now.ask(Store(value=2))

    assert now.load() == one_of(1, 2)


def test_a_load_that_overlaps_a_store() -> None:
    """A load that began before a store had ended may answer either value."""
    now = Happenings()
    load = now.ask(Load())
    now.do(Store(value=1))
    now.answer(load)

    assert now.oracle.load_values(load) == one_of(0, 1)


def test_a_later_store_is_not_seen() -> None:
    """A load never answers what was stored after it had answered."""
    now = Happenings()
    load = now.do(Load())
    now.do(Store(value=1))

    assert now.oracle.load_values(load) == HOLE


def test_a_refused_write_changes_nothing() -> None:
    """What was refused was not written."""
    now = Happenings()
    now.do(Write(value=1))
    now.do(Write(value=2), error=REFUSED)

    assert now.load() == one_of(1)


def test_memory_pressure_changes_nothing() -> None:
    """Evict, reclaim, mremap, mprotect and fsync do not change values."""
    now = Happenings()
    now.do(Store(value=1))
    for operation in (Evict(), Reclaim(), Mremap(), Mprotect(), Fsync()):
        now.do(operation)

    assert now.load() == one_of(1)


def test_mappings_show_the_same_file() -> None:
    """A store is seen through every shared mapping, and by read."""
    now = Happenings()
    now.do(Mmap(process=1, mapping=5, page=1, pages=1))
    now.do(Store(process=1, mapping=5, page=0, word=1, value=3))

    # Page 0 of the mapping is page 1 of the file, and so page 1 of mapping 0.
    assert now.load(1, 1) == one_of(3)
    assert now.read(1).words == (one_of(0), one_of(3))


def test_nothing_is_said_of_a_mapping_that_goes() -> None:
    """Nothing is said of a load that overlaps the munmap of its mapping."""
    now = Happenings()
    load = now.ask(Load())
    now.do(Munmap())
    now.answer(load)

    assert now.oracle.load_values(load) is None
    assert now.oracle.may_signal(load)


def test_truncate_zeroes() -> None:
    """What was cut off is a hole when the file is extended again."""
    now = Happenings()
    now.do(Store(page=1, value=1))
    now.do(Truncate(words=2))
    now.do(Truncate(words=4))

    assert now.load(1, 0) == HOLE


def test_truncate_keeps_the_rest_of_a_page() -> None:
    """A truncate in the middle of a page cuts its later words only."""
    now = Happenings()
    now.do(Store(word=0, value=1))
    now.do(Store(word=1, value=2))
    now.do(Truncate(words=1))
    now.do(Truncate(words=4))

    assert now.read(0).words == (one_of(1), one_of(0))


def test_a_store_beside_a_truncate() -> None:
    """A store that overlaps a truncate does not survive the next extension."""
    now = Happenings()
    now.do(Store(page=1, value=1))
    cut = now.ask(Truncate(words=2))
    now.do(Store(page=1, value=2))
    now.answer(cut)
    now.do(Truncate(words=4))

    # Either it was made before the cut, and is cut, or it found the page beyond the
    # end.
    # While that is so nobody sees it; the extension zeroes what it makes visible.
    assert now.load(1, 0) == HOLE


def test_punch_hole_zeroes_its_pages() -> None:
    """A hole is punched in whole pages, and only there."""
    now = Happenings()
    now.do(Store(page=0, value=1))
    now.do(Store(page=1, value=2))
    now.do(PunchHole(page=1))

    assert now.load(0, 0) == one_of(1)
    assert now.load(1, 0) == HOLE


def test_a_store_beyond_the_end_is_no_write_of_the_file() -> None:
    """Beyond the end memory may show a store; the file never does."""
    now = Happenings()
    now.do(Truncate(words=1))
    now.do(Store(word=1, value=9))

    # In memory: the store, or zero if something zeroed the rest of the page.
    assert now.load(0, 1) == one_of(0, 9)
    assert now.read(0).lengths == one_of(1)

    now.do(Truncate(words=2))
    assert now.load(0, 1) == HOLE
    assert now.read(0).words == (one_of(0), one_of(0))


def test_a_write_beyond_the_end_extends() -> None:
    """A write past the end extends the file, with zeroes in between."""
    now = Happenings()
    now.do(Truncate(words=1))
    now.do(Store(word=1, value=9))
    now.do(Write(page=1, word=0, value=4))

    moment = now.history.tick()
    assert now.oracle.sizes(0, moment, moment) == one_of(3)
    assert now.read(0).words == (one_of(0), one_of(0))
    assert now.read(1).words == (one_of(4),)
    assert now.read(1).lengths == one_of(1)


def test_a_store_while_the_size_is_in_doubt() -> None:
    """A store that may lie beyond the end may be lost, and may be kept."""
    now = Happenings()
    now.do(Truncate(words=1))
    grow = now.ask(Truncate(words=2))
    now.do(Store(word=1, value=9))
    now.answer(grow)

    # The store ended before grow did, and began after it was asked: no order.
    assert now.load(0, 1) == one_of(0, 9)


def test_read_answers_what_lies_before_the_end() -> None:
    """A read is as long as a size that the file had while it ran."""
    now = Happenings()
    now.do(Write(word=0, value=1))
    cut = now.ask(Truncate(words=1))
    values = now.read(0)
    now.answer(cut)

    assert values.lengths == one_of(1, 2)
    assert values.admits((1, 0))
    assert values.admits((1,))
    assert not values.admits((2,))
    assert not values.admits(())


def test_an_empty_file() -> None:
    """A file that was created is empty."""
    now = Happenings()
    now.do(Create(file=1))

    assert now.read(0, file=1).lengths == one_of(0)
    assert now.read(0, file=1).words == ()


def test_anonymous_memory_is_nobodys_file() -> None:
    """A store to anonymous memory changes no file, and is loaded again."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None, pages=1))
    now.do(Store(mapping=1, value=7))

    assert now.load(mapping=1) == one_of(7)
    assert now.load() == HOLE


def test_a_private_mapping_shows_the_file_until_it_is_written() -> None:
    """A private page is the file's until it is stored to; the file never sees it."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Mmap(mapping=1, pages=1, shared=False))
    assert now.load(mapping=1) == one_of(1)

    now.do(Store(mapping=1, value=2))
    now.do(Store(value=3))

    assert now.load(mapping=1) == one_of(2)
    assert now.load() == one_of(3)


def test_a_child_has_copies_of_anonymous_memory() -> None:
    """After fork neither process sees what the other stores to anonymous memory."""
    now = Happenings()
    now.do(Mmap(mapping=1, file=None, pages=1, shared=False))
    now.do(Store(mapping=1, value=1))
    now.do(Fork(child=1))
    now.do(Store(mapping=1, value=2))

    assert now.load(process=1, mapping=1) == one_of(1)
    assert now.load(mapping=1) == one_of(2)


def test_a_child_shares_the_file() -> None:
    """After fork a shared mapping of a file is shared, also when the parent exits."""
    now = Happenings()
    now.do(Fork(child=1))
    now.do(Store(value=1))
    now.do(Exit())

    assert now.load(process=1) == one_of(1)


def test_the_second_use_of_a_name() -> None:
    """A mapping number that is used again means the later mapping."""
    now = Happenings()
    now.do(Munmap())
    now.do(Mmap(mapping=0, page=1, pages=1))
    now.do(Store(page=0, value=5))

    assert now.read(1).words[0] == one_of(5)
    assert now.oracle.target(0, 0, 0, 0) == (0, 0)
    assert now.oracle.target(0, 0, 0, now.history.now) == (0, 1)
