"""The dirty limit: who writes faster than the disk has to wait for it.

A pinned page is never clean, so it does not count: nothing that a writer could wait
for would make it clean, and a device that pins many pages would stop all writers.

Interface:
  * `balance` follows every write; it returns when the limit is kept, or when there
    is nothing left that could be written.
"""

import attrs

from conformance.interface import KernelError
from reference_impl.counters import Counters
from reference_impl.filesystem import Filesystem
from reference_impl.memory import Page
from reference_impl.stepping import Stepped, wait_until
from reference_impl.writeback import Writeback


@attrs.define(eq=False)
class Throttle:
    """Keeps the number of dirty pages below half of memory.

    While the filesystem is at rest it lets everybody go on: nothing is written then,
    and the next clean page that somebody writes to waits for the thaw.
    """

    filesystem: Filesystem
    writeback: Writeback
    counters: Counters

    @property
    def limit(self) -> int:
        """Return how many pages may be dirty or under writeback."""
        return self.filesystem.geometry.memory_pages // 2

    def balance(self) -> Stepped[None]:
        """Write pages, and wait for the disk, while too many are dirty."""
        while not (self.is_below() or self.filesystem.gate.is_closed):
            for inode in list(self.filesystem.inodes):
                try:
                    yield from self.writeback.clean(inode)
                except KernelError:
                    continue
            yield from wait_until("dirty limit", self.may_go_on)

    def is_below(self) -> bool:
        """Tell whether the limit is kept."""
        waiting = self.counters.dirty + self.counters.under_writeback
        if waiting <= self.limit:  # most of the time there is nothing to count
            return True
        return sum(map(self.counts, self.pages())) <= self.limit

    def may_go_on(self) -> bool:
        """Tell whether the limit is kept, or there is something to write again."""
        if self.is_below() or self.filesystem.gate.is_closed:
            return True
        return any(
            page.is_dirty and not page.is_under_writeback and self.is_cleanable(page)
            for page in self.pages()
        )

    def counts(self, page: Page) -> bool:
        """Tell whether a page counts against the limit."""
        return self.is_cleanable(page)

    def is_cleanable(self, page: Page) -> bool:
        """Tell whether a page can be made clean by writing it."""
        return not self.filesystem.memory.maybe_dma_pinned(page)

    def pages(self) -> list[Page]:
        """Return the pages of files that wait to be written, or are being written."""
        return [
            page
            for inode in self.filesystem.inodes
            if inode.space.is_tracked
            for page in inode.space.pages.values()
            if page.is_dirty or page.is_under_writeback
        ]
