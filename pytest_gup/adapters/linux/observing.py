"""What the kernel shows of pages, files and counters.

`/proc/kpageflags` is not read at one moment with anything else; between operations,
when everything has settled, that does not matter. A large folio keeps dirty and
writeback on its head. Dirty pages and writeback of the whole machine are not shown:
others dirty pages, too.
"""

from pathlib import Path
from typing import Any

import attrs

from conformance.interface import PageView, VmStat
from pytest_gup.adapters.linux.bench import Bench
from pytest_gup.adapters.linux.calls import Task
from pytest_gup.adapters.linux.tasks import frame_of, page_flags

LOCKED, UP_TO_DATE, DIRTY, WRITEBACK = 0, 3, 4, 8
ANONYMOUS, TAIL, ZERO_PAGE = 12, 16, 24
EXCLUSIVE = 34
"""Of an anonymous page; of one of a file it means something else."""
PRIVATE = 35
"""Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h)."""
PIN_COUNTERS = ("nr_foll_pin_acquired", "nr_foll_pin_released")
"""Of the whole machine."""
BUFFERED = frozenset({"ext4"})
"""Filesystems whose pages have buffer heads attached; elsewhere private data of a
page means something else."""
FOLIO_PAGES_MAX = 512
LOOK_MILLISECONDS = 200
"""How long looking at pages may take; a page that is locked makes it wait."""


@attrs.define(eq=False)
class Counters:
    """Counters of pins of the kernel, from the boot of the stack on."""

    start: dict[str, int]
    are_ours: bool = True
    """False: somebody else pins pages, too, and what they tell is not of the stack."""

    @classmethod
    def begin(cls, before: dict[str, int]) -> "Counters":
        """Begin to count; nothing of the stack has pinned anything since `before`."""
        start = read_vmstat()
        moved = any(start.get(name) != before.get(name) for name in PIN_COUNTERS)
        return cls(start, are_ours=not moved)

    def since_start(self) -> dict[str, int]:
        """Tell how much they have grown; not those of which that cannot be known."""
        now = read_vmstat() if self.are_ours else {}
        return {name: value - self.start[name] for name, value in now.items()}


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
        head = head_frame(frame)
        flags = page_flags(head)
        has_buffers = self.bench.filesystem.name in BUFFERED
        return PageView(
            is_cached=True,
            is_dirty=_has(flags, DIRTY),
            is_under_writeback=_has(flags, WRITEBACK),
            is_locked=_has(flags, LOCKED),
            is_uptodate=_has(flags, UP_TO_DATE),
            has_buffers=_has(flags, PRIVATE) if has_buffers else None,
            frame=frame,
            head_frame=head,
        )

    def mapped_page_view(self, process: int, mapping: int, page: int) -> PageView:
        """Look up what the page table has for a page; nothing is brought in.

        The page of zeroes that reading finds in fresh memory is nobody's.
        """
        entries = self._entries(process, mapping)
        frame = frame_of(entries[page]) if entries else None
        flags = 0 if frame is None else page_flags(frame)
        if frame is None or _has(flags, ZERO_PAGE):
            return PageView()
        is_anonymous = _has(flags, ANONYMOUS)
        return PageView(
            frame=frame,
            head_frame=head_frame(frame),
            is_exclusive=_has(flags, EXCLUSIVE) if is_anonymous else None,
        )

    def mtime(self, file: int) -> int:
        """Tell the modification time, in nanoseconds."""
        bench = self.bench
        seen = bench.shell.ask("mtime", bench.files[file])
        assert isinstance(seen, int), f"fstat answered {seen!r}"
        bench.last_mtime = max(bench.last_mtime, seen)
        return seen

    def vmstat(self) -> VmStat:
        """Tell the counters of pins; nothing, if others were seen to move them."""
        acquired, released = map(self.counters.since_start().get, PIN_COUNTERS)
        return VmStat(
            nr_foll_pin_acquired=acquired,
            nr_foll_pin_released=released,
            pinned_vm=self._pinned_vm(),
        )

    def _pinned_vm(self) -> int | None:
        """Add up what processes are charged; what one has left cannot be seen."""
        bench = self.bench
        if bench.has_ended_rings:
            return None
        size = bench.geometry.page_size_bytes
        pids = [process.number for process in bench.processes.values()]
        return sum(pinned_bytes(pid) for pid in pids) // size

    def _frames(self, file: int) -> list[int | None] | None:
        """Tell the frames of a file's pages; None: they cannot be looked at now."""
        bench = self.bench
        if self._looked != bench.moment:
            self._looked, self._seen = bench.moment, {}
        if file not in self._seen:
            pages = bench.geometry.file_pages
            self._seen[file] = self._look("frames", bench.files[file], pages)
        return self._seen[file]

    def _entries(self, process: int, mapping: int) -> list[int] | None:
        """Tell the page table of a mapping; None: it cannot be looked at now."""
        bench = self.bench
        there = bench.mappings[process, mapping]
        pid = bench.processes[process].number
        return self._look("entries", pid, there.address, there.pages)

    def _look(self, name: str, *arguments: int) -> list[Any] | None:
        """Have the shell look; None: it would have to wait, or does so already."""
        key = name, *arguments
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.answer(0) is None:
            return None
        task = self._waiting[key] = self.bench.shell.start(name, *arguments)
        answer = task.answer(LOOK_MILLISECONDS)
        found = answer[0] if answer and not answer[1] else None
        assert found is None or isinstance(found, list), f"{name}: {found!r}"
        return found

    _waiting: dict[tuple[object, ...], Task]
    """The last look at each thing."""
    _looked: int = -1
    _seen: dict[int, list[int | None] | None]


def head_frame(frame: int) -> int:
    """Tell the first frame of the folio that a frame belongs to."""
    for head in range(frame, frame - FOLIO_PAGES_MAX, -1):
        if not _has(page_flags(head), TAIL):
            return head
    return frame


def pinned_bytes(pid: int) -> int:
    """Tell what a process is charged for long-term pins; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    fields = [line.split() for line in lines if line.startswith("VmPin:")]
    return sum(int(kilobytes) * 1024 for _, kilobytes, _ in fields)


def read_vmstat() -> dict[str, int]:
    """Read the counters of pins, with those of every processor added up."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    lines = Path("/proc/vmstat").read_text().splitlines()
    counters = (line.split() for line in lines if line.startswith(PIN_COUNTERS))
    return {name: int(value) for name, value in counters}


def _has(flags: int, bit: int) -> bool:
    return bool(flags >> bit & 1)
