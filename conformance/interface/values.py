"""Values that cross the boundary: sizes, words, and what a stack shows of itself.

A *word* holds one small stamp, an integer from 0 to 255. Two words and more in a
page make torn writes and partly filled pages visible. Three numbers outside that
range say that a word could not be read as one stamp.

Every field of a view is optional: `None` says "this stack does not tell", and a
rule that needs it is then not observable, never held.
"""

from collections.abc import Mapping
from enum import Enum

import attrs

HOLE = 0
"""The stamp of a word that nobody has written."""

TORN = -1
"""Read instead of a stamp: the word holds a mixture of several stamps."""

UNREADABLE = -2
"""Read instead of a stamp: the filesystem answers EIO for this word."""


class HoldPoint(Enum):
    """Where the disk stops working on a write."""

    BEFORE_CAPTURE = "before_capture"
    """The write is queued; its content has not been looked at by the disk."""
    AFTER_CAPTURE = "after_capture"
    """The content is copied; the write has not ended, nor is it on the medium."""


@attrs.frozen
class Geometry:
    """The sizes of a stack. Tiny by default, so that a search gets far."""

    page_size_bytes: int = 16
    """Bytes in a page; a multiple of `words_per_page`."""
    words_per_page: int = 2
    """Words in a page."""
    file_pages: int = 4
    """Pages of file 0, and of the mapping 0 that boot makes of it."""
    memory_pages: int = 32
    """Pages of physical memory."""
    disk_blocks: int = 48
    """Blocks of the disk that can hold file data; a block holds one page."""
    folio_pages: int = 1
    """Pages in a large folio; 1: there are none."""
    movable_pages: int = 0
    """How many of the pages of memory are in the movable zone, from which every page
    must be able to go; nothing is pinned there for long."""
    refcount_max: int = 2**31 - 1
    """Largest value that the reference count of a page can hold."""
    pin_bias: int = 1024
    """How many references one pin is worth in the reference count."""
    cpus: int = 2
    """Processors, for counters that are kept by processor."""

    @property
    def word_size_bytes(self) -> int:
        """Bytes in a word."""
        return self.page_size_bytes // self.words_per_page


@attrs.frozen
class PageView:
    """What a stack shows of one page: a claim, taken between two operations."""

    is_cached: bool | None = None
    """The page is in the page cache of its file."""
    is_dirty: bool | None = None
    is_under_writeback: bool | None = None
    is_locked: bool | None = None
    is_uptodate: bool | None = None
    has_buffers: bool | None = None
    """State that writeback needs (buffer heads and the like) is attached."""
    maybe_pinned: bool | None = None
    """The stack's own answer to "may this page be pinned?"."""
    refcount: int | None = None
    """References, pins included as the stack counts them."""
    writable_ptes: int | None = None
    """Page table entries, in all processes, through which it can be written."""
    dirty_ptes: int | None = None
    frame: int | None = None
    """Identity of the physical page (its pfn)."""
    head_frame: int | None = None
    """Identity of the first page of its folio; its own, if the folio is one page."""
    pin_count: int | None = None
    """How many pins its folio has, where the stack counts them exactly."""
    is_exclusive: bool | None = None
    """An anonymous page that belongs to one process alone."""
    is_movable: bool | None = None
    """The page is in the movable zone."""


@attrs.frozen
class VmStat:
    """The counters of a stack, in both families; `None`: not kept.

    The first five are the document's (S27), the next two today's kernel's.
    """

    nr_gup_slow_pages_requested: int | None = None
    nr_gup_fast_pages_requested: int | None = None
    nr_gup_fast_page_backoffs: int | None = None
    nr_gup_page_count_overflows: int | None = None
    nr_gup_pages_returned: int | None = None
    nr_foll_pin_acquired: int | None = None
    nr_foll_pin_released: int | None = None
    nr_dirty: int | None = None
    """Pages accounted as dirty now."""
    nr_writeback: int | None = None
    """Pages accounted as under writeback now."""
    pinned_vm: int | None = None
    """Pages charged to processes for long-term pins now."""
    nr_free_pages: int | None = None
    """Physical pages that nobody holds now."""


@attrs.frozen
class StatFs:
    """The space of the filesystem, in blocks of one page."""

    blocks_free: int
    """Blocks neither allocated nor promised to anybody."""
    blocks_reserved: int | None = None
    """Blocks promised to dirty pages and not yet allocated."""


@attrs.frozen
class FileImage:
    """One file as it is found on a copy of the disk."""

    words: tuple[int, ...]
    """Its words, as many as its size says; `UNREADABLE` where reading fails."""


@attrs.frozen
class PowerCutImage:
    """What a power cut leaves: each file that exists, by its handle."""

    files: Mapping[int, FileImage]
