"""What a stepped stack tells about its inside while a call is running.

Events are optional. A stack that wants to be judged by the rules that can only be
judged by stepping sends them to `Setup.tell`; no other rule may need one. An event
is sent last, when the change that it tells of is complete, and carries the new
value. The receiver never calls back.

A page is named by its `frame`, the identity of the physical page, and by
`(file, page)` where it belongs to a file.
"""

import attrs

PageKey = tuple[int, int] | None
"""File handle and page index; None: the page belongs to no file (an orphan)."""


@attrs.frozen
class PageMkwriteCalled:
    """The filesystem's page_mkwrite was entered for a page."""

    page: PageKey
    frame: int


@attrs.frozen
class PageMkwriteReturned:
    """page_mkwrite returned; `is_locked` says whether it hands over the page lock."""

    page: PageKey
    frame: int
    succeeded: bool
    is_locked: bool


@attrs.frozen
class PteChanged:
    """A page table entry was set, write-protected or cleared."""

    process: int
    address: int
    """Page number in the address space of the process."""
    frame: int | None
    """The page that it maps now; None: nothing."""
    is_writable: bool
    is_dirty: bool
    page: PageKey = None
    page_is_locked: bool = False


@attrs.frozen
class PageDirtied:
    """The dirty flag of a page went from clear to set."""

    page: PageKey
    frame: int
    is_locked: bool
    has_buffers: bool


@attrs.frozen
class PageCleaned:
    """The dirty flag of a page went from set to clear."""

    page: PageKey
    frame: int
    is_locked: bool


@attrs.frozen
class WritebackStarted:
    """The writeback flag of a page went from clear to set."""

    page: PageKey
    frame: int
    is_locked: bool
    is_bounced: bool
    """The disk is given a copy, not the page itself."""
    is_integrity: bool
    """It is written for fsync or sync, not to clean memory."""


@attrs.frozen
class WritebackEnded:
    """The writeback flag of a page went from set to clear."""

    page: PageKey
    frame: int
    failed: bool


@attrs.frozen
class BounceCaptured:
    """The content of a pinned page was copied for writing."""

    page: PageKey
    frame: int
    words: tuple[int, ...]


@attrs.frozen
class BlockSubmitted:
    """A write of a block was handed to the disk."""

    page: PageKey
    frame: int
    block: int
    is_bounced: bool


@attrs.frozen
class BlockCaptured:
    """The disk took over the content of a block write."""

    block: int
    words: tuple[int, ...]


@attrs.frozen
class PinTaken:
    """A page's pin count went up; `path` is "fast" or "slow"."""

    page: PageKey
    frame: int
    path: str
    write: bool


@attrs.frozen
class PinBackedOff:
    """GUP-fast gave back a page because its page table entry had changed."""

    page: PageKey
    frame: int
    refcount: int
    """References after the back-off."""


@attrs.frozen
class PinGranted:
    """A page was put into the result of a get_user_pages call."""

    page: PageKey
    frame: int
    path: str
    write: bool
    is_under_writeback: bool


@attrs.frozen
class PinReleased:
    """A pin of a page was put."""

    page: PageKey
    frame: int


@attrs.frozen
class PageFreed:
    """A physical page went back to the allocator."""

    frame: int


@attrs.frozen
class PageOrphaned:
    """A page left its file: truncated, invalidated, unmounted or reclaimed."""

    page: PageKey
    frame: int


@attrs.frozen
class BuffersAttached:
    """State that writeback needs was attached to a page."""

    page: PageKey
    frame: int


@attrs.frozen
class BuffersReleased:
    """State that writeback needs was taken from a page."""

    page: PageKey
    frame: int


@attrs.frozen
class InvalidateStarted:
    """The users of a page table were told that a range of it is about to change."""

    process: int
    address: int
    """First page of the range, in the address space of the process."""
    pages: int
    only_protects: bool = False
    """Entries become read-only, nothing is removed."""


@attrs.frozen
class InvalidateEnded:
    """The range has changed and may be looked up again."""

    process: int
    address: int
    pages: int


@attrs.frozen
class MirrorSet:
    """An attached device took an entry over from the page table that it follows."""

    device: int
    process: int
    address: int
    frame: int
    is_writable: bool


@attrs.frozen
class MirrorRevoked:
    """An attached device gave an entry up, or its right to write through it."""

    device: int
    process: int
    address: int
    frame: int
    is_readable: bool
    """It may still read."""


@attrs.frozen
class MirrorAccessed:
    """An attached device accessed a page."""

    device: int
    frame: int
    write: bool


@attrs.frozen
class PageMigrated:
    """The content of a page was moved to another, which has taken its place."""

    frame: int
    to: int


@attrs.frozen
class FolioSplit:
    """A large folio became single pages."""

    head_frame: int


Event = (
    PageMkwriteCalled
    | PageMkwriteReturned
    | PteChanged
    | PageDirtied
    | PageCleaned
    | WritebackStarted
    | WritebackEnded
    | BounceCaptured
    | BlockSubmitted
    | BlockCaptured
    | PinTaken
    | PinBackedOff
    | PinGranted
    | PinReleased
    | PageFreed
    | PageOrphaned
    | BuffersAttached
    | BuffersReleased
    | InvalidateStarted
    | InvalidateEnded
    | MirrorSet
    | MirrorRevoked
    | MirrorAccessed
    | PageMigrated
    | FolioSplit
)
