"""Wrong words: none is overlooked, and each has a rule that reports it."""

from collections.abc import Callable

import pytest

from conformance.interface import (
    UNREADABLE,
    Create,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    Errno,
    Evict,
    Feature,
    FileImage,
    FillDisk,
    Fsync,
    GetUserPages,
    KernelError,
    Load,
    Mmap,
    PowerCut,
    PowerCutImage,
    PunchHole,
    Read,
    Signal,
    SignalName,
    Store,
    Sync,
    Truncate,
    Write,
    Writeback,
)
from conformance.rules.blame import OWNERS
from conformance.rules.catalogue import BY_ID, RULES
from conformance.rules.evidence import lost_in_memory, lost_on_disk
from tests.conformance.rules.story import Story

EMPTY = (0,) * 8


def cut(story: Story, *words: int, file: int = 0) -> None:
    """Have a power cut show a file that begins with these words, the rest holes."""
    image = FileImage((*words, *EMPTY[len(words) :]))
    images = {0: FileImage(EMPTY), file: image}
    story.do(PowerCut(), PowerCutImage(images))


def stored() -> Story:
    """Return a story in which a word was stored, made durable, and dropped."""
    story = Story()
    story.do(Store(value=7))
    story.do(Fsync())
    story.do(Evict())
    return story


def load_of_a_lost_store() -> Story:
    """A store was forgotten when its page was dropped."""
    story = stored()
    story.do(Load(), 0)
    return story


def load_of_a_lost_store_that_mkwrite_would_tell() -> Story:
    """The same, where page_mkwrite is counted."""
    story = Story(mkwrites={0: 0})
    story.do(Store(value=7))
    story.do(Evict())
    story.do(Load(), 0)
    return story


def load_of_a_lost_store_without_writeback() -> Story:
    """The same, where memory is all there is."""
    story = Story(Feature.NO_DIRTY_TRACKING)
    story.do(Store(value=7))
    story.do(Load(), 0)
    return story


def load_of_another_files_word() -> Story:
    """A hole shows what was never written to the file."""
    story = stored()
    story.do(Load(page=3), 9)
    return story


def load_of_a_punched_word() -> Story:
    """What was cut out is there again."""
    story = stored()
    story.do(PunchHole())
    story.do(Load(), 7)
    return story


def load_that_ends_in_a_signal() -> Story:
    """A page of the file cannot be read, for no reason."""
    story = stored()
    story.do(Load(), None, Signal(SignalName.SIGBUS))
    return story


def load_of_private_memory() -> Story:
    """A store to anonymous memory was forgotten."""
    story = Story()
    story.do(Mmap(file=None))
    story.do(Store(mapping=1, value=7))
    story.do(Load(mapping=1), 0)
    return story


def read_of_a_lost_write() -> Story:
    """A write was forgotten."""
    story = Story()
    story.do(Write(value=7))
    story.do(Read(), (0, 0))
    return story


def read_of_too_few_words() -> Story:
    """The file is longer."""
    story = Story()
    story.do(Read(), (0,))
    return story


def read_of_a_lost_device_write() -> Story:
    """A device's data was forgotten after it was marked dirty and put."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(DeviceComplete(value=7))
    story.do(Read(), (0, 0))
    return story


def read_of_a_lost_transfer() -> Story:
    """A driver's data was forgotten."""
    story = Story()
    story.do(DeviceTransfer(value=7), 1)
    story.do(Read(), (0, 0))
    return story


def read_of_a_torn_block() -> Story:
    """The checksum does not match, and no device was near."""
    story = Story(Feature.CHECKSUMS)
    story.do(Store(value=7))
    story.do(Fsync())
    story.do(Read(), None, KernelError(Errno.EIO))
    return story


def stale_device_read() -> Story:
    """The page was taken from its pin."""
    story = Story()
    story.do(GetUserPages(write=False), 1)
    story.do(Store(value=7))
    story.do(DeviceRead(), 0)
    return story


def cut_of_a_lost_store() -> Story:
    """A store was not durable after fsync."""
    story = stored()
    cut(story)
    return story


def cut_of_a_lost_write() -> Story:
    """A write was not durable after sync."""
    story = Story()
    story.do(Write(value=7))
    story.do(Sync())
    cut(story)
    return story


def cut_of_a_lost_device_write() -> Story:
    """A device's data was not durable after fsync."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(DeviceComplete(value=7))
    story.do(Fsync())
    cut(story)
    return story


def cut_of_a_lost_device_write_beside_a_pin() -> Story:
    """The same, while another device has the page."""
    story = Story()
    story.do(GetUserPages(), 1)
    story.do(GetUserPages(pin=1), 1)
    story.do(DeviceComplete(value=7))
    story.do(Fsync())
    cut(story)
    return story


def cut_of_a_lost_transfer() -> Story:
    """A driver's data was not durable after fsync."""
    story = Story()
    story.do(DeviceTransfer(value=7), 1)
    story.do(Fsync())
    cut(story)
    return story


def cut_before_the_flush() -> Story:
    """The data was in the disk's cache."""
    story = Story(Feature.VOLATILE_CACHE)
    story.do(Store(value=7))
    story.do(Fsync())
    cut(story)
    return story


