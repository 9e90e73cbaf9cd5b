"""Stacks whose direct I/O forgets the pages of the file that are cached, or mapped.

Interface:
  * `of_buffers` and `of_writes` make a mutant of what moves the data.
"""

from collections.abc import Sequence
from functools import partial

import attrs

from reference_impl.direct_io import DirectIo
from reference_impl.direct_write import BlockWrite, DirectWrites
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped


def of_buffers(
    name: str,
    violates: tuple[str, ...],
    kind: type[DirectIo],
    lie: str,
    origin: str = "",
) -> Mutant:
    """Return a mutant."""
    faulty = partial(boot, parts=Parts(make_direct_io=kind))
    return Mutant(f"direct_io.{name}", violates, faulty, lie, origin)


def of_writes(
    name: str,
    violates: tuple[str, ...],
    kind: type[DirectWrites],
    lie: str,
    origin: str = "",
) -> Mutant:
    """Return a mutant."""
    faulty = partial(boot, parts=Parts(make_direct_writes=kind))
    return Mutant(f"direct_io.{name}", violates, faulty, lie, origin)


class _NeverInvalidates(DirectWrites):
    """What the cache has of the range stays there, clean."""

    def drop(self, inode: Inode, pages: range) -> Stepped[bool]:
        yield from ()
        return True


class _DiscardsWhatIsDirty(DirectWrites):
    """The range is dropped from the cache without being written first."""

    def make_way(self, inode: Inode, pages: range) -> Stepped[bool]:
        inode.direct_writes.update(pages)
        return (yield from self.drop(inode, pages))

    def drop_page(self, inode: Inode, page: Page) -> bool:
        self.filesystem.orphan(inode, page)
        return True


class _InvalidatesOnce(DirectWrites):
    """The cache is invalidated before the write, and not again after it."""

    def invalidate_again(
        self, inode: Inode, writes: Sequence[BlockWrite]
    ) -> Stepped[None]:
        yield from ()


@attrs.define(eq=False)
class _InvalidatesAtSubmit(DirectWrites):
    """The second invalidation comes when the write is submitted, not when it landed."""

    inode: Inode | None = None

    def write_blocks(
        self, inode: Inode, first: int, buffers: Sequence[Page], asked: int
    ) -> Stepped[int]:
        self.inode = inode
        return super().write_blocks(inode, first, buffers, asked)

    def wait(self, writes: Sequence[BlockWrite]) -> Stepped[None]:
        assert self.inode is not None
        yield from super().invalidate_again(self.inode, writes)
        yield from super().wait(writes)

    def invalidate_again(
        self, inode: Inode, writes: Sequence[BlockWrite]
    ) -> Stepped[None]:
        yield from ()


class _InvalidatesTheFirstPage(DirectWrites):
    """Only the first page of the range is invalidated again."""

    def invalidate_again(
        self, inode: Inode, writes: Sequence[BlockWrite]
    ) -> Stepped[None]:
        yield from super().invalidate_again(inode, writes[:1])


class _LeavesMappedPages(DirectWrites):
    """A page that somebody has mapped is not invalidated again."""

    def invalidate_again(
        self, inode: Inode, writes: Sequence[BlockWrite]
    ) -> Stepped[None]:
        for write in writes:
            page = inode.space.pages.get(write.index)
            if page is None or not any(self.rmap.entries(inode.space, page)):
                yield from super().invalidate_again(inode, (write,))


class _ReadsWithoutFlush(DirectIo):
    """A direct read takes what the disk has, whatever the cache has."""

    def flush(self, inode: Inode, pages: range) -> Stepped[None]:
        yield from ()


class _FlushesTheFirstPage(DirectIo):
    """A direct read flushes the first page of its range, and no other."""

    def flush(self, inode: Inode, pages: range) -> Stepped[None]:
        return super().flush(inode, pages[:1])


CACHE: tuple[Mutant, ...] = (
    of_writes(
        "never_invalidates",
        ("DIO-INV-BEFORE", "DIO-INV-AFTER"),
        _NeverInvalidates,
        "what the cache has of the range stays there, clean",
    ),
    of_writes(
        "discards_what_is_dirty",
        ("DIO-INV-BEFORE",),
        _DiscardsWhatIsDirty,
        "the range is dropped from the cache without being written first",
    ),
    of_writes(
        "invalidates_once",
        ("DIO-INV-AFTER",),
        _InvalidatesOnce,
        "the cache is invalidated before the write, and not again after it",
        "Z32 (332391a9935d): one invalidation",
    ),
    of_writes(
        "invalidates_at_submit",
        ("DIO-INV-AFTER",),
        _InvalidatesAtSubmit,
        "the second invalidation comes when the write is submitted, not when it landed",
        "Z32 (332391a9935d, c771c14baa33): asynchronous direct writes",
    ),
    of_writes(
        "invalidates_the_first_page",
        ("DIO-INV-AFTER",),
        _InvalidatesTheFirstPage,
        "only the first page of the range is invalidated again",
    ),
    of_writes(
        "leaves_mapped_pages",
        ("DIO-INV-AFTER",),
        _LeavesMappedPages,
        "a page that somebody has mapped is not invalidated again",
        "Z32 (5a9d929d6e13): an invalidation that failed, unnoticed",
    ),
    of_buffers(
        "reads_without_flush",
        ("DIO-READ-FLUSH",),
        _ReadsWithoutFlush,
        "a direct read takes what the disk has, whatever the cache has",
    ),
    of_buffers(
        "flushes_the_first_page",
        ("DIO-READ-FLUSH",),
        _FlushesTheFirstPage,
        "a direct read flushes the first page of its range, and no other",
    ),
)
