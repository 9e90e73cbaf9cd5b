"""The disk, and the blocks of it that are spoken for.

Fault model: a block is written whole or not at all. A write looks at its content
late, when it is captured, so whoever changes a page in between is found out by the
checksum. One write or one read can be made to fail; then nothing has happened.
Writes end in the order in which they were submitted.

Interface:
  * To write a block, make a `DiskWrite` and `submit` it; its `end` is called with
    True, or with False if it failed. That may be before `submit` returns.
  * To be sure of a block later, `reserve` one in `Space`, and `allocate` it then.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, HoldPoint, KernelError

Words = tuple[int, ...]


@attrs.define(eq=False)
class DiskWrite:
    """A write of one block, from its submission to its end."""

    block: int
    content: Callable[[], Words]
    """Gives the words to be written; asked once, when they are captured."""
    end: Callable[[bool], None]
    """Called once, with whether the write succeeded."""
    is_doomed: bool = False
    """It will fail."""
    is_ended: bool = False
    _captured: Words | None = None

    def capture(self) -> Words:
        """Take over the content, unless that has been done."""
        if self._captured is None:
            self._captured = self.content()
        return self._captured


@attrs.define(eq=False)
class Disk:
    """Blocks, and the writes that are on their way to them."""

    blocks: dict[int, Words] = attrs.field(factory=dict[int, Words])
    queue: list[DiskWrite] = attrs.field(factory=list[DiskWrite])
    """Writes that have not ended; empty unless the disk is held."""
    held_at: HoldPoint | None = None
    is_next_write_doomed: bool = False
    is_next_read_doomed: bool = False

    def submit(self, write: DiskWrite) -> None:
        """Start a write; it has ended on return unless the disk is held."""
        write.is_doomed = self.is_next_write_doomed
        self.is_next_write_doomed = False
        self.queue.append(write)
        if self.held_at is HoldPoint.AFTER_CAPTURE:
            write.capture()
        elif self.held_at is None:
            self.release()

    def release(self) -> None:
        """End every write, and hold none from now on."""
        self.held_at = None
        while self.queue:
            write = self.queue.pop(0)
            words = write.capture()
            if not write.is_doomed:
                self.blocks[write.block] = words
            write.is_ended = True
            write.end(not write.is_doomed)

    def read(self, block: int) -> Words:
        """Give the words of a block, or fail with EIO."""
        if self.is_next_read_doomed:
            self.is_next_read_doomed = False
            raise KernelError(Errno.EIO, f"block {block} cannot be read")
        return self.blocks[block]


@attrs.define(eq=False)
class Space:
    """Which blocks are allocated, and how many of the others are promised."""

    unallocated: set[int]
    reserved: int = 0
    """Promised to a dirty page, or to a pin for the time when it is put."""
    filled: int = 0
    """Taken away by `fill`."""
    sharers: dict[int, int] = attrs.field(factory=dict[int, int])
    """How many more than one have a block."""

    @property
    def free(self) -> int:
        """Blocks that nobody has or was promised."""
        return len(self.unallocated) - self.reserved - self.filled

    def require(self, blocks: int) -> None:
        """Refuse with ENOSPC what needs more blocks than are free."""
        if blocks > self.free:
            raise KernelError(Errno.ENOSPC, f"{self.free} free, {blocks} needed")

    def reserve(self) -> None:
        """Promise one block."""
        self.require(1)
        self.reserved += 1

    def unreserve(self) -> None:
        """Take a promise back."""
        assert self.reserved > 0, "no block is promised"
        self.reserved -= 1

    def allocate(self) -> int:
        """Turn a promise into a block."""
        self.unreserve()
        block = min(self.unallocated)
        self.unallocated.remove(block)
        return block

    def share(self, block: int) -> None:
        """Let one more have a block."""
        self.sharers[block] = self.sharers.get(block, 0) + 1

    def unallocate(self, block: int) -> None:
        """Give a block back; it is free when the last who has it does."""
        assert block not in self.unallocated, f"block {block} is free already"
        if self.sharers.get(block):
            self.sharers[block] -= 1
            return
        self.unallocated.add(block)

    def fill(self) -> None:
        """Take all that is free."""
        self.filled += self.free
