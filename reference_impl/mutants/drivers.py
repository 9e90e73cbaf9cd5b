"""Stacks whose own drivers do not do what callers of get_user_pages have to."""

from functools import partial

from conformance.interface import Step
from reference_impl.direct_io import Buffer, DirectIo
from reference_impl.dma import Pin
from reference_impl.gup import GupFlags
from reference_impl.layers import Parts
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

_TRANSFER = "device_transfer"


class _NeverDirties(DirectIo):
    """A driver pins for reading what it fills, and puts it as it is."""

    def fills_buffer(self, who: str) -> bool:
        return who == "direct_read"


class _PutsBeforeItWrites(DirectIo):
    """A driver dirties and puts its pages when the transfer is under way."""

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        if who == _TRANSFER:
            yield from self.put(pin)


class _DirtiesWhenItPins(_NeverDirties):
    """A driver has its pages dirtied first, and pins them for reading afterwards."""

    def pin_buffer(self, who: str, buffer: Buffer) -> Stepped[Pin]:
        if who == _TRANSFER:
            where = buffer.process, buffer.mapping, buffer.page, buffer.pages
            pin = yield from self.devices.get(*where, GupFlags(write=True))
            yield from self.put(pin)
            yield Step("transfer.pinned")
        return (yield from super().pin_buffer(who, buffer))


class _PutsTheSecondPageFirst(DirectIo):
    """A driver puts every page but the first of a transfer before it writes to it."""

    def begin(self, who: str, pin: Pin) -> Stepped[None]:
        if who == _TRANSFER:
            yield from self.put(Pin(pin.flags, [None, *pin.pages[1:]]))
            pin.pages[1:] = []


class _DirtiesWhatItReads(DirectIo):
    """A direct write puts the pages that it has read as dirty."""

    def put_clean(self, pin: Pin) -> Stepped[None]:
        slots = range(len(pin.pages))
        yield from self.devices.put_slots(pin, slots[: self.kept_clean], None)
        make_dirty = self.devices.dirty.make_dirty_lock
        yield from self.devices.put_slots(pin, slots[self.kept_clean :], make_dirty)

    @property
    def kept_clean(self) -> int:
        """How many pages of a buffer are put as they are."""
        return 0


class _DirtiesTheSecondPageItReads(_DirtiesWhatItReads):
    """A direct write puts all but the first of the pages it has read as dirty."""

    @property
    def kept_clean(self) -> int:
        """How many pages of a buffer are put as they are."""
        return 1


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
