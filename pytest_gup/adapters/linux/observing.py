"""What the kernel shows of pages, files and counters.

`/proc/kpageflags` is not read at one moment with anything else; between operations,
when everything has settled, that does not matter. A large folio keeps dirty and
writeback on its head. Dirty pages and writeback of the whole machine are not shown:
others dirty pages, too.
"""

import struct
from pathlib import Path

import attrs

from conformance.interface import PageView, VmStat
from pytest_gup.adapters.linux.bench import Bench

LOCKED, UP_TO_DATE, DIRTY, WRITEBACK = 0, 3, 4, 8
HEAD, TAIL = 15, 16
PRIVATE = 35
"""Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h)."""
BUFFERED = frozenset({"ext4"})
"""Filesystems whose pages have buffer heads attached; elsewhere private data of a
page means something else."""
FOLIO_PAGES_MAX = 512
LOOK_MILLISECONDS = 200
"""How long looking at pages may take; a page that is locked makes it wait."""
FLAGS = struct.Struct("=Q")


@attrs.define(eq=False)
class Counters:
    """Counters of the kernel, from the boot of the stack on."""

    start: dict[str, int]

    @classmethod
    def begin(cls) -> "Counters":
        """Begin to count."""
        return cls(read_vmstat())

    def since_start(self, name: str) -> int | None:
        """Tell how much a counter has grown; None: this kernel does not keep it."""
        now = read_vmstat()
        return now[name] - self.start[name] if name in now else None


class Observing:
    """What can be seen of every filesystem."""

    bench: Bench
    counters: Counters

    def page_view(self, file: int, page: int) -> PageView:
        """Look a page up by its frame."""
        frames = self._frames(file)
        if frames is None or page >= len(frames):
            return PageView() if frames is None else PageView(is_cached=False)
        frame = frames[page]
        if frame is None:
            return PageView(is_cached=False)
        flags = page_flags(frame)
        has_buffers = self.bench.filesystem.name in BUFFERED
        return PageView(
            is_cached=True,
            is_dirty=_has(flags, DIRTY),
            is_under_writeback=_has(flags, WRITEBACK),
            is_locked=_has(flags, LOCKED),
            is_uptodate=_has(flags, UP_TO_DATE),
            has_buffers=_has(flags, PRIVATE) if has_buffers else None,
            frame=frame,
        )

    def mtime(self, file: int) -> int:
        """Tell the modification time, in nanoseconds."""
        bench = self.bench
        seen = bench.shell.ask("mtime", bench.files[file])
        assert isinstance(seen, int), f"fstat answered {seen!r}"
        bench.last_mtime = max(bench.last_mtime, seen)
        return seen

    def vmstat(self) -> VmStat:
        """Tell the counters of pins; every other user of them counts, too."""
        return VmStat(
            nr_foll_pin_acquired=self.counters.since_start("nr_foll_pin_acquired"),
            nr_foll_pin_released=self.counters.since_start("nr_foll_pin_released"),
        )

    def _frames(self, file: int) -> list[int | None] | None:
        """Tell the frames of a file's pages; None: they cannot be looked at now."""
        bench = self.bench
        if self._looked != bench.moment:
            self._looked, self._seen = bench.moment, {}
        if file not in self._seen:
            pages = bench.geometry.file_pages
            task = bench.shell.start("frames", bench.files[file], pages)
            answer = task.answer(LOOK_MILLISECONDS)
            found = answer[0] if answer and not answer[1] else None
            assert found is None or isinstance(found, list), f"frames: {found!r}"
            self._seen[file] = found
        return self._seen[file]

    _looked: int = -1
    _seen: dict[int, list[int | None] | None]


def page_flags(frame: int) -> int:
    """Tell the flags of a page; a tail's are those of its head."""
    with Path("/proc/kpageflags").open("rb", buffering=0) as flags:
        for back in range(FOLIO_PAGES_MAX):
            flags.seek((frame - back) * FLAGS.size)
            (found,) = FLAGS.unpack(flags.read(FLAGS.size))
            if not _has(found, TAIL):
                break
    return int(found)


def read_vmstat() -> dict[str, int]:
    """Read the counters, with those of every processor added up."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    lines = Path("/proc/vmstat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def _has(flags: int, bit: int) -> bool:
    return bool(flags >> bit & 1)
