"""Which handles are in use, and which exist, as calls are asked and answered.

A handle is in use from the moment its maker is asked; it exists once the maker has
answered.

Interface:
  * `asked(call)` when it is asked, `answered(call)` when it has answered.
  * `pages_of(operation, pin)`: the pages of a pin that an operation is about.
"""

from collections.abc import Callable
from typing import Any

import attrs

from conformance.interface import (
    Attach,
    Clone,
    Create,
    Detach,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceWrite,
    Exit,
    FillDisk,
    Fork,
    FreeDisk,
    Freeze,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    Mmap,
    Mount,
    Munmap,
    Operation,
    PutPage,
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    Release,
    SetPageDirtyLock,
    Thaw,
    Umount,
    Unlink,
)
from conformance.oracle.history import Call

ON_PIN = (
    PutUserPage,
    PutUserPages,
    PutPage,
    SetPageDirtyLock,
    DeviceWrite,
    DeviceRead,
    DeviceComplete,
    DeviceAbort,
)
"""Operations that name a pin."""


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
class HandleState:
    """The handles of one run, as far as they have come into being, and gone."""

    geometry: Geometry
    misuse: bool = False
    files: dict[int, bool] = attrs.field(factory=lambda: {0: True})
    """File handles ever used; True: it has a name now."""
    processes: set[int] = attrs.field(factory=lambda: {0})
    forking: dict[int, set[tuple[int, int]]] = attrs.field(
        factory=dict[int, "set[tuple[int, int]]"]
    )
    """Processes that a fork is about to make, and what they will surely have mapped:
    that of the parent which was there before, and has not gone meanwhile."""
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
        self.forking[operation.child] = {
            key
            for key, pages in self.mappings.items()
            if key[0] == operation.process and pages is not None
        }

    def _begin_exit(self, operation: Exit) -> None:
        self.processes.discard(operation.process)
        self._drop_mappings(operation.process)

    def _begin_get(self, operation: GetUserPages) -> None:
        self.pins[operation.pin] = Pin(None, operation.write, operation.tracked)

    def _begin_put(self, operation: Operation) -> None:
        assert isinstance(operation, ON_PIN)
        pin = self.pins[operation.pin]
        pin.unput -= pages_of(operation, pin)
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
        for inherited in self.forking.values():
            inherited.discard(key)
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
        inherited = self.forking.pop(operation.child)
        if not call.succeeded:
            return
        self.processes.add(operation.child)
        for key in sorted(inherited):
            inherits = operation.child, key[1]
            self.mappings[inherits] = self.mappings[key]
            for kind in (self.private, self.anonymous):
                if key in kind:
                    kind.add(inherits)

    def _end_get(self, operation: GetUserPages, call: Call) -> None:
        if not call.succeeded or not call.result:
            self.pins.pop(operation.pin, None)
            return
        assert isinstance(call.result, int)
        pin = self.pins[operation.pin]
        pin.granted = call.result
        pin.unput = set(range(call.result))

    def _end_put(self, operation: Operation, _: Call) -> None:
        assert isinstance(operation, ON_PIN)
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


def pages_of(operation: Operation, pin: Pin) -> set[int]:
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

_WHEN_ASKED: dict[type[Operation], Callable[[HandleState, Any], None]] = {
    Create: HandleState._begin_create,
    Clone: HandleState._begin_clone,
    Attach: HandleState._begin_attach,
    Detach: HandleState._begin_detach,
    Unlink: HandleState._begin_unlink,
    Mmap: HandleState._begin_mmap,
    Munmap: HandleState._begin_munmap,
    Fork: HandleState._begin_fork,
    Exit: HandleState._begin_exit,
    GetUserPages: HandleState._begin_get,
    GetUserPagesFast: HandleState._begin_get,
    Umount: HandleState._begin_umount,
    **dict.fromkeys(_PUTS, HandleState._begin_put),
}

_WHEN_ANSWERED: dict[type[Operation], Callable[[HandleState, Any, Call], None]] = {
    Create: HandleState._end_create,
    Clone: HandleState._end_clone,
    Attach: HandleState._end_attach,
    Detach: HandleState._end_detach,
    Unlink: HandleState._end_unlink,
    Mmap: HandleState._end_mmap,
    Fork: HandleState._end_fork,
    GetUserPages: HandleState._end_get,
    GetUserPagesFast: HandleState._end_get,
    Umount: HandleState._end_umount,
    **dict.fromkeys(_PUTS, HandleState._end_put),
    Mount: HandleState._end_mount,
    Hold: HandleState._end_hold,
    Release: HandleState._end_hold,
    Freeze: HandleState._end_freeze,
    Thaw: HandleState._end_freeze,
    FillDisk: HandleState._end_fill,
    FreeDisk: HandleState._end_fill,
}