def cut_of_a_protected_block_before_the_flush() -> Story:
    """Its checksum was on the disk already; no CPU wrote while it was on its way."""
    story = Story(Feature.VOLATILE_CACHE, Feature.CHECKSUMS)
    story.do(Store(value=7))
    story.do(Writeback())
    story.do(Fsync())
    story.do(Store(value=8))
    cut(story, UNREADABLE)
    return story


def cut_of_a_torn_block_behind_a_cache() -> Story:
    """A CPU wrote to the page after its writeback had begun."""
    story = Story(Feature.VOLATILE_CACHE, Feature.CHECKSUMS)
    story.do(Store(value=7))
    story.do(Writeback())
    story.do(Store(value=8))
    story.do(Fsync())
    cut(story, UNREADABLE)
    return story


def cut_of_a_torn_block() -> Story:
    """A block cannot be read, and no device was near."""
    story = Story(Feature.CHECKSUMS)
    story.do(Store(value=7))
    story.do(Fsync())
    cut(story, UNREADABLE)
    return story


def cut_of_a_block_torn_by_a_device() -> Story:
    """A block cannot be read, and a device wrote to its page meanwhile."""
    story = Story(Feature.CHECKSUMS)
    story.do(GetUserPages(), 1)
    story.do(DeviceWrite(value=5))
    story.do(Fsync())
    story.do(DeviceComplete(value=7))
    cut(story, UNREADABLE)
    return story


def cut_of_an_unreadable_block() -> Story:
    """Nothing is protected, and still a block cannot be read."""
    story = stored()
    cut(story, UNREADABLE)
    return story


def cut_of_a_file_of_the_wrong_size() -> Story:
    """It was made durable with eight words."""
    story = stored()
    story.do(PowerCut(), PowerCutImage({0: FileImage((7,))}))
    return story


def cut_of_a_file_that_was_cut_short() -> Story:
    """It was truncated, and that was made durable."""
    story = stored()
    story.do(Truncate(words=2))
    story.do(Fsync())
    cut(story, 7)
    return story


def cut_without_a_file() -> Story:
    """A file that was made durable is not there."""
    story = Story()
    story.do(Create(file=1))
    story.do(Fsync(file=1))
    story.do(PowerCut(), PowerCutImage({0: FileImage(EMPTY)}))
    return story


LOSSES = (
    load_of_a_lost_store,
    load_of_a_lost_store_that_mkwrite_would_tell,
    load_of_a_lost_store_without_writeback,
    load_of_another_files_word,
    load_of_a_punched_word,
    load_that_ends_in_a_signal,
    load_of_private_memory,
    read_of_a_lost_write,
    read_of_too_few_words,
    read_of_a_lost_device_write,
    read_of_a_lost_transfer,
    read_of_a_torn_block,
    stale_device_read,
    cut_of_a_lost_store,
    cut_of_a_lost_write,
    cut_of_a_lost_device_write,
    cut_of_a_lost_device_write_beside_a_pin,
    cut_of_a_lost_transfer,
    cut_before_the_flush,
    cut_of_a_protected_block_before_the_flush,
    cut_of_a_torn_block_behind_a_cache,
    cut_of_a_torn_block,
    cut_of_a_block_torn_by_a_device,
    cut_of_an_unreadable_block,
    cut_of_a_file_of_the_wrong_size,
    cut_of_a_file_that_was_cut_short,
    cut_without_a_file,
)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_loss_is_reported_by_some_rule(lose: Callable[[], Story]) -> None:
    """The catalogue has no hole that data could fall through."""
    judgement = lose().judged(RULES)

    assert not [
        outcome.error for outcome in judgement.outcomes.values() if outcome.error
    ]
    assert judgement.violated


@pytest.mark.parametrize("lose", LOSSES)
def test_a_loss_is_reported_by_its_owner(lose: Callable[[], Story]) -> None:
    """Other rules may report it, too; the owner has to."""
    story = lose()
    case = story.case()
    owners = {loss.owner for loss in (*lost_in_memory(case), *lost_on_disk(case))}

    assert owners <= story.judged(RULES).violated


@pytest.mark.parametrize(
    ("lose", "owner"),
    [
        (cut_of_a_protected_block_before_the_flush, "DRT-FLUSH"),
        (cut_of_a_torn_block_behind_a_cache, "STB-CPU"),
        (cut_of_a_torn_block, "STB-CPU"),
        (cut_of_a_block_torn_by_a_device, "STB-PINNED"),
    ],
)
def test_a_cpu_is_blamed_only_if_it_wrote_meanwhile(
    lose: Callable[[], Story], owner: str
) -> None:
    """What was not flushed cannot be read either, where there is a checksum."""
    judged = lose().judged(RULES).violated

    assert judged & {"STB-CPU", "STB-PINNED", "DRT-FLUSH"} == {owner}


def test_a_wrong_size_is_not_what_a_refused_access_left() -> None:
    """get_user_pages has no value that could be seen afterwards."""
    story = Story()
    story.do(FillDisk())
    story.look()
    story.do(GetUserPages(), None, KernelError(Errno.EFAULT))
    story.look()
    story.do(Read(), (0,))

    assert "MKW-FAIL" not in story.judged(RULES).violated


def test_owners_are_rules() -> None:
    """Each of them is in the catalogue."""
    assert set(BY_ID) >= OWNERS


def test_misuse_may_lose_anything() -> None:
    """What a caller breaks is nobody's fault."""
    story = Story(misuse=True)
    story.do(Store(value=7))
    story.do(Load(), 0)

    assert list(lost_in_memory(story.case())) == []
