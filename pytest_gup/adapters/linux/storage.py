"""Operations that need a disk under the filesystem."""

from collections.abc import Generator
from typing import Any

from conformance.interface import (
    UNREADABLE,
    Done,
    FileImage,
    HoldPoint,
    PowerCutImage,
)
from pytest_gup.adapters.linux.bench import Call, Chain, stamps
from pytest_gup.adapters.linux.files import Files, wait_for_tick
from pytest_gup.adapters.linux.pressure import MADV_PAGEOUT
from pytest_gup.adapters.linux.stillness import Rest
from pytest_gup.adapters.linux.volume import PAGE_BYTES, PagesRead

SYNC_FILE_RANGE_WRITE = 2
POSIX_FADV_DONTNEED = 4
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878


class Storage(Files):
    """The disk, and what only a filesystem on a disk can do."""

    def hold(self, at: HoldPoint) -> None:
        """Make the disk stop."""
        self.bench.moment += 1
        self.bench.lab.disk.order("hold", at.value)
        self.bench.hold_point = at.value

    def release(self) -> Rest:
        """Let the disk go on; done when it has done what was waiting."""
        self.bench.moment += 1
        self.bench.lab.disk.order("release")
        self.bench.hold_point = None
        return Rest(self.bench.is_at_rest)

    def fail_next(self, write: bool) -> None:
        """Make the disk fail once, with file data."""
        word_size = self.bench.geometry.word_size_bytes
        self.bench.lab.disk.order("fail", write, word_size)

    def power_cut(self) -> PowerCutImage | Chain:
        """Read all files on a copy of the disk.

        When nobody is mounting: btrfs mounts one filesystem at a time, so that the
        copy would wait for one whose disk is held.
        """
        mounting = self.bench.mounting
        if mounting is None or mounting.done is not None:
            return self._read_copy()
        return Chain(self._read_copy_after(mounting))

    def _read_copy_after(self, mounting: Chain) -> Generator[Any, Done, Done]:
        yield mounting
        return Done(self._read_copy())

    def _read_copy(self) -> PowerCutImage:
        word_size = self.bench.geometry.word_size_bytes
        files = {
            int(name.removeprefix("file-")): _image(read, word_size)
            for name, read in self.bench.lab.power_cut().items()
        }
        return PowerCutImage(files)

    def writeback(self, file: int) -> Call:
        """Start writing dirty pages by sync_file_range(2)."""
        return self._on(file, "sync_file_range", 0, 0, SYNC_FILE_RANGE_WRITE)

    def evict(self, file: int) -> Call:
        """Drop clean pages by posix_fadvise(2), which starts writing dirty ones."""
        return self._on(file, "fadvise", 0, 0, POSIX_FADV_DONTNEED)

    def reclaim(self, file: int) -> Call:
        """Have the pages of a file reclaimed by madvise(MADV_PAGEOUT)."""
        bench = self.bench
        for (process, _), mapping in bench.in_use().items():
            if mapping.file == file and mapping.is_shared:
                size = mapping.pages * bench.geometry.page_size_bytes
                worker = bench.processes[process]
                return bench.begin(
                    worker, "madvise", mapping.address, size, MADV_PAGEOUT
                )
        return self.evict(file)

    def direct_read(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Call:
        """Read pages of a file into a mapping by pread(2) with O_DIRECT."""
        return self._direct("pread64", process, mapping, page, file, file_page, pages)

    def direct_write(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Call:
        """Write pages of a file from a mapping by pwrite(2) with O_DIRECT."""
        return self._direct("pwrite64", process, mapping, page, file, file_page, pages)

    def _direct(
        self,
        kind: str,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Call:
        bench = self.bench
        wait_for_tick(bench.last_mtime)
        size = bench.geometry.page_size_bytes

        def whole_pages(moved: object) -> int:
            assert isinstance(moved, int), f"{kind} answered {moved!r}"
            return -(-moved // size)

        return bench.begin(
            bench.processes[process],
            "direct",
            kind,
            bench.file_path(file),
            bench.address(process, mapping, page),
            pages * size,
            file_page * size,
            then=whole_pages,
        )

    def freeze(self) -> Call:
        """Freeze the filesystem."""

        def frozen(_: object) -> None:
            self.bench.is_frozen = True

        bench = self.bench
        return bench.begin(bench.shell, "ioctl", bench.root, FIFREEZE, 0, then=frozen)

    def thaw(self) -> Call:
        """Thaw the filesystem."""
        self.bench.is_frozen = False
        return self.bench.begin(self.bench.shell, "ioctl", self.bench.root, FITHAW, 0)


def _image(read: PagesRead, word_size: int) -> FileImage:
    """Make a file image of the pages that were read."""
    size, pages = read
    words: list[int] = []
    for number, content in enumerate(pages):
        if content is None:
            left = min(size - number * PAGE_BYTES, PAGE_BYTES)
            words += [UNREADABLE] * -(-left // word_size)
        else:
            words += stamps(content, word_size)
    return FileImage(tuple(words))
