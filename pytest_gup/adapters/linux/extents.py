"""Sparse files in memory: images that cost only what was written to them.

Interface:
  * `make` makes a memory file of a size, all holes.
  * `copy` copies one, data only.
  * `punch` makes a range a hole again.
"""

import errno
import os

import attrs

from pytest_gup.adapters.linux import kernel

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 1 << 16
_ZEROES = bytes(BLOCK_BYTES)


@attrs.frozen
class Pristine:
    """An image as it is to be found at every boot: only what is not zero."""

    size_bytes: int
    blocks: tuple[tuple[int, bytes], ...]
    """Offset and content, in order."""

    def fresh(self) -> int:
        """Make a memory file with this content."""
        descriptor = make(self.size_bytes)
        for offset, content in self.blocks:
            os.pwrite(descriptor, content, offset)
        return descriptor


def make(size_bytes: int) -> int:
    """Make a memory file, all holes."""
    descriptor = os.memfd_create("pytest-gup", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, size_bytes)
    return descriptor


def copy(source: int, size_bytes: int) -> int:
    """Copy a memory file; holes stay holes."""
    target = make(size_bytes)
    for start, end in _data(source):
        for offset in range(start, end, CHUNK_BYTES):
            chunk = os.pread(source, min(CHUNK_BYTES, end - offset), offset)
            os.pwrite(target, chunk, offset)
    return target


def pristine(source: int, size_bytes: int) -> Pristine:
    """Remember a memory file by what is not zero in it."""
    blocks = []
    for start, end in _data(source):
        for offset in range(start - start % BLOCK_BYTES, end, BLOCK_BYTES):
            block = os.pread(source, BLOCK_BYTES, offset)
            if block != _ZEROES[: len(block)]:
                blocks.append((offset, block))
    return Pristine(size_bytes, tuple(blocks))


def punch(target: int, offset: int, length: int) -> None:
    """Make a range a hole."""
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    kernel.call("fallocate", target, mode, offset, length)


def _data(source: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    position = 0
    while True:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return found
            raise
        position = os.lseek(source, start, os.SEEK_HOLE)
        found.append((start, position))
