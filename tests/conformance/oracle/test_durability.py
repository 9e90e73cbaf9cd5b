"""What a power cut may leave."""

from conformance.interface import (
    Create,
    DeviceWrite,
    Errno,
    Evict,
    FailNext,
    Feature,
    Fsync,
    KernelError,
    Mount,
    PowerCut,
    PutUserPagesDirtyLock,
    Store,
    Sync,
    Truncate,
    Umount,
    Unlink,
    Write,
)
from tests.conformance.oracle.happenings import Happenings, one_of

FAILED = KernelError(Errno.EIO)


def test_nothing_was_synced() -> None:
    """Without a sync, all that ever was written may be found, and nothing."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Store(value=2))

    assert now.durable_word() == one_of(0, 1, 2)


def test_fsync_makes_durable() -> None:
    """After a good fsync a power cut shows what was there, or what came later."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Store(value=2))
    now.do(Fsync())
    assert now.durable_word() == one_of(2)

    now.do(Store(value=3))
    assert now.durable_word() == one_of(2, 3)
    # The other word was never written.
    assert now.durable_word(1) == one_of(0)


def test_a_store_beside_the_fsync() -> None:
    """What was stored while fsync ran may be durable, and need not be."""
    now = Happenings()
    now.do(Store(value=1))
    fsync = now.ask(Fsync())
    now.do(Store(value=2))
    now.answer(fsync)

    assert now.durable_word() == one_of(1, 2)


def test_a_pending_fsync_promises_nothing() -> None:
    """An fsync that has not answered makes nothing durable."""
    now = Happenings()
    now.do(Store(value=1))
    now.ask(Fsync())

    assert now.durable_word() == one_of(0, 1)


def test_fsync_of_another_file() -> None:
    """Fsync is for its file, sync for all."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Store(value=1))
    now.do(Fsync(file=1))
    assert now.durable_word() == one_of(0, 1)

    now.do(Sync())
    assert now.durable_word() == one_of(1)


def test_umount_makes_durable() -> None:
    """A good umount writes everything."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Umount())

    assert now.durable_word() == one_of(1)


def test_an_umount_cannot_tell_of_a_failed_write() -> None:
    """What it should have written may be lost, whatever a later sync says of it."""
    now = Happenings()
    now.do(FailNext())
    now.do(Store(word=0, value=1))
    now.do(Store(word=1, value=5))
    now.do(Umount())
    now.do(Mount())
    assert now.read().words[0] == one_of(0, 1)

    now.do(Store(word=1, value=6))
    now.do(Fsync())

    assert now.durable_word(0) == one_of(0, 1)
    assert now.durable_word(1) == one_of(6)


def test_an_umount_after_the_failure_was_reported() -> None:
    """Nothing is left that could fail: it makes durable."""
    now = Happenings()
    now.do(FailNext())
    now.do(Store(value=1))
    now.do(Fsync(), error=FAILED)
    now.do(Store(value=2))
    now.do(Umount())

    assert now.durable_word() == one_of(2)


def test_an_umount_before_the_disk_was_made_to_fail() -> None:
    """It wrote what there was."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Umount())
    now.do(FailNext())

    assert now.durable_word() == one_of(1)


def test_a_device_that_still_may_write() -> None:
    """Fsync of a pinned page may catch what the device wrote, and need not."""
    now = Happenings()
    now.do(Store(value=1))
    now.pin()
    now.do(DeviceWrite(value=2))
    now.do(Fsync())
    assert now.durable_word() == one_of(1, 2)

    now.do(PutUserPagesDirtyLock())
    now.do(Fsync())
    assert now.durable_word() == one_of(2)


def test_a_failed_fsync() -> None:
    """After an error all since the last good fsync may be lost, for good."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Fsync())
    now.do(Store(value=2))
    now.do(FailNext())
    now.do(Fsync(), error=FAILED)
    # The stack may have given up the page and call it clean.
    now.do(Fsync())

    assert now.durable_word() == one_of(1, 2)


