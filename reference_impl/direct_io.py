"""The stack's own drivers: direct I/O, and an RDMA-like device.

They obey the rules for callers: pin, access, mark dirty after the last write, put.
The pins are held until the last page has been transferred, not only until it was
asked for. No lock of a file is held while a buffer is pinned: the buffer may be a
mapping of the very pages that are transferred.

Interface:
  * The methods are the operations; each answers how many pages it has done.
  * `pin_buffer`, `begin` and `end` are what all of them do around their transfer;
    `who` is the operation.
"""

import attrs

from conformance.interface import KernelError, Step
from reference_impl.direct_write import DirectWrites
from reference_impl.dma import Devices, Pin
from reference_impl.files import Files
from reference_impl.gup import GupFlags
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback


@attrs.frozen
class Buffer:
    """Pages of a mapping that a driver is asked to transfer to or from."""

    process: int
    mapping: int
    page: int
    pages: int


@attrs.define(eq=False)
class DirectIo:
    """Drivers that use get_user_pages."""

    devices: Devices
    files: Files
    writeback: Writeback
    writes: DirectWrites

    # --- the operations -----------------------------------------------------------

    def direct_read(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        """Read pages of a file from the disk into a mapping."""
        inode = self.files.open(file)
        try:
            yield from self.flush(inode, range(file_page, file_page + pages))
            yield Step("direct_read.flushed")
            inside = min(pages, self.pages_inside(inode, file_page))
            if inside <= 0:
                return 0
            buffer = Buffer(process, mapping, page, inside)
            pin = yield from self.pin_buffer("direct_read", buffer)
            buffers = list(pin.pages)
            yield from self.begin("direct_read", pin)
            yield Step("direct_read.pinned")
            refusal = yield from self.read_pages(inode, file_page, buffers)
            yield from self.end("direct_read", pin)
            if refusal is not None:
                raise refusal
            return self.count_read(buffer, buffers)
        finally:
            self.files.close(inode)

    def direct_write(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        """Write pages of a file from a mapping to the disk."""
        inode = self.files.open(file)
        try:
            yield from self.prepare_target(inode, range(file_page, file_page + pages))
            buffer = Buffer(process, mapping, page, pages)
            pin = yield from self.pin_buffer("direct_write", buffer)
            buffers = [found for found in pin.pages if found is not None]
            yield from self.begin("direct_write", pin)
            yield Step("direct_write.pinned")
            refusal, done = None, 0
            try:
                if buffers:
                    done = yield from self.writes.write(
                        inode, file_page, buffers, pages
                    )
            except KernelError as error:
                refusal = error
            yield from self.end("direct_write", pin)
            if refusal is not None:
                raise refusal
            return done
        finally:
            self.files.close(inode)

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        """Fill pages of a mapping with one stamp."""
        buffer = Buffer(process, mapping, page, pages)
        pin = yield from self.pin_buffer("device_transfer", buffer)
        buffers = list(pin.pages)
        yield from self.begin("device_transfer", pin)
        yield Step("transfer.pinned")
        for found in buffers:
            self.fill(found, (value,) * self.words_per_page)
            yield Step("transfer.written")
        yield from self.end("device_transfer", pin)
        return len(buffers)

    # --- around a transfer --------------------------------------------------------

    def pin_buffer(self, who: str, buffer: Buffer) -> Stepped[Pin]:
        """Pin the buffer, for writing if the transfer writes to it.

        The last part of it may not be there; then the pin is short.

        Raises:
            KernelError: not even one page can be had.
        """
        get = self.devices.get
        if who != "device_transfer":
            get = self.devices.get_fast
        flags = GupFlags(write=self.fills_buffer(who))
        return get(buffer.process, buffer.mapping, buffer.page, buffer.pages, flags)

    def fills_buffer(self, who: str) -> bool:
        """Tell whether a transfer writes to its buffer."""
        return who != "direct_write"

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        """Do what can be done before the transfer: nothing."""
        yield from ()

    def end(self, who: str, pin: Pin) -> Stepped[None]:
        """Let go of the buffer; the transfer has ended."""
        if self.fills_buffer(who):
            yield from self.put(pin)
        else:
            yield from self.put_clean(pin)

    def put(self, pin: Pin) -> Stepped[None]:
        """Mark the pages of a pin dirty, after the last write, and put them."""
        slots = range(len(pin.pages))
        yield from self.devices.put_slots(
            pin, slots, self.devices.dirty.make_dirty_lock
        )

    def put_clean(self, pin: Pin) -> Stepped[None]:
        """Put the pages of a pin that were only read."""
        yield from self.devices.put_slots(pin, range(len(pin.pages)), None)

    # --- the parts of a transfer --------------------------------------------------

    def flush(self, inode: Inode, pages: range) -> Stepped[None]:
        """Write what the page cache has of a range that is to be read."""
        return self.writes.flush(inode, pages)

    def prepare_target(self, inode: Inode, pages: range) -> Stepped[None]:
        """Do what is done to the target before the buffer is pinned: nothing."""
        yield from ()

    def read_pages(
        self, inode: Inode, first: int, buffers: list[Page | None]
    ) -> Stepped[KernelError | None]:
        """Fill buffers with pages of a file; return what ended it early."""
        for slot, buffer in enumerate(buffers):
            try:
                words = yield from self.read_page(inode, first + slot)
            except KernelError as error:
                return error
            self.fill(buffer, words)
            yield Step("direct_read.written")
        return None

    def read_page(self, inode: Inode, index: int) -> Stepped[tuple[int, ...]]:
        """Read a page of a file from the disk, or from memory if there is no disk."""
        filesystem = self.files.filesystem
        if inode.space.is_tracked:
            return filesystem.read_block(inode, index)
        page = yield from filesystem.find_page(inode, index)
        words = tuple(page.words)
        filesystem.memory.put(page)
        return words

    def fill(self, buffer: Page | None, words: tuple[int, ...]) -> None:
        """Write a whole page as a device does."""
        assert buffer is not None, "a page was put while in use"
        buffer.words[:] = words

    def count_read(self, buffer: Buffer, filled: list[Page | None]) -> int:
        """Return how many pages the caller is told were read."""
        return len(filled)

    def pages_inside(self, inode: Inode, first: int) -> int:
        """Return how many pages of a file lie between a page and its end."""
        return -(-inode.size_words // self.words_per_page) - first

    @property
    def words_per_page(self) -> int:
        """How many words a page has."""
        return self.files.filesystem.geometry.words_per_page
