"""Operations on files. They name no process, and have one of their own: the shell.

A file stays open there as long as it has a name: closing can start a writeback that
no program asked for.
"""

import os
import time

from pytest_gup.adapters.linux.bench import Answered, Bench, Call, stamps

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
CLOCK_REALTIME_COARSE = 5
TICK_SECONDS = 0.0005


class Files:
    """What every filesystem offers."""

    bench: Bench

    def create(self, file: int) -> Call:
        """Make an empty file by open(2)."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        path = self.bench.file_path(file)

        def keep(descriptor: object) -> None:
            assert isinstance(descriptor, int), f"open answered {descriptor!r}"
            self.bench.files[file] = descriptor

        return self.bench.begin(self.bench.shell, "open", path, flags, 0o600, then=keep)

    def read(self, file: int, page: int) -> Call:
        """Read a page by pread(2)."""
        geometry = self.bench.geometry
        size = geometry.page_size_bytes

        def words(content: object) -> tuple[int, ...]:
            assert isinstance(content, bytes), f"pread answered {content!r}"
            return stamps(content, geometry.word_size_bytes)

        return self._on(file, "pread", size, page * size, then=words)

    def write(self, file: int, page: int, word: int, value: int) -> Call:
        """Write a word by pwrite(2)."""
        wait_for_tick(self.bench.last_mtime)
        geometry = self.bench.geometry
        offset = page * geometry.page_size_bytes + word * geometry.word_size_bytes
        content = bytes([value]) * geometry.word_size_bytes
        return self._on(file, "pwrite", content, offset)

    def truncate(self, file: int, words: int) -> Call:
        """Set the size by ftruncate(2)."""
        return self._on(file, "ftruncate", words * self.bench.geometry.word_size_bytes)

    def punch_hole(self, file: int, page: int, pages: int) -> Call:
        """Punch a hole by fallocate(2)."""
        size = self.bench.geometry.page_size_bytes
        mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        return self._on(file, "fallocate", mode, page * size, pages * size)

    def fsync(self, file: int) -> Call:
        """Make one file durable, by fsync."""
        return self._on(file, "fsync")

    def sync(self) -> Call:
        """Make the filesystem durable by syncfs(2)."""
        return self.bench.begin(self.bench.shell, "syncfs", self.bench.root)

    def unlink(self, file: int) -> Call:
        """Remove the name, and close what the shell has open."""
        descriptor = self.bench.files.pop(file)
        path = self.bench.file_path(file)
        return self.bench.begin(self.bench.shell, "remove", path, descriptor)

    def fill_disk(self) -> Call:
        """Give all free blocks to a file of our own."""
        return self.bench.begin(self.bench.shell, "fill_disk", self._filler)

    def free_disk(self) -> Call:
        """Empty that file; a full btrfs may have no space left to remove it."""
        return self.bench.begin(self.bench.shell, "truncate", self._filler, 0)

    @property
    def _filler(self) -> str:
        return f"{self.bench.path}/filler"

    def _on(
        self, file: int, name: str, *arguments: object, then: Answered = lambda _: None
    ) -> Call:
        bench = self.bench
        return bench.begin(bench.shell, name, bench.files[file], *arguments, then=then)


def wait_for_tick(seen: int) -> None:
    """Wait until a new modification time is later than one seen, in nanoseconds.

    Before Linux 6.13 two changes within a tick of the clock bear the same time.
    """
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= seen:
        time.sleep(TICK_SECONDS)
