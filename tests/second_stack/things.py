"""What the stack is made of: frames, pages, files, mappings, pins.

Plain records. A page that is in a file's `pages` has that file as its `file`; when
it is removed from there, it is an *orphan*: nobody's file, kept by pins or by a
write that is under way.
"""

import attrs

from conformance.interface import Errno, KernelError, PageView

from .disk import DiskWrite


@attrs.define(eq=False)
class Memory:
    """The frames of physical memory."""

    unused: list[int]

    def take(self) -> int:
        """Give out a frame; ENOMEM: there is none."""
        if not self.unused:
            raise KernelError(Errno.ENOMEM, "every frame is in use")
        return self.unused.pop()

    def give_back(self, frame: int) -> None:
        """Take a frame back; it is the next to be given out."""
        assert frame not in self.unused, f"frame {frame} is given back twice"
        self.unused.append(frame)


@attrs.frozen
class Extent:
    """Where a page of a file is on the disk."""

    block: int
    checksum: int
    """Of the words, as they were when the write was submitted."""


@attrs.define(eq=False)
class File:
    """A file. It lives as long as it has a name, a mapping or a user."""

    size: int
    """In words."""
    durable_size: int
    """In words, as it is on the disk; never more than `size`."""
    mtime: int
    has_name: bool = True
    is_gone: bool = False
    users: int = 0
    """Private mappings of it, and calls that sleep and still need it."""
    pages: "dict[int, Page]" = attrs.field(factory=dict)
    """The page cache: pages by index."""
    extents: dict[int, Extent] = attrs.field(factory=dict[int, Extent])
    """Pages on the disk by index; the others are holes."""
    mappings: "set[Mapping]" = attrs.field(factory=set)
    mkwrite_count: int = 0
    """Calls of page_mkwrite that succeeded."""
    shrink_count: int = 0
    write_errors: int = 0
    """Writes that failed so far; their pages are dirty again."""
    write_errors_reported: int = 0
    """How many of these an fsync has told about."""


@attrs.define(eq=False)
class Mapping:
    """A shared mapping of pages of a file, in one process."""

    file: File
    first: int
    """First page of the file."""
    pages: int
    is_writable: bool
    is_gone: bool = False


@attrs.define(eq=False)
class Shadow:
    """Where a device writes instead of the page that it has pinned."""

    frame: int
    words: dict[int, int] = attrs.field(factory=dict[int, int])
    """Only those that the device wrote: the others are the page's."""


@attrs.define(eq=False)
class Grant:
    """One page of a pin."""

    page: "Page"
    shadow: Shadow | None
    """None: the pin is for reading, or writes directly."""
    is_put: bool = False
    """A call that puts it has been made, and may still be asleep."""
    is_direct: bool = False
    """The device writes to the page itself: private memory needs no shadow."""


@attrs.define(eq=False)
class Page:
    """A page of a file, or an orphan."""

    frame: int
    index: int
    words: list[int]
    file: File | None
    """None: it is an orphan."""
    is_dirty: bool = False
    """One block is reserved for it then."""
    flight: DiskWrite | None = None
    """The write that is under way; while there is one, `words` do not change."""
    writers: set[Mapping] = attrs.field(factory=set[Mapping])
    """Mappings that may store without asking; none while the page is clean."""
    grants: list[Grant] = attrs.field(factory=list[Grant])

    @property
    def is_under_writeback(self) -> bool:
        """Whether a write of it is under way."""
        return self.flight is not None

    @property
    def is_pinned_for_write(self) -> bool:
        """Whether a device may be writing to a shadow of it."""
        return any(grant.shadow is not None for grant in self.grants)

    @property
    def references(self) -> int:
        """How many keep its frame: the page cache, the disk, and each pin."""
        return (self.file is not None) + self.is_under_writeback + len(self.grants)


def view(page: Page) -> PageView:
    """Show a page. It has no lock; what writeback needs is a reserved block."""
    is_written = page.is_dirty or page.is_under_writeback
    return PageView(
        is_cached=page.file is not None,
        is_dirty=page.is_dirty,
        is_under_writeback=page.is_under_writeback,
        is_uptodate=True,
        has_buffers=is_written or page.is_pinned_for_write,
        maybe_pinned=bool(page.grants),
        refcount=page.references,
        writable_ptes=len(page.writers),
        frame=page.frame,
    )
