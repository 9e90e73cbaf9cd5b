"""The stack as the suite sees it: all the calls, the disk's switches, observations.

Interface:
  * To start a stack, call `boot`.
  * A WouldBlock always carries `resume`; call that until it answers.
"""

import attrs

from conformance.interface import (
    Feature,
    HoldPoint,
    PageView,
    PowerCutImage,
    Setup,
    StatFs,
    VmStat,
)

from .disk import Disk, Space
from .private_calls import PrivateCalls
from .things import Memory, view
from .volume import Volume


def boot(setup: Setup) -> "Stack":
    """Start a stack with process 0, file 0 and mapping 0."""
    geometry = setup.geometry
    space = Space(set(range(geometry.disk_blocks)))
    memory = Memory(list(range(geometry.memory_pages)))
    stack = Stack(Volume(setup, Disk(), space, memory))
    size = geometry.file_pages * geometry.words_per_page
    stack.files[0] = stack.volume.create(size)
    stack.mmap(process=0, mapping=0, file=0, page=0, pages=geometry.file_pages)
    return stack


@attrs.define(eq=False)
class Stack(PrivateCalls):
    """One stack."""

    features_offered: frozenset[Feature] = frozenset({Feature.CHECKSUMS})
    features_fixed: frozenset[Feature] = frozenset(
        {Feature.COPY_ON_WRITE, Feature.STABLE_WRITES}
    )

    # --- disk -----------------------------------------------------------------

    def hold(self, at: HoldPoint) -> None:
        """Make writes stop from now on."""
        self.volume.disk.held_at = at

    def release(self) -> None:
        """Let the disk go on."""
        self.volume.disk.release()

    def fail_next(self, write: bool) -> None:
        """Make the next write, or read, that the disk is given fail."""
        if write:
            self.volume.disk.is_next_write_doomed = True
        else:
            self.volume.disk.is_next_read_doomed = True

    def power_cut(self) -> PowerCutImage:
        """Read every file on a copy of the disk."""
        files = sorted(self.files.items())
        return PowerCutImage({name: self.volume.image(file) for name, file in files})

    # --- observations ---------------------------------------------------------

    def page_view(self, file: int, page: int) -> PageView:
        """Show a page of a file."""
        cached = self.files[file].pages.get(page)
        return PageView(is_cached=False) if cached is None else view(cached)

    def pinned_page_view(self, pin: int, page: int) -> PageView:
        """Show a page behind a pin: the page itself, not its shadow."""
        return view(self.pins[pin][page].page)

    def page_mkwrite_count(self, file: int) -> int:
        """Count the calls of page_mkwrite that succeeded."""
        return self.files[file].mkwrite_count

    def mtime(self, file: int) -> int:
        """Tell the modification time."""
        return self.files[file].mtime

    def vmstat(self) -> VmStat:
        """Tell the counters; nothing ever backs off or overflows."""
        pages = [p for file in self.volume.files for p in file.pages.values()]
        requested = self.pages_requested_slow + self.pages_requested_fast
        return VmStat(
            nr_gup_slow_pages_requested=self.pages_requested_slow,
            nr_gup_fast_pages_requested=self.pages_requested_fast,
            nr_gup_fast_page_backoffs=0,
            nr_gup_page_count_overflows=0,
            nr_gup_pages_returned=self.pages_returned,
            nr_foll_pin_acquired=requested,
            nr_foll_pin_released=self.pages_returned,
            nr_dirty=sum(page.is_dirty for page in pages),
            nr_writeback=len(self.volume.disk.queue),
            nr_free_pages=len(self.volume.memory.unused),
        )

    def statfs(self) -> StatFs:
        """Tell the space of the filesystem."""
        return StatFs(self.volume.space.free, self.volume.space.reserved)
