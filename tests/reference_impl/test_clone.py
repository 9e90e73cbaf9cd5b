"""Clones and dedupe in the reference."""

import pytest

from conformance.interface import Feature, Geometry, HoldPoint, KernelError, Setup
from tests.reference_impl.stepper import Driver, words

ALL = (
    Feature.CHECKSUMS,
    Feature.ENCRYPTION,
    Feature.PARITY,
    Feature.VOLATILE_CACHE,
    Feature.COPY_ON_WRITE,
)


def driver(*features: Feature, blocks: int = 48) -> Driver:
    """Boot a stack with a disk of some size."""
    return Driver(Setup(Geometry(disk_blocks=blocks), frozenset(features)))


@pytest.mark.parametrize("features", [(), *((f,) for f in ALL), ALL])
def test_a_clone_shares_blocks_until_one_is_written(
    features: tuple[Feature, ...],
) -> None:
    """Both files read through the same block, under whatever key and checksum."""
    stack = driver(*features)
    stack.do("store", value=1)
    stack.do("clone")
    blocks = stack.stack.statfs().blocks_free
    assert stack.do("read", file=1) == (1, 0)
    assert blocks == 47
    stack.do("fsync", file=1)

    stack.do("write", value=2)
    stack.do("fsync")

    assert stack.stack.statfs().blocks_free == 46
    assert words(stack)[0] == 2
    assert words(stack, 1)[0] == 1
    assert stack.stack.space.users == {}


def test_an_extent_is_written_in_place_again_when_one_user_is_left() -> None:
    """A block that was shared is nobody else's when the clone has gone."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("clone")
    block = stack.stack.files.names[0].extents[0].block
    stack.do("unlink", file=1)

    stack.do("store", value=2)
    stack.do("fsync")

    assert stack.stack.files.names[0].extents[0].block == block
    assert stack.stack.statfs().blocks_free == 47
    assert stack.stack.statfs().blocks_reserved == 0


def test_a_block_is_not_written_while_a_durable_record_shows_it_elsewhere() -> None:
    """Records are committed when the last but one user leaves."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("clone")
    stack.do("sync")
    assert words(stack, 1)[0] == 1

    stack.do("unlink", file=1)

    assert 1 not in stack.do("power_cut").files


def test_a_pinned_page_is_copied_and_stays_dirty() -> None:
    """The clone has blocks of its own for it, and the file keeps what it has."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("get_user_pages")
    clone = stack.start("clone")
    assert "clone.page_captured" in clone.points
    assert stack.stack.page_view(0, 0).is_dirty
    assert stack.stack.page_view(1, 0).is_dirty
    assert stack.stack.space.users == {}

    stack.do("device_write", value=2)
    stack.do("sync")

    assert words(stack)[0] == 2
    assert words(stack, 1)[0] == 1


def test_a_clone_is_one_moment_of_all_pages() -> None:
    """What a device writes while other pages are written is in it, or all is not."""
    stack = driver()
    for page in (0, 1):
        stack.do("store", page=page, value=1)
    stack.do("get_user_pages", pages=2)
    stack.do("hold", at=HoldPoint.BEFORE_CAPTURE)
    clone = stack.start("clone")
    assert clone.waits
    stack.do("device_write", page=0, value=2)
    stack.do("device_write", page=1, value=2)

    stack.do("release")
    stack.settle()

    assert clone.is_done
    assert stack.do("read", file=1, page=0) == (2, 0)
    assert stack.do("read", file=1, page=1) == (2, 0)


@pytest.mark.parametrize("clone", [1, 2])
def test_without_space_for_copies_nothing_is_made(clone: int) -> None:
    """The first copy finds blocks, the second does not, and all is as before."""
    stack = driver(blocks=7)
    stack.do("store", value=1)
    stack.do("store", page=1, value=1)
    stack.do("get_user_pages", pages=2)
    before = stack.stack.statfs(), stack.stack.vmstat().nr_free_pages
    assert before[0].blocks_free == 3

    with pytest.raises(KernelError, match=r"^ENOSPC"):
        stack.do("clone", clone=clone)

    free = stack.stack.statfs().blocks_free
    assert (free, stack.stack.vmstat().nr_free_pages) == (3, before[1])
    with pytest.raises(KernelError, match=r"is not there$"):
        stack.do("read", file=clone)
    assert len(stack.stack.filesystem.inodes) == 1


def test_a_clone_waits_for_a_thaw_and_a_freeze_for_a_clone() -> None:
    """It writes, so it enters the gate like any writer."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("freeze")
    clone = stack.start("clone")
    assert clone.waits
    stack.do("thaw")
    assert clone.is_done

    stack.do("store", value=2)
    stack.do("hold")
    second = stack.start("clone", clone=2)
    freeze = stack.start("freeze")
    assert freeze.waits
    stack.do("release")
    stack.settle()

    assert second.is_done
    assert freeze.is_done


def test_a_store_waits_while_blocks_are_being_shared() -> None:
    """page_mkwrite comes after, and finds that the block is shared."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("fsync")
    clone = stack.begin("clone")
    stack.run_to(clone, "clone.written")
    store = stack.begin("store", value=2)
    stack.run(store)
    assert store.waits

    stack.settle()

    assert store.is_done
    assert stack.stack.statfs().blocks_reserved == 2
    assert stack.do("read", file=1) == (1, 0)


def test_a_failed_write_refuses_the_clone_and_is_told_to_fsync_as_well() -> None:
    """The page stays dirty, so that the next one finds it."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("fail_next")

    with pytest.raises(KernelError, match=r"^EIO: file 0 was not written$"):
        stack.do("clone")
    with pytest.raises(KernelError, match=r"^EIO: file 0 was not written$"):
        stack.do("fsync")
    stack.do("clone")

    assert stack.do("read", file=1) == (1, 0)


