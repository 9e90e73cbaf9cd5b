"""What a stack shows of itself between calls, and who works beside them.

Interface:
  * `Shown` is every layer with the observations of the contract; the operations are
    added in `stack.py`.
"""

from collections.abc import Hashable, Sequence
from functools import cached_property

import attrs

from conformance.interface import PageView, StatFs, VmStat
from reference_impl.extras import print_extras
from reference_impl.layers import Layers, Parts
from reference_impl.names import Names
from reference_impl.stepping import Stepped
from reference_impl.view import fingerprint, print_mirrors, show_page

STANDARD = frozenset[type](
    part.default for part in attrs.fields(Parts) if isinstance(part.default, type)
)
"""The classes of the layers, where nothing was replaced."""

NOT_CACHED, NOTHING = PageView(is_cached=False), PageView()


class Shown(Layers):
    """Every layer of one stack, and what it shows."""

    # --- observations ---------------------------------------------------------

    def page_view(self, file: int, page: int) -> PageView:
        """Show the page of a file."""
        inode = self.files.names.get(file)
        found = None if inode is None else inode.space.pages.get(page)
        if found is None:
            return NOT_CACHED
        return show_page(self.memory, self.rmap, found)

    def pinned_page_view(self, pin: int, page: int) -> PageView:
        """Show the page behind a pin; nothing, if it has been put."""
        found = self.devices.find(pin, page)
        if found is None:
            return NOTHING
        return show_page(self.memory, self.rmap, found)

    def mapped_page_view(self, process: int, mapping: int, page: int) -> PageView:
        """Show the page that a page of a mapping is now; nothing, if it is none."""
        found = self.mm.processes.get(process)
        vma = None if found is None else found.vmas.get(mapping)
        if vma is None or not 0 <= page < vma.pages:
            return NOTHING
        pte = vma.process.ptes.get(vma.start + page)
        if pte is None:
            return NOTHING
        return show_page(self.memory, self.rmap, pte.page)

    def page_mkwrite_count(self, file: int) -> int:
        """Count the calls of page_mkwrite for a file that succeeded."""
        inode = self.files.names.get(file)
        return 0 if inode is None else inode.mkwrites

    def mtime(self, file: int) -> int:
        """Tell the modification time of a file."""
        inode = self.files.names.get(file)
        return 0 if inode is None else inode.mtime

    def vmstat(self) -> VmStat:
        """Tell the counters."""
        return self.counters.vmstat(self.memory.free_count)

    def statfs(self) -> StatFs:
        """Tell the space of the filesystem."""
        return StatFs(self.space.free_count, self.space.reserved)

    # --- stepping -------------------------------------------------------------

    def background(self) -> Sequence[Stepped[None]]:
        """Return the actors that work beside the calls: the disk."""
        return (self.disk.work(),)

    def fingerprint(self) -> Hashable:
        """Return a value that is equal for states that act alike."""
        return (
            fingerprint(self.filesystem, self.mm, self.devices, self.rmap),
            print_mirrors(self.mirrors),
            print_extras(vars(self).values(), STANDARD, self.name_of),
        )

    def name_of(self, thing: object) -> Hashable | None:
        """Name a thing that a suspended call may hold; None: it has no name."""
        return self._names.name_of(thing)

    @cached_property
    def _names(self) -> Names:
        """Where things are found."""
        parts = self.filesystem, self.mm, self.devices, self.rmap, self.mirrors
        return Names(*parts, self.disk)
