"""Files: their size, where their data lies on the disk, and what went wrong.

Interface:
  * `Inode.extents` tells for each page the block that holds it; nothing: a hole.
    An extent appears when its data has landed, not earlier.
  * Whether another page refers to the same block, `Space` knows.
  * Errors of writeback are counted, so that everybody who asks by fsync learns of
    each error once.
"""

import attrs

from reference_impl.blockdev import Words
from reference_impl.memory import Page
from reference_impl.pagecache import AddressSpace
from reference_impl.stepping import Lock


@attrs.frozen
class Extent:
    """One page of a file on the disk."""

    block: int
    checksum: Words | None = None
    """Of the content as written; None: the filesystem keeps no checksums.

    The content itself serves as a checksum without collisions.
    """


@attrs.define(eq=False)
class Inode:
    """A file."""

    space: AddressSpace
    size_words: int = 0
    size_on_disk: int = 0
    """The size that a power cut leaves: data up to there is on the disk."""
    extents: dict[int, Extent] = attrs.field(factory=dict[int, Extent])
    """By page; nothing: a hole."""
    lock: Lock = attrs.field(factory=lambda: Lock("inode lock"))
    """Held by write, truncate, punch_hole, direct I/O, clone and dedupe."""
    is_being_shared: bool = False
    """Its blocks are about to be shared: page_mkwrite has to wait."""
    direct_writes: set[int] = attrs.field(factory=set[int])
    """Pages that are being written past the cache: page_mkwrite has to wait."""
    mtime: int = 0
    """Counts modifications."""
    mkwrites: int = 0
    """Counts the calls of page_mkwrite that succeeded."""
    errors: int = 0
    """Counts failed writes of data."""
    errors_told_to_fsync: int = 0
    errors_told_to_sync: int = 0
    users: int = 0
    """Mappings, and operations in progress."""
    is_linked: bool = True
    """It has a name."""

    @property
    def file(self) -> int:
        """The handle of the file."""
        return self.space.file

    def pages_to_write(self) -> list[Page]:
        """Return the pages that a data-integrity write has to visit, in order.

        A locked page may be about to become dirty; a page under writeback may be
        dirty again by the time that its writeback has ended.
        """
        if not self.space.is_tracked:
            return []
        return [
            page
            for _, page in sorted(self.space.pages.items())
            if page.is_dirty or page.is_under_writeback or page.is_locked
        ]

    def may_be_dirtied(self) -> bool:
        """Tell whether page_mkwrite may go on: nobody is about to share blocks."""
        return not self.is_being_shared

    def has_dirty(self) -> bool:
        """Tell whether any page is dirty or may be about to become dirty."""
        return any(
            page.is_dirty or page.is_locked for page in self.space.pages.values()
        )
