"""Stacks whose own drivers do not do what callers of get_user_pages have to."""

from functools import partial

from conformance.interface import Step
from reference_impl.direct_io import DirectIo
from reference_impl.dma import Pin
from reference_impl.gup import GupFlags
from reference_impl.layers import Parts
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped


class _NeverDirties(DirectIo):
    """A driver pins for reading what it fills, and puts it as it is."""

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        flags = GupFlags(write=False)
        pin = yield from self.devices.get(process, mapping, page, pages, flags)
        yield Step("transfer.pinned")
        for buffer in pin.pages:
            if buffer is not None:
                self.fill(buffer, (value,) * len(buffer.words))
            yield Step("transfer.written")
        yield from self.devices.put_slots(pin, range(len(pin.pages)), None)
        return len(pin.pages)


class _PutsBeforeItWrites(DirectIo):
    """A driver dirties and puts its pages when the transfer is under way."""

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        flags = GupFlags(write=True)
        pin = yield from self.devices.get(process, mapping, page, pages, flags)
        buffers = list(pin.pages)
        yield from self.put(pin)
        yield Step("transfer.pinned")
        for buffer in buffers:
            self.fill(
                buffer, (value,) * self.devices.grab.memory.geometry.words_per_page
            )
            yield Step("transfer.written")
        return len(buffers)


class _DirtiesWhenItPins(DirectIo):
    """A driver has its pages dirtied first, and pins them for reading afterwards."""

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        writing, reading = GupFlags(write=True), GupFlags(write=False)
        pin = yield from self.devices.get(process, mapping, page, pages, writing)
        yield from self.put(pin)
        yield Step("transfer.pinned")
        pin = yield from self.devices.get(process, mapping, page, pages, reading)
        for buffer in pin.pages:
            if buffer is not None:
                self.fill(buffer, (value,) * len(buffer.words))
            yield Step("transfer.written")
        yield from self.devices.put_slots(pin, range(len(pin.pages)), None)
        return len(pin.pages)


class _PutsTheSecondPageFirst(DirectIo):
    """A driver puts every page but the first of a transfer before it writes to it."""

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Stepped[int]:
        flags = GupFlags(write=True)
        pin = yield from self.devices.get(process, mapping, page, pages, flags)
        buffers = list(pin.pages)
        rest = Pin(flags, [None, *buffers[1:]])
        pin.pages[1:] = []
        yield from self.put(rest)
        yield Step("transfer.pinned")
        for buffer in buffers:
            self.fill(
                buffer, (value,) * self.devices.grab.memory.geometry.words_per_page
            )
            yield Step("transfer.written")
        yield from self.put(pin)
        return len(buffers)


class _PutsADirectReadAtSubmit(DirectIo):
    """A direct read puts its buffer as soon as the disk has been asked."""

    def direct_read(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        inode = self.files.open(file)
        try:
            yield from self.write_back(inode)
            pages = min(pages, self.pages_inside(inode, file_page))
            if pages <= 0:
                return 0
            flags = GupFlags(write=True)
            pin = yield from self.devices.get_fast(process, mapping, page, pages, flags)
            buffers = list(pin.pages)
            yield from self.put(pin)
            yield Step("direct_read.pinned")
            for slot, buffer in enumerate(buffers):
                words = self.files.filesystem.read_block(inode, file_page + slot)
                self.fill(buffer, words)
            return len(buffers)
        finally:
            self.files.close(inode)


class _DirtiesWhatItReads(DirectIo):
    """A direct write puts the pages that it has read as dirty."""

    def direct_write(
        self,
        process: int,
        mapping: int,
        page: int,
        file: int,
        file_page: int,
        pages: int,
    ) -> Stepped[int]:
        done = yield from super().direct_write(
            process, mapping, page, file, file_page, pages
        )
        for slot in self.dirtied(done):
            flags = GupFlags(write=False)
            pin = yield from self.devices.get(process, mapping, page + slot, 1, flags)
            yield from self.put(pin)
        return done

    def dirtied(self, done: int) -> range:
        """Return which of the pages read are put as dirty."""
        return range(done)


class _DirtiesTheSecondPageItReads(_DirtiesWhatItReads):
    """A direct write puts all but the first of the pages it has read as dirty."""

    def dirtied(self, done: int) -> range:
        return range(1, done)


def _drivers(
    name: str, violates: tuple[str, ...], kind: type[DirectIo], lie: str, origin: str
) -> Mutant:
    faulty = partial(boot, parts=Parts(make_direct_io=kind))
    return Mutant(f"dirty.{name}", violates, faulty, lie, origin)


MUTANTS: tuple[Mutant, ...] = (
    _drivers(
        "never_dirties",
        ("DRT-AFTER", "MKW-DEVICE"),
        _NeverDirties,
        "a driver pins for reading what it fills, and puts it as it is",
        "",
    ),
    _drivers(
        "puts_before_it_writes",
        ("DRT-AFTER",),
        _PutsBeforeItWrites,
        "a driver dirties and puts its pages when the transfer is under way",
        "",
    ),
    _drivers(
        "dirties_when_it_pins",
        ("DRT-AFTER",),
        _DirtiesWhenItPins,
        "a driver has its pages dirtied first, and pins them for reading afterwards",
        "DRT-BEFORE-NOT-ENOUGH: proposed in March 2019, and refused",
    ),
    _drivers(
        "puts_the_second_page_first",
        ("DRT-AFTER",),
        _PutsTheSecondPageFirst,
        "a driver puts every page but the first before it writes to it",
        "",
    ),
    _drivers(
        "puts_a_direct_read_at_submit",
        ("DRT-AFTER",),
        _PutsADirectReadAtSubmit,
        "a direct read puts its buffer as soon as the disk has been asked",
        "Z28 (CVE-2022-1011): a buffer let go of when the request was submitted",
    ),
    _drivers(
        "dirties_what_it_reads",
        ("DRT-READPIN",),
        _DirtiesWhatItReads,
        "a direct write puts the pages that it has read as dirty",
        "",
    ),
    _drivers(
        "dirties_the_second_page_it_reads",
        ("DRT-READPIN",),
        _DirtiesTheSecondPageItReads,
        "a direct write puts all but the first of the pages it has read as dirty",
        "",
    ),
)
