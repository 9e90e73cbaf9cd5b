"""Which operations can be asked: what makes every program legal.

An operation on a handle that does not exist, whose maker is still pending or was
refused, or that creates a handle that exists, is skipped.

Interface:
  * `why_skipped(operation)` before it is asked: a reason, or None.
  * `asked(call)` and `answered(call)`: see `handle_state.py`.
"""

from collections.abc import Callable, Iterator

import attrs

from conformance.engines.handle_state import ON_PIN, HandleState, Pin, pages_of
from conformance.interface import (
    Attach,
    ClearRefs,
    Clone,
    Create,
    Dedupe,
    Detach,
    DeviceComplete,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Dontneed,
    Evict,
    Exit,
    FillDisk,
    Fork,
    FreeDisk,
    Freeze,
    Fsync,
    GetUserPages,
    Hold,
    Load,
    Merge,
    Migrate,
    MirrorRead,
    MirrorWrite,
    Mmap,
    Mount,
    Mprotect,
    Mremap,
    Munmap,
    Operation,
    Pageout,
    PunchHole,
    PutPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    Read,
    Reclaim,
    Release,
    SetPageDirtyLock,
    Split,
    Steal,
    Store,
    Sync,
    Thaw,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)

_ON_FILE = (
    Read,
    Write,
    Truncate,
    PunchHole,
    Fsync,
    Writeback,
    Evict,
    Unlink,
    Reclaim,
    DirectRead,
    DirectWrite,
    Clone,
    Dedupe,
    Steal,
    Split,
)
_ON_MAPPING = (
    Munmap,
    Mprotect,
    Mremap,
    Load,
    Store,
    GetUserPages,
    DirectRead,
    DirectWrite,
    DeviceTransfer,
    Dontneed,
    Attach,
    Pageout,
    Migrate,
    Merge,
)
_ON_DEVICE = (Detach, MirrorRead, MirrorWrite)
_DIRTYING = (SetPageDirtyLock, PutUserPagesDirty, PutUserPagesDirtyLock)
_NEEDS_MOUNT = (*_ON_FILE, Create, Sync, Freeze, FillDisk, FreeDisk, Umount)


_WRONG_STATE: dict[type[Operation], tuple[Callable[[HandleState], bool], str]] = {
    Hold: (lambda state: state.is_held, "the disk is held"),
    Release: (lambda state: not state.is_held, "the disk is not held"),
    Freeze: (lambda state: state.is_frozen, "the filesystem is frozen"),
    Thaw: (lambda state: not state.is_frozen, "the filesystem is not frozen"),
    FillDisk: (lambda state: state.is_full, "the disk is full"),
    FreeDisk: (lambda state: not state.is_full, "the disk was not filled"),
    Umount: (
        lambda state: state.is_frozen or state.is_held,
        "the filesystem is busy",
    ),
}
"""In which state an operation cannot be asked, and how that is called."""


