"""The filesystem as a whole: freeze, thaw, umount and mount.

Both freeze and umount close the gate to writers and write everything once. A
pinned page stays dirty across a freeze. An umount makes it an orphan; what its
device writes after that is lost.

Interface:
  * The methods are the operations.
"""

import attrs

from conformance.interface import Errno, KernelError
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.mm import Mm
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped, wait_until
from reference_impl.writeback import Writeback


@attrs.define(eq=False)
class Mounts:
    """Operations on the whole filesystem."""

    filesystem: Filesystem
    files: Files
    rmap: Rmap
    mm: Mm
    writeback: Writeback

    def freeze(self) -> Stepped[None]:
        """Bring the filesystem to rest until it is thawed."""
        yield from self.come_to_rest()
        gate = self.filesystem.gate
        gate.is_frozen = True
        yield from wait_until("writeback", self.is_quiet)

    def thaw(self) -> None:
        """End a freeze."""
        gate = self.filesystem.gate
        if not gate.is_frozen:
            raise KernelError(Errno.EINVAL, "the filesystem is not frozen")
        gate.is_closed = gate.is_frozen = False

    def come_to_rest(self) -> Stepped[None]:
        """Keep writers out and write everything; on failure let them in again."""
        gate = self.filesystem.gate
        if gate.is_closed or not self.filesystem.is_mounted:
            raise KernelError(Errno.EBUSY, "the filesystem is at rest already")
        yield from gate.close()
        try:
            yield from self.writeback.sync(for_freeze=True)
        except KernelError:
            gate.is_closed = False
            raise

    def is_quiet(self) -> bool:
        """Tell whether no writeback is in progress."""
        return not any(
            page.is_under_writeback or page.locked_by == "writeback"
            for inode in self.filesystem.inodes
            for page in inode.space.pages.values()
        )

    def umount(self) -> Stepped[None]:
        """Write everything once, orphan all pages, and tear the mappings down."""
        yield from self.come_to_rest()
        self.filesystem.is_mounted = False
        for inode in list(self.filesystem.inodes):
            yield from self.drop_pages(inode)
        self.filesystem.gate.is_closed = False
        for process in list(self.mm.processes.values()):
            yield from self.mm.remove_files(process)

    def drop_pages(self, inode: Inode) -> Stepped[None]:
        """Orphan the pages of a file; where memory is all it has, unmap them."""
        if not inode.space.is_tracked:
            yield from self.rmap.unmap_range(inode.space, 0, None)
            return
        while inode.space.pages:
            yield from self.drop_page(inode, min(inode.space.pages))

    def drop_page(self, inode: Inode, index: int) -> Stepped[None]:
        """Make one page an orphan."""
        page = inode.space.pages[index]
        self.filesystem.memory.get(page)
        yield from self.files.lock_quiet(page, "umount")
        if self.filesystem.cache.belongs(page, inode.space, index):
            yield from self.rmap.unmap_page(inode.space, page)
            self.filesystem.orphan(inode, page)
        self.files.release(page)

    def mount(self) -> None:
        """Mount what was unmounted."""
        if self.filesystem.is_mounted:
            raise KernelError(Errno.EBUSY, "the filesystem is mounted")
        self.filesystem.is_mounted = True
