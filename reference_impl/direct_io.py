"""The stack's own drivers: direct I/O in its short form, and an RDMA-like device.

They obey the rules for callers: pin, access, mark dirty after the last write, put.
A direct write captures the buffer before it goes anywhere and then goes through
the page cache of its target, as filesystems with checksums do.

Interface:
  * The methods are the operations; each answers how many pages it has done.
"""

import attrs

from conformance.interface import KernelError, Step
from reference_impl.dma import Devices, Pin
from reference_impl.files import Files
from reference_impl.gup import GupFlags
from reference_impl.inode import Inode
from reference_impl.memory import Page
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback


@attrs.define(eq=False)
class DirectIo:
    """Drivers that use get_user_pages."""

    devices: Devices
    files: Files
    writeback: Writeback

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
            yield from self.write_back(inode)
            pages = min(pages, self.pages_inside(inode, file_page))
            if pages <= 0:
                return 0
            flags = GupFlags(write=True)
            pin = yield from self.devices.get_fast(process, mapping, page, pages, flags)
            yield Step("direct_read.pinned")
            refusal = None
            for slot, buffer in enumerate(pin.pages):
                try:
                    words = yield from self.read_page(inode, file_page + slot)
                except KernelError as error:
                    refusal = error
                    break
                self.fill(buffer, words)
                yield Step("direct_read.written")
            yield from self.put(pin)
            if refusal is not None:
                raise refusal
            return len(pin.pages)
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
            flags = GupFlags(write=False)
            pin = yield from self.devices.get_fast(process, mapping, page, pages, flags)
            yield Step("direct_write.pinned")
            captured = [tuple(buffer.words) for buffer in pin.pages if buffer]
            yield Step("direct_write.captured")
            yield from self.devices.put_slots(pin, range(len(pin.pages)), None)
            yield from self.files.begin_write(inode, "direct_write")
            try:
                for slot, words in enumerate(captured):
                    content = dict(enumerate(words))
                    yield from self.files.write_words(inode, file_page + slot, content)
            finally:
                self.files.end_write(inode)
            yield from self.write_back(inode)
            return len(captured)
        finally:
            self.files.close(inode)

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        """Fill pages of a mapping with one stamp."""
        flags = GupFlags(write=True)
        pin = yield from self.devices.get(process, mapping, page, pages, flags)
        yield Step("transfer.pinned")
        for buffer in pin.pages:
            if buffer is not None:
                self.fill(buffer, (value,) * len(buffer.words))
            yield Step("transfer.written")
        yield from self.put(pin)
        return len(pin.pages)

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

    def put(self, pin: Pin) -> Stepped[None]:
        """Mark the pages of a pin dirty, after the last write, and put them."""
        slots = range(len(pin.pages))
        yield from self.devices.put_slots(
            pin, slots, self.devices.dirty.make_dirty_lock
        )

    def write_back(self, inode: Inode) -> Stepped[None]:
        """Write what the page cache has of a file, and wait for it."""
        refusal = yield from self.writeback.write_pages(inode)
        yield from self.writeback.wait_pages(inode)
        if refusal is not None:
            raise refusal

    def pages_inside(self, inode: Inode, first: int) -> int:
        """Return how many pages of a file lie between a page and its end."""
        words_per_page = self.files.filesystem.geometry.words_per_page
        return -(-inode.size_words // words_per_page) - first