def test_written_anew_after_the_error() -> None:
    """A good fsync counts for a word that was written anew after the error."""
    now = Happenings()
    now.do(Store(word=0, value=1))
    now.do(Store(word=1, value=5))
    now.do(FailNext())
    now.do(Fsync(), error=FAILED)
    now.do(Store(word=0, value=2))
    now.do(Fsync())

    assert now.durable_word(0) == one_of(2)
    assert now.durable_word(1) == one_of(0, 5)


def test_an_error_may_undo_a_write_in_memory() -> None:
    """When the disk failed a page may go back to what the disk holds."""
    now = Happenings()
    now.do(Store(value=1))
    now.do(Fsync())
    now.do(Store(value=2))
    now.do(FailNext())
    now.do(Fsync(), error=FAILED)
    now.do(Evict())
    # 2 was written before the failure and is not known to be on the disk; 1 is.
    assert now.load() == one_of(1, 2)

    now.do(Store(value=3))
    assert now.load() == one_of(3)


def test_a_new_file_may_be_missing() -> None:
    """A file that was not synced since it was created may be missing or short."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Write(file=1, word=1, value=1))

    image = now.durable(1)
    assert image.may_be_missing
    assert (image.min_words, image.max_words) == (0, 2)
    assert image.words == (one_of(0), one_of(0, 1))

    now.do(Fsync(file=1))
    image = now.durable(1)
    assert not image.may_be_missing
    assert (image.min_words, image.max_words) == (2, 2)
    assert image.words == (one_of(0), one_of(1))


def test_an_unlinked_file_may_be_missing() -> None:
    """From when its unlink is asked for a file may be missing."""
    now = Happenings()
    now.ask(Unlink())

    assert now.durable(0).may_be_missing


def test_the_size() -> None:
    """A size that was not synced may be found, or one since the last sync."""
    now = Happenings()
    now.do(Truncate(words=2))
    now.do(Fsync())
    now.do(Write(page=1, word=0, value=1))

    image = now.durable()
    assert not image.may_be_missing
    assert (image.min_words, image.max_words) == (2, 3)
    assert image.words == (one_of(0), one_of(0), one_of(0, 1))


def test_memory_only() -> None:
    """Nothing is promised by a filesystem without a disk."""
    now = Happenings(Feature.NO_DIRTY_TRACKING)
    now.do(Store(value=1))
    now.do(Fsync())

    assert now.oracle.durable(0, now.do(PowerCut())) is None
    assert now.load() == one_of(1)


def test_a_truncate_that_failed_half_way() -> None:
    """The size may have changed or not, and so may what was cut off."""
    now = Happenings()
    now.do(Write(page=1, word=0, value=7))
    now.do(FailNext())
    now.do(Truncate(words=2), error=FAILED)

    shown = now.read(page=1)
    assert shown.lengths == one_of(0, 2)
    assert shown.words[0] == one_of(0, 7)


def test_a_truncate_that_was_not_allowed() -> None:
    """It has changed nothing."""
    now = Happenings()
    now.do(Write(page=1, word=0, value=7))
    now.do(Truncate(words=2), error=KernelError(Errno.EBUSY))

    shown = now.read(page=1)
    assert shown.lengths == one_of(2)
    assert shown.words[0] == one_of(7)


def test_an_umount_may_lose_a_size_when_a_write_fails() -> None:
    """What was never written need not be in the file any more."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Write(file=1, word=0, value=7))
    now.do(FailNext())
    now.do(Umount())
    now.do(Mount())
    assert now.read(file=1).lengths == one_of(0, 1)

    now.do(Truncate(file=1, words=2))
    assert now.read(file=1).lengths == one_of(2)


def test_an_umount_keeps_a_size() -> None:
    """If no write can fail."""
    now = Happenings()
    now.do(Create(file=1))
    now.do(Write(file=1, word=0, value=7))
    now.do(Umount())
    now.do(FailNext())
    now.do(Mount())

    assert now.read(file=1).lengths == one_of(1)
