"""Free blocks, promises of blocks, and the journal that says which are in use.

page_mkwrite promises a page the blocks that its writes will need, so that
writeback cannot fail for space. The promise is kept with the page. A block that is
freed may be used again only when no durable record of a file refers to it, or a
power cut would show one file's data in another; so records are committed when free
blocks run out.

Clones share blocks, and a block that is shared is not written in place. It may be
again when one user is left - provided that no durable record shows it to another, so
records are committed then, too.

Interface:
  * `reserve` raises a page's promise to a number of blocks, or refuses with ENOSPC
    and changes nothing; `unreserve` takes the promise back.
  * `allocate` turns one promised block into a real one, `free` ends one use of it
    and `free_to` hands it to the next promise of a page.
  * `share` adds a user of a block, `is_shared` tells whether it has several.
  * `Journal.commit` makes size and extents of a file durable.
"""

import attrs

from conformance.interface import Errno, KernelError
from reference_impl.blockdev import Disk
from reference_impl.inode import Extent, Inode
from reference_impl.memory import Page


@attrs.frozen
class Record:
    """What the journal knows of a file."""

    inode: Inode
    size_words: int
    extents: dict[int, Extent]


@attrs.define(eq=False)
class Journal:
    """The durable picture of all files."""

    disk: Disk
    records: dict[int, Record] = attrs.field(factory=dict[int, Record])
    """By handle of the file."""

    def commit(self, inode: Inode) -> None:
        """Make size and extents of a file durable, or that it has no name any more.

        A file that was unlinked while it was synced must not come back with the
        content of before. Context: the data that the extents point at was flushed.
        """
        if not inode.is_linked:
            self.forget(inode)
        elif inode.space.is_tracked:
            size = inode.size_on_disk
            self.records[inode.file] = Record(inode, size, dict(inode.extents))

    def commit_all(self) -> None:
        """Bring every record up to date, and forget files that lost their name."""
        self.forget_unlinked()
        for record in list(self.records.values()):
            self.commit(record.inode)

    def forget_unlinked(self) -> None:
        """Drop the records of files that lost their name."""
        for record in list(self.records.values()):
            if not record.inode.is_linked:
                self.forget(record.inode)

    def forget(self, inode: Inode) -> None:
        """Drop the record of a file."""
        record = self.records.get(inode.file)
        if record is not None and record.inode is inode:
            del self.records[inode.file]

    def uses(self, block: int) -> bool:
        """Tell whether a durable record refers to a block."""
        return any(
            extent.block == block
            for record in self.records.values()
            for extent in record.extents.values()
        )


@attrs.define(eq=False)
class Space:
    """The blocks of the filesystem."""

    blocks: int
    disk: Disk
    journal: Journal
    used: set[int] = attrs.field(factory=set[int])
    """Blocks that hold data of files, or are about to."""
    users: dict[int, int] = attrs.field(factory=dict[int, int])
    """How many pages of files refer to a block, if it is more than one."""
    reserved: int = 0
    """Blocks promised to pages."""
    taken: int = 0
    """Blocks that `fill_disk` took."""

    @property
    def free_count(self) -> int:
        """Blocks neither used nor promised nor taken."""
        return self.blocks - len(self.used) - self.reserved - self.taken

    def reserve(self, page: Page, wanted: int) -> None:
        """Raise the promise to a page to `wanted` blocks.

        Raises:
            KernelError: ENOSPC, if there are not so many.
        """
        missing = wanted - page.blocks_reserved
        if missing <= 0:
            return
        if missing > self.free_count:
            raise KernelError(Errno.ENOSPC, f"{missing} block(s) wanted")
        page.blocks_reserved += missing
        self.reserved += missing

    def unreserve(self, page: Page) -> None:
        """Take back what is promised to a page."""
        self.reserved -= page.blocks_reserved
        page.blocks_reserved = 0

    def allocate(self, page: Page) -> int:
        """Turn one block promised to a page into a real one."""
        assert page.blocks_reserved > 0, f"page {page.pfn} has no block promised"
        page.blocks_reserved -= 1
        self.reserved -= 1
        block = self.find_block()
        self.used.add(block)
        return block

    def find_block(self) -> int:
        """Return an unused block that no durable record refers to."""
        unused = [block for block in range(self.blocks) if block not in self.used]
        assert unused, "a block was promised, but none is unused"
        for block in unused:
            if not self.journal.uses(block):
                return block
        self.disk.flush()
        self.journal.commit_all()
        return unused[0]

    def share(self, block: int) -> None:
        """Add a user of a block that holds data."""
        assert block in self.used, f"block {block} holds no data"
        self.users[block] = self.users.get(block, 1) + 1

    def is_shared(self, block: int) -> bool:
        """Tell whether several pages refer to a block: it may not be written then."""
        return block in self.users

    def free(self, block: int) -> None:
        """End one use of a block; the last one frees it."""
        if self.is_shared(block):
            self.unshare(block)
        else:
            self.used.remove(block)

    def unshare(self, block: int) -> None:
        """Take one user from a shared block, who does not refer to it any more.

        The last one may write it in place, and so no durable record of anybody else
        may refer to it then.
        """
        left = self.users.pop(block) - 1
        if left > 1:
            self.users[block] = left
        else:
            self.disk.flush()
            self.journal.commit_all()

    def free_to(self, page: Page, block: int) -> None:
        """End the only use of a block and promise one to a page instead."""
        assert not self.is_shared(block), f"block {block} is not free then"
        self.free(block)
        page.blocks_reserved += 1
        self.reserved += 1

    def fill(self) -> None:
        """Take all free blocks."""
        self.taken += max(self.free_count, 0)

    def give_back(self) -> None:
        """Give back what `fill` took."""
        self.taken = 0
