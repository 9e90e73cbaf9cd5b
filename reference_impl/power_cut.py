"""What a power cut leaves: the disk as it stands, read through the journal.

Interface:
  * `read_image` shows every file that the journal knows, word by word; a word
    whose block contradicts its checksum or its stripe's parity is unreadable.
"""

from conformance.interface import UNREADABLE, FileImage, PowerCutImage
from reference_impl.blockdev import DiskImage, has_parity_mismatch
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Extent
from reference_impl.space import Record


def read_image(filesystem: Filesystem) -> PowerCutImage:
    """Copy the disk and read all files on the copy."""
    image = filesystem.disk.image()
    records = filesystem.journal.records
    return PowerCutImage(
        {file: read_file(filesystem, image, record) for file, record in records.items()}
    )


def read_file(filesystem: Filesystem, image: DiskImage, record: Record) -> FileImage:
    """Read one file on the copy."""
    words_per_page = filesystem.geometry.words_per_page
    words: list[int] = []
    for index in range(-(-record.size_words // words_per_page)):
        extent = record.extents.get(index)
        zeros = filesystem.disk.zeros
        words += zeros if extent is None else read_extent(filesystem, image, extent)
    return FileImage(tuple(words[: record.size_words]))


def read_extent(
    filesystem: Filesystem, image: DiskImage, extent: Extent
) -> tuple[int, ...]:
    """Read one block on the copy."""
    stored = image.blocks.get(extent.block, filesystem.disk.zeros)
    if extent.checksum is not None and stored != extent.checksum:
        return (UNREADABLE,) * len(stored)
    words = filesystem.decrypt(extent.block, stored)
    if not filesystem.disk.has_parity:
        return words
    return tuple(
        UNREADABLE if has_parity_mismatch(image, extent.block, position) else word
        for position, word in enumerate(words)
    )