@attrs.define(eq=False)
class Handles(HandleState):
    """The handles of one run, and what can be done with them."""

    # --- before ---------------------------------------------------------------

    def why_skipped(self, operation: Operation) -> str | None:
        """Return why an operation cannot be asked now, or None."""
        for reason in (
            self._mount_trouble,
            self._file_trouble,
            self._process_trouble,
            self._mapping_trouble,
            self._pin_trouble,
            self._device_trouble,
            self._state_trouble,
            self._maker_trouble,
        ):
            trouble = reason(operation)
            if trouble is not None:
                return trouble
        return None

    def _mount_trouble(self, operation: Operation) -> str | None:
        is_mmap = isinstance(operation, Mmap) and operation.file is not None
        if (is_mmap or isinstance(operation, _NEEDS_MOUNT)) and not self.is_mounted:
            return "the filesystem is not mounted"
        if isinstance(operation, Mount) and self.is_mounted:
            return "the filesystem is mounted"
        return None

    def _file_trouble(self, operation: Operation) -> str | None:
        is_mmap = isinstance(operation, Mmap) and operation.file is not None
        if not is_mmap and not isinstance(operation, _ON_FILE):
            return None
        names = [getattr(operation, "file")]  # noqa: B009 - a union of a dozen classes
        if isinstance(operation, Dedupe):
            names.append(operation.other)
        missing = [name for name in names if not self.files.get(name)]
        return f"file {missing[0]} does not exist" if missing else None

    def _process_trouble(self, operation: Operation) -> str | None:
        if isinstance(operation, Mmap) and operation.process in self.forking:
            return f"process {operation.process} is being made"
        if not isinstance(operation, (Fork, Exit, ClearRefs)):
            return None
        known = operation.process in self.processes
        return None if known else f"process {operation.process} does not exist"

    def _mapping_trouble(self, operation: Operation) -> str | None:
        if not isinstance(operation, _ON_MAPPING):
            return None
        key = operation.process, operation.mapping
        pages = self.mappings.get(key)
        if pages is None:
            return f"mapping {key} does not exist"
        if isinstance(operation, Merge):
            return self._merge_trouble(key)
        first = getattr(operation, "page", 0)
        last = first + getattr(operation, "pages", 1) - 1
        is_inside = self.misuse or 0 <= first <= last < pages
        return None if is_inside else f"mapping {key} has no page {last}"

    def _pin_trouble(self, operation: Operation) -> str | None:
        if not isinstance(operation, ON_PIN):
            return None
        pin = self.pins.get(operation.pin)
        if pin is None or pin.granted is None:
            return f"pin {operation.pin} does not exist"
        if self.misuse:
            return None
        return next(_misuses(operation, pin), None)

    def _merge_trouble(self, key: tuple[int, int]) -> str | None:
        return None if key in self.private else f"mapping {key} is shared"

    def _device_trouble(self, operation: Operation) -> str | None:
        if not isinstance(operation, _ON_DEVICE):
            return None
        pages = self.devices.get(operation.device)
        if pages is None:
            return f"device {operation.device} is not attached"
        page = getattr(operation, "page", 0)
        is_inside = self.misuse or 0 <= page < pages
        return None if is_inside else f"device {operation.device} has no page {page}"

    def _state_trouble(self, operation: Operation) -> str | None:
        wrong = _WRONG_STATE.get(type(operation))
        if wrong is None:
            return None
        applies, reason = wrong
        return reason if applies(self) else None

    def _maker_trouble(self, operation: Operation) -> str | None:
        trouble = None
        match operation:
            case Create(file=file) | Clone(clone=file) if file in self.files:
                trouble = f"file {file} exists"
            case Attach(device=device) if device in self.devices:
                trouble = f"device {device} is attached"
            case Mmap(process=process, mapping=mapping) if (
                process,
                mapping,
            ) in self.mappings:
                trouble = f"mapping {process, mapping} exists"
            case Fork(child=child) if child in self.processes | self.forking.keys():
                trouble = f"process {child} exists"
            case GetUserPages(pin=pin) if pin in self.pins:
                trouble = f"pin {pin} exists"
            case _:
                pass
        return trouble


def _misuses(operation: Operation, pin: Pin) -> Iterator[str]:
    """Yield what is wrong with an operation on a pin, for callers who behave."""
    if isinstance(operation, PutPage) is pin.tracked:
        yield "the pin is not put in this way"
    if isinstance(operation, (DeviceWrite, DeviceComplete)) and not pin.write:
        yield "the pin is not for writing"
    if isinstance(operation, _DIRTYING) and not pin.write:
        yield "the pin was not written"
    if pin.putting and isinstance(operation, PutUserPages) and operation.pages is None:
        yield "some of its pages are being put: which are left is not known"
    wanted = pages_of(operation, pin)
    if not wanted or not wanted <= pin.unput:
        yield "the pin has no such page"
