"""The disk: a queue of block writes, worked off by an actor of its own.

A write carries a reference to the page that holds its content, not the content.
The disk looks at it late: whoever changes the page in between changes what is
written, while a checksum or parity made earlier stays as it was. That is the
fault which stable pages exist to prevent.

Fault model: a write may be held before or after its content is captured, and may
fail, leaving the block as it was. A block is written as a whole. With a volatile
cache a write ends before it is safe; a power cut loses the cache, all of it. With
parity, block and parity of a write change together: the write hole between them is
not modelled.

Interface:
  * `submit` queues a write, whose `on_done` is called when it has ended.
  * `read` answers at once; it sees the cache of the disk.
  * `flush` makes safe what has ended. `image` copies the disk as it stands.
  * `work` is the actor.
"""

from collections.abc import Callable, Iterable

import attrs

from conformance.interface import (
    Errno,
    Event,
    Geometry,
    HoldPoint,
    KernelError,
    Step,
    Wait,
)
from conformance.interface.events import BlockCaptured
from reference_impl.memory import Page
from reference_impl.stepping import Stepped

STRIPE_BLOCKS = 2
"""Data blocks in a stripe; its parity is kept beside them."""

Words = tuple[int, ...]
"""The content of a block."""


@attrs.define(eq=False)
class WriteRequest:
    """One block on its way to the disk."""

    block: int
    source: Page
    """The page to capture the content from: a live reference."""
    promised: Words
    """The content that checksum and parity were made of."""
    on_done: Callable[[bool], None]
    """Called at the end; True: the write has failed."""
    captured: Words | None = None
    """The content as the disk took it over; None: not yet."""


@attrs.frozen
class DiskImage:
    """A copy of the disk, as a power cut leaves it."""

    blocks: dict[int, Words]
    parity: dict[int, Words]
    busy_stripes: frozenset[int]
    """Stripes with a write in flight; their parity may not be judged."""


@attrs.define(eq=False)
class Disk:
    """The block device."""

    geometry: Geometry
    has_cache: bool = False
    has_parity: bool = False
    tell: Callable[[Event], None] | None = None
    medium: dict[int, Words] = attrs.field(factory=dict[int, Words])
    """Blocks that are safe; a block that is missing is zero."""
    parity: dict[int, Words] = attrs.field(factory=dict[int, Words])
    """By stripe; safe like the medium."""
    cache: dict[int, Words] = attrs.field(factory=dict[int, Words])
    """Blocks written but not flushed, if the disk has a volatile cache."""
    parity_cache: dict[int, Words] = attrs.field(factory=dict[int, Words])
    queue: list[WriteRequest] = attrs.field(factory=list[WriteRequest])
    """Writes whose content has not been captured."""
    captured: list[WriteRequest] = attrs.field(factory=list[WriteRequest])
    """Writes whose content has been captured and that have not ended."""
    held_at: HoldPoint | None = None
    fails_next_write: bool = False
    fails_next_read: bool = False

    # --- the actor --------------------------------------------------------------

    def work(self) -> Stepped[None]:
        """Work off the queue for ever: capture, then write."""
        while True:
            yield Wait("disk", self.has_work)
            if self.may_finish():
                self.finish(self.captured.pop(0))
                yield Step("disk.written")
            else:
                yield from self.take(self.queue[0])

    def take(self, request: WriteRequest) -> Stepped[None]:
        """Take a write from the queue, and capture its content."""
        yield Step("disk.request_taken")
        self.queue.remove(request)
        self.capture(request)
        yield Step("disk.captured")

    def has_work(self) -> bool:
        """Whether a write can be captured or ended now."""
        return self.may_finish() or self.may_capture()

    def may_capture(self) -> bool:
        """Whether there is a write to capture and no hold before it."""
        return bool(self.queue) and self.held_at is not HoldPoint.BEFORE_CAPTURE

    def may_finish(self) -> bool:
        """Whether there is a captured write and no hold after it."""
        return bool(self.captured) and self.held_at is not HoldPoint.AFTER_CAPTURE

    def capture(self, request: WriteRequest) -> None:
        """Take over the content of a write, as it is at this moment."""
        request.captured = tuple(request.source.words)
        self.captured.append(request)
        if self.tell is not None:
            self.tell(BlockCaptured(request.block, request.captured))

    def finish(self, request: WriteRequest) -> None:
        """End a captured write, on the medium or in failure."""
        assert request.captured is not None, f"block {request.block} was not captured"
        failed = self.fails_next_write
        self.fails_next_write = False
        if not failed:
            self.write_block(request.block, request.captured, request.promised)
        request.on_done(failed)

    def write_block(self, block: int, words: Words, promised: Words) -> None:
        """Put a block where writes go, and bring the parity of its stripe along."""
        if self.has_parity:
            stripe = block // STRIPE_BLOCKS
            parity = xor((self.read_parity(stripe), self.look(block), promised))
            (self.parity_cache if self.has_cache else self.parity)[stripe] = parity
        (self.cache if self.has_cache else self.medium)[block] = words

    # --- what its users do --------------------------------------------------------

    def submit(self, request: WriteRequest) -> None:
        """Queue a write; its content is looked at later."""
        self.queue.append(request)

    def read(self, block: int) -> Words:
        """Read a block.

        Raises:
            KernelError: EIO, if the read was made to fail.
        """
        if self.fails_next_read:
            self.fails_next_read = False
            raise KernelError(Errno.EIO, f"block {block} cannot be read")
        return self.look(block)

    def look(self, block: int) -> Words:
        """Return what a block holds, the volatile cache included."""
        if block in self.cache:
            return self.cache[block]
        return self.medium.get(block, self.zeros)

    def read_parity(self, stripe: int) -> Words:
        """Return the parity of a stripe, the volatile cache included."""
        if stripe in self.parity_cache:
            return self.parity_cache[stripe]
        return self.parity.get(stripe, self.zeros)

    @property
    def zeros(self) -> Words:
        """A block that nobody has written."""
        return (0,) * self.geometry.words_per_page

    def flush(self) -> None:
        """Make safe every write that has ended."""
        self.medium.update(self.cache)
        self.parity.update(self.parity_cache)
        self.cache.clear()
        self.parity_cache.clear()

    def in_flight(self) -> Iterable[WriteRequest]:
        """Return the writes that have been submitted and have not ended."""
        return (*self.queue, *self.captured)

    def image(self) -> DiskImage:
        """Copy the disk as a power cut would leave it: without its cache."""
        busy = frozenset(request.block // STRIPE_BLOCKS for request in self.in_flight())
        return DiskImage(dict(self.medium), dict(self.parity), busy)


def xor(blocks: Iterable[Words]) -> Words:
    """Combine blocks into parity, word by word."""
    first, *others = blocks
    for other in others:
        first = tuple(a ^ b for a, b in zip(first, other, strict=True))
    return first


def has_parity_mismatch(image: DiskImage, block: int, word: int) -> bool:
    """Tell whether a word of a block's stripe contradicts the stripe's parity."""
    stripe = block // STRIPE_BLOCKS
    if stripe in image.busy_stripes:
        return False
    expected = image.parity[stripe][word] if stripe in image.parity else 0
    members = range(stripe * STRIPE_BLOCKS, (stripe + 1) * STRIPE_BLOCKS)
    for member in members:
        if member in image.blocks:
            expected ^= image.blocks[member][word]
    return expected != 0
