"""What the disk takes for file data, and how images are kept; no root needed."""

import os

from pytest_gup.adapters.linux import extents
from pytest_gup.adapters.linux.disk import has_stamps

WORD = 2048


def test_a_stamped_block_is_data() -> None:
    """A block of two words, each one byte repeated, is data."""
    assert has_stamps(bytes([7]) * WORD + bytes(WORD), WORD)


def test_a_later_block_is_found() -> None:
    """Data is found behind a block that is none."""
    assert has_stamps(bytes(2 * WORD) + bytes([1]) * 2 * WORD, WORD)


def test_zeroes_are_no_data() -> None:
    """A block of zeroes may be metadata, and is not taken for data."""
    assert not has_stamps(bytes(4 * WORD), WORD)


def test_metadata_is_no_data() -> None:
    """A block that holds different bytes within a word is not data."""
    assert not has_stamps(b"\x01" * WORD + b"\x02" * (WORD - 1) + b"\x03", WORD)


def test_a_copy_has_the_content_and_the_holes() -> None:
    """A copy of a sparse image is equal, and as sparse."""
    source = extents.make(8 << 20)
    os.pwrite(source, b"data", 5 << 20)

    target = extents.copy(source, 8 << 20)

    assert os.pread(target, 8 << 20, 0) == os.pread(source, 8 << 20, 0)
    assert os.fstat(target).st_blocks == os.fstat(source).st_blocks
    os.close(source)
    os.close(target)


def test_a_pristine_image_comes_back() -> None:
    """What was remembered of an image is found in every fresh one."""
    source = extents.make(4 << 20)
    os.pwrite(source, b"first", 0)
    os.pwrite(source, bytes(1 << 20), 1 << 20)
    os.pwrite(source, b"last", (4 << 20) - 4)

    pristine = extents.pristine(source, 4 << 20)
    fresh = pristine.fresh()

    assert len(pristine.blocks) == 2
    assert os.pread(fresh, 4 << 20, 0) == os.pread(source, 4 << 20, 0)
    os.close(source)
    os.close(fresh)


def test_a_punched_range_is_zero() -> None:
    """A range that was punched out reads as zeroes, what is beside it stays."""
    image = extents.make(1 << 20)
    os.pwrite(image, b"x" * 12288, 0)

    extents.punch(image, 4096, 4096)

    assert os.pread(image, 12288, 0) == b"x" * 4096 + bytes(4096) + b"x" * 4096
    os.close(image)
