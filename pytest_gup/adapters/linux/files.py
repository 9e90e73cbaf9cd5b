"""Operations on files, in a process of their own: the shell."""

import os

from conformance.interface import StatFs
from pytest_gup.adapters.linux.bench import Bench, Call, stamps

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


class Files:
    """What every filesystem offers."""

    bench: Bench

    def create(self, file: int) -> Call:
        """Make an empty file and keep it open."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        name = self.bench.file_name(file)

        def keep(descriptor: object) -> None:
            assert isinstance(descriptor, int), f"open answered {descriptor!r}"
            self.bench.files[file] = descriptor

        return self.bench.begin(self.bench.shell, "open", name, flags, 0o600, then=keep)

    def read(self, file: int, page: int) -> Call:
        """Read a page by pread(2)."""
        size = self.bench.geometry.page_size_bytes
        word = self.bench.geometry.word_size_bytes

        def words(content: object) -> tuple[int, ...]:
            assert isinstance(content, bytes), f"pread answered {content!r}"
            return stamps(content, word)

        return self._on_file(file, "pread", size, page * size, then=words)

    def write(self, file: int, page: int, word: int, value: int) -> Call:
        """Write a word by pwrite(2)."""
        self.wait_for_tick()
        geometry = self.bench.geometry
        offset = page * geometry.page_size_bytes + word * geometry.word_size_bytes
        content = bytes([value]) * geometry.word_size_bytes
        return self._on_file(file, "pwrite", content, offset)

    def truncate(self, file: int, words: int) -> Call:
        """Set the size by ftruncate(2)."""
        size = words * self.bench.geometry.word_size_bytes
        return self._on_file(file, "ftruncate", size)

    def punch_hole(self, file: int, page: int, pages: int) -> Call:
        """Punch a hole by fallocate(2)."""
        size = self.bench.geometry.page_size_bytes
        mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        return self._on_file(file, "fallocate", mode, page * size, pages * size)

    def fsync(self, file: int) -> Call:
        """Make a file durable by fsync(2)."""
        return self._on_file(file, "fsync")

    def unlink(self, file: int) -> Call:
        """Remove the name, and close what the shell has open."""
        descriptor = self.bench.files.pop(file)
        name = self.bench.file_name(file)
        return self.bench.begin(self.bench.shell, "unlink", name, descriptor)

    def fill_disk(self) -> Call:
        """Give all free blocks to a file of our own."""
        return self.bench.begin(self.bench.shell, "fill_disk", self._filler)

    def free_disk(self) -> Call:
        """Remove that file."""
        return self.bench.begin(self.bench.shell, "unlink", self._filler, None)

    def statfs(self) -> StatFs:
        """Tell the space by statvfs(3)."""
        free = self.bench.shell.ask("blocks_free", self.bench.path)
        assert isinstance(free, int), f"statvfs answered {free!r}"
        return StatFs(blocks_free=free)

    def wait_for_tick(self) -> None:
        """Wait until a new modification time differs from the last one seen."""
        raise NotImplementedError

    @property
    def _filler(self) -> str:
        return f"{self.bench.path}/filler"

    def _on_file(
        self, file: int, name: str, *arguments: object, then: object = None
    ) -> Call:
        bench = self.bench
        descriptor = bench.files[file]
        if name in {"pread", "pwrite", "ftruncate", "fallocate", "fsync"}:
            pass
        return bench.begin(bench.shell, name, descriptor, *arguments)