def test_a_clone_that_was_never_synced_may_be_missing() -> None:
    """The journal learns of it by its fsync, size and all."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("clone")
    stack.do("fsync")
    assert set(stack.do("power_cut").files) == {0}

    stack.do("fsync", file=1)

    assert words(stack, 1) == (1, 0, 0, 0, 0, 0, 0, 0)


def test_a_name_that_is_taken_is_refused_and_so_is_memory() -> None:
    """A clone has a name of its own; tmpfs has no blocks to share."""
    stack = driver()
    stack.do("create", file=1)
    with pytest.raises(KernelError, match=r"^EIO: file 1 exists$"):
        stack.do("clone")
    with pytest.raises(KernelError, match=r"^EIO: file 3 is not there$"):
        stack.do("clone", file=3, clone=4)
    untracked = driver(Feature.NO_DIRTY_TRACKING)
    for name in ("clone", "dedupe"):
        with pytest.raises(KernelError, match=r"^EOPNOTSUPP"):
            untracked.do(name)


def test_equal_pages_share_a_block() -> None:
    """A hole is as good as a block of zeros; unequal ranges stay as they are."""
    stack = driver()
    for page in (0, 1):
        stack.do("store", page=page, value=1)
    stack.do("store", page=2, value=0)
    stack.do("fsync")
    assert stack.stack.statfs().blocks_free == 45

    assert stack.do("dedupe", page=0, other=0, other_page=2) == 0
    assert stack.do("dedupe", page=0, other=0, other_page=1) == 1
    assert stack.do("dedupe", page=3, other=0, other_page=2) == 1
    assert stack.do("dedupe", page=0, other=0, other_page=1) == 1

    assert stack.stack.statfs().blocks_free == 47
    stack.do("fsync")
    stack.do("evict")
    assert [stack.do("read", page=page)[0] for page in range(4)] == [1, 1, 0, 0]


@pytest.mark.parametrize("page", [0, 1])
def test_pages_that_may_be_pinned_are_not_deduplicated(page: int) -> None:
    """Neither may be: what its device writes later is not for the other."""
    stack = driver()
    for index in (0, 1, 2):
        stack.do("store", page=index, value=1)
    stack.do("get_user_pages", page=page)

    with pytest.raises(KernelError, match=rf"^EBUSY: page {page} of file 0"):
        stack.do("dedupe", page=0, other=0, other_page=1)
    assert stack.do("dedupe", page=1 - page, other=0, other_page=2) == 1
    stack.do("put_user_page")

    assert stack.do("dedupe", page=0, other=0, other_page=1) == 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"page": 3, "other": 0, "other_page": 0, "pages": 2}, "file 0 ends before"),
        ({"other": 1, "other_page": 0}, "file 1 ends before"),
        ({"other": 0, "other_page": 1, "pages": 2}, "the ranges overlap"),
    ],
)
def test_ranges_are_whole_pages_of_files_and_apart(
    fields: dict[str, int], why: str
) -> None:
    """The last page of file 1 is not whole: beyond its end there may be anything."""
    stack = driver()
    stack.do("create", file=1)
    stack.do("write", file=1, value=0)

    with pytest.raises(KernelError, match=rf"^EINVAL: {why}"):
        stack.do("dedupe", **fields)


def test_a_read_error_refuses_a_dedupe() -> None:
    """What cannot be compared is not shared, and all locks are free again."""
    stack = driver()
    for page in (0, 1):
        stack.do("store", page=page, value=1)
    stack.do("fail_next", write=False)

    with pytest.raises(KernelError, match=r"^EIO"):
        stack.do("dedupe", other=0, other_page=1)
    with pytest.raises(KernelError, match=r"^EIO: file 7 is not there$"):
        stack.do("dedupe", other=7)

    assert stack.do("dedupe", other=0, other_page=1) == 1
    assert stack.stack.files.names[0].users == 1


def test_two_files_are_locked_in_one_order() -> None:
    """Whichever comes first in the call."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("clone")
    first = stack.begin("dedupe", file=0, other=1)
    second = stack.begin("dedupe", file=1, other=0)

    stack.settle()

    assert (first.result, second.result) == (1, 1)


def test_the_copy_of_a_pinned_page_leaves_a_shared_block_alone() -> None:
    """A pin that is made after the clone finds a block promised for the copy."""
    stack = driver()
    stack.do("store", value=1)
    stack.do("clone")
    stack.do("get_user_pages")
    stack.do("device_write", value=2)

    stack.do("sync")

    assert words(stack)[0] == 2
    assert words(stack, 1)[0] == 1
    assert stack.stack.page_view(0, 0).is_dirty


def test_a_range_is_shared_as_a_whole_or_not_at_all() -> None:
    """Its second page differs."""
    stack = driver()
    for page in (0, 2):
        stack.do("store", page=page, value=1)
    stack.do("store", page=3, value=2)

    assert stack.do("dedupe", other=0, other_page=2, pages=2) == 0

    assert stack.stack.space.users == {}


def test_a_page_that_only_looks_pinned_is_copied_like_a_pinned_one() -> None:
    """The clone has what it holds, and does not wait for its references."""
    small = Setup(
        Geometry(pin_bias=4, refcount_max=63), frozenset({Feature.SMALL_LIMITS})
    )
    stack = Driver(small)
    stack.do("store", value=1)
    for pin in range(4):
        stack.do("get_user_pages", pin=pin, write=False, tracked=False)
    assert stack.stack.page_view(0, 0).maybe_pinned

    stack.do("clone")

    assert stack.do("read", file=1) == (1, 0)
    with pytest.raises(KernelError, match=r"^EBUSY"):
        stack.do("dedupe", other=0, other_page=1)
