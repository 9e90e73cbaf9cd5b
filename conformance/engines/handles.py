"""Which handles exist: what makes every program legal.

An operation on a handle that does not exist, whose maker is still pending or was
refused, or that creates a handle that exists, is skipped. A handle is in use from
the moment its maker is asked; it exists once the maker has answered.

Interface:
  * `why_skipped(operation)` before it is asked: a reason, or None.
  * `asked(call)` when it is asked, `answered(call)` when it has answered.
"""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from conformance.interface import (
    Attach,
    ClearRefs,
    Clone,
    Create,
    Dedupe,
    Detach,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
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
    Geometry,
    GetUserPages,
    GetUserPagesFast,
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
    PutUserPage,
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
from conformance.oracle.history import Call

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
_ON_PIN = (
    PutUserPage,
    PutUserPages,
    PutPage,
    SetPageDirtyLock,
    DeviceWrite,
    DeviceRead,
    DeviceComplete,
    DeviceAbort,
)
_DIRTYING = (SetPageDirtyLock, PutUserPagesDirty, PutUserPagesDirtyLock)
_NEEDS_MOUNT = (*_ON_FILE, Create, Sync, Freeze, FillDisk, FreeDisk, Umount)


@attrs.define(eq=False)
class Pin:
    """A pin handle in use."""

    granted: int | None = None
    """Pages granted; None: the call has not answered."""
    write: bool = True
    tracked: bool = True
    unput: set[int] = attrs.field(factory=set[int])
    """Pages granted and not yet asked to be put."""
    putting: int = 0
    """Puts that were asked and have not answered; the handle is in use till then."""


@attrs.define(eq=False)
class Handles:
    """The handles of one run."""

    geometry: Geometry
    misuse: bool = False
    files: dict[int, bool] = attrs.field(factory=lambda: {0: True})
    """File handles ever used; True: it has a name now."""
    processes: set[int] = attrs.field(factory=lambda: {0})
    mappings: dict[tuple[int, int], int | None] = attrs.field(
        factory=dict[tuple[int, int], "int | None"]
    )
    """Pages of each mapping; None: its maker has not answered."""
    pins: dict[int, Pin] = attrs.field(factory=dict[int, Pin])
    devices: dict[int, int | None] = attrs.field(factory=dict[int, "int | None"])
    """Pages of the mapping that each attached device follows; None: not yet."""
    private: set[tuple[int, int]] = attrs.field(factory=set[tuple[int, int]])
    """Mappings that show memory of their own: anonymous ones, and private ones."""
    anonymous: set[tuple[int, int]] = attrs.field(factory=set[tuple[int, int]])
    """Those of them that have no file; an umount leaves them."""
    is_held: bool = False
    is_frozen: bool = False
    is_full: bool = False
    is_mounted: bool = True

    def __attrs_post_init__(self) -> None:
        self.mappings[0, 0] = self.geometry.file_pages

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
        if not isinstance(operation, _ON_PIN):
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
        troubles: dict[type[Operation], tuple[bool, str]] = {
            Hold: (self.is_held, "the disk is held"),
            Release: (not self.is_held, "the disk is not held"),
            Freeze: (self.is_frozen, "the filesystem is frozen"),
            Thaw: (not self.is_frozen, "the filesystem is not frozen"),
            FillDisk: (self.is_full, "the disk is full"),
            FreeDisk: (not self.is_full, "the disk was not filled"),
            Umount: (self.is_frozen or self.is_held, "the filesystem is busy"),
        }
        applies, reason = troubles.get(type(operation), (False, ""))
        return reason if applies else None

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
            case Fork(child=child) if child in self.processes:
                trouble = f"process {child} exists"
            case GetUserPages(pin=pin) if pin in self.pins:
                trouble = f"pin {pin} exists"
            case _:
                pass
        return trouble

    # --- when asked -----------------------------------------------------------

    def asked(self, call: Call) -> None:
        """Note that a call was asked: what it makes is in use, what it ends is gone."""
        operation = call.operation
        begin = _WHEN_ASKED.get(type(operation))
        if begin is not None:
            begin(self, operation)

    def _begin_create(self, operation: Create) -> None:
        self.files[operation.file] = False

    def _begin_clone(self, operation: Clone) -> None:
        self.files[operation.clone] = False

    def _begin_attach(self, operation: Attach) -> None:
        self.devices[operation.device] = None

    def _begin_detach(self, operation: Detach) -> None:
        self.devices[operation.device] = None

    def _begin_unlink(self, operation: Unlink) -> None:
        self.files[operation.file] = False

    def _begin_mmap(self, operation: Mmap) -> None:
        self.mappings[operation.process, operation.mapping] = None

    def _begin_munmap(self, operation: Munmap) -> None:
        self._drop_mapping((operation.process, operation.mapping))

    def _begin_fork(self, operation: Fork) -> None:
        self.processes.add(operation.child)

    def _begin_exit(self, operation: Exit) -> None:
        self.processes.discard(operation.process)
        self._drop_mappings(operation.process)

    def _begin_get(self, operation: GetUserPages) -> None:
        self.pins[operation.pin] = Pin(None, operation.write, operation.tracked)

    def _begin_put(self, operation: Operation) -> None:
        assert isinstance(operation, _ON_PIN)
        pin = self.pins[operation.pin]
        pin.unput -= _pages_of(operation, pin)
        pin.putting += 1

    def _begin_umount(self, operation: Umount) -> None:
        self.is_mounted = False

    def _drop_mappings(self, process: int | None) -> None:
        for key in list(self.mappings):
            is_meant = key not in self.anonymous if process is None else True
            if is_meant and process in {None, key[0]}:
                self._drop_mapping(key)

    def _drop_mapping(self, key: tuple[int, int]) -> None:
        del self.mappings[key]
        self.private.discard(key)
        self.anonymous.discard(key)

    # --- when answered --------------------------------------------------------

    def answered(self, call: Call) -> None:
        """Note that a call has answered: what it made exists, or does not."""
        operation = call.operation
        end = _WHEN_ANSWERED.get(type(operation))
        if end is not None:
            end(self, operation, call)

    def _end_create(self, operation: Create, call: Call) -> None:
        if call.succeeded:
            self.files[operation.file] = True
        else:
            del self.files[operation.file]

    def _end_clone(self, operation: Clone, call: Call) -> None:
        if call.succeeded:
            self.files[operation.clone] = True
        else:
            del self.files[operation.clone]

    def _end_attach(self, operation: Attach, call: Call) -> None:
        pages = self.mappings.get((operation.process, operation.mapping))
        if call.succeeded and pages is not None:
            self.devices[operation.device] = pages
        else:
            del self.devices[operation.device]

    def _end_detach(self, operation: Detach, _: Call) -> None:
        del self.devices[operation.device]

    def _end_unlink(self, operation: Unlink, call: Call) -> None:
        self.files[operation.file] = not call.succeeded

    def _end_mmap(self, operation: Mmap, call: Call) -> None:
        key = operation.process, operation.mapping
        if call.succeeded:
            self.mappings[key] = operation.pages
            self.processes.add(operation.process)
            if operation.file is None or not operation.shared:
                self.private.add(key)
            if operation.file is None:
                self.anonymous.add(key)
        elif self.mappings.get(key) is None:  # else a fork has made it meanwhile
            self.mappings.pop(key, None)

    def _end_fork(self, operation: Fork, call: Call) -> None:
        if not call.succeeded:
            self.processes.discard(operation.child)
            return
        for (process, mapping), pages in list(self.mappings.items()):
            if process == operation.process:
                self.mappings[operation.child, mapping] = pages
                for kind in (self.private, self.anonymous):
                    if (process, mapping) in kind:
                        kind.add((operation.child, mapping))

    def _end_get(self, operation: GetUserPages, call: Call) -> None:
        if not call.succeeded or not call.result:
            self.pins.pop(operation.pin, None)
            return
        assert isinstance(call.result, int)
        pin = self.pins[operation.pin]
        pin.granted = call.result
        pin.unput = set(range(call.result))

    def _end_put(self, operation: Operation, _: Call) -> None:
        assert isinstance(operation, _ON_PIN)
        pin = self.pins[operation.pin]
        pin.putting -= 1
        if not pin.unput and not pin.putting:
            del self.pins[operation.pin]

    def _end_umount(self, operation: Umount, call: Call) -> None:
        self.is_mounted = not call.succeeded
        if call.succeeded:
            self._drop_mappings(None)

    def _end_mount(self, operation: Mount, call: Call) -> None:
        self.is_mounted = call.succeeded

    def _end_hold(self, operation: Operation, call: Call) -> None:
        self.is_held = isinstance(operation, Hold) and call.succeeded

    def _end_freeze(self, operation: Operation, call: Call) -> None:
        if call.succeeded:
            self.is_frozen = isinstance(operation, Freeze)

    def _end_fill(self, operation: Operation, call: Call) -> None:
        if call.succeeded:
            self.is_full = isinstance(operation, FillDisk)


def _misuses(operation: Operation, pin: Pin) -> Iterator[str]:
    """Yield what is wrong with an operation on a pin, for callers who behave."""
    if isinstance(operation, PutPage) is pin.tracked:
        yield "the pin is not put in this way"
    if isinstance(operation, (DeviceWrite, DeviceComplete)) and not pin.write:
        yield "the pin is not for writing"
    if isinstance(operation, _DIRTYING) and not pin.write:
        yield "the pin was not written"
    wanted = _pages_of(operation, pin)
    if not wanted or not wanted <= pin.unput:
        yield "the pin has no such page"


def _pages_of(operation: Operation, pin: Pin) -> set[int]:
    """Return the pages of a pin that an operation is about."""
    match operation:
        case PutUserPages(first=first, pages=pages):
            if pages is None:
                return {page for page in pin.unput if page >= first}
            return set(range(first, first + pages))
        case DeviceComplete() | DeviceAbort():
            return set(pin.unput)
        case _:
            return {getattr(operation, "page", 0)}


_PUTS: tuple[type[Operation], ...] = (
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    PutPage,
    DeviceComplete,
    DeviceAbort,
)

_WHEN_ASKED: dict[type[Operation], Callable[[Handles, Any], None]] = {
    Create: Handles._begin_create,
    Clone: Handles._begin_clone,
    Attach: Handles._begin_attach,
    Detach: Handles._begin_detach,
    Unlink: Handles._begin_unlink,
    Mmap: Handles._begin_mmap,
    Munmap: Handles._begin_munmap,
    Fork: Handles._begin_fork,
    Exit: Handles._begin_exit,
    GetUserPages: Handles._begin_get,
    GetUserPagesFast: Handles._begin_get,
    Umount: Handles._begin_umount,
    **dict.fromkeys(_PUTS, Handles._begin_put),
}

_WHEN_ANSWERED: dict[type[Operation], Callable[[Handles, Any, Call], None]] = {
    Create: Handles._end_create,
    Clone: Handles._end_clone,
    Attach: Handles._end_attach,
    Detach: Handles._end_detach,
    Unlink: Handles._end_unlink,
    Mmap: Handles._end_mmap,
    Fork: Handles._end_fork,
    GetUserPages: Handles._end_get,
    GetUserPagesFast: Handles._end_get,
    Umount: Handles._end_umount,
    **dict.fromkeys(_PUTS, Handles._end_put),
    Mount: Handles._end_mount,
    Hold: Handles._end_hold,
    Release: Handles._end_hold,
    Freeze: Handles._end_freeze,
    Thaw: Handles._end_freeze,
    FillDisk: Handles._end_fill,
    FreeDisk: Handles._end_fill,
}
