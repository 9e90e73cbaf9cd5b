"""The whole vocabulary: a machine that can draw every operation.

Interface:
  * `can_draw(name)`: the operation is wanted, and there is something to do it to.
  * `draw(name, argument)` performs it; `argument` gives a value for each field.
  * `reach(name, argument)` performs it, and before it what it takes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from conformance.engines.drawing import DRAWINGS, Choice
from conformance.engines.drawn_devices import DeviceMachine, GupMachine, MirrorMachine
from conformance.engines.drawn_files import FileMachine, FilesystemMachine
from conformance.engines.drawn_memory import MemoryMachine, PressureMachine
from conformance.engines.parks import PARKS

Argument = Callable[[str, Choice], Any]
"""Gives a value for a field of an operation."""


@attrs.frozen
class Maker:
    """What makes the thing that an operation is done to."""

    name: str
    fixed: Mapping[str, object] = attrs.field(factory=dict[str, object])
    """Fields that it must have for that."""


_TRACKED = Maker("get_user_pages", {"write": True, "option": "", "park": None})
_PLAIN = Maker("get_user_pages", {"option": "tracked", "park": None})

MAKERS = {
    **dict.fromkeys(
        (
            *("put_user_page", "put_user_pages", "put_user_pages_dirty"),
            *("put_user_pages_dirty_lock", "set_page_dirty_lock"),
            *("device_write", "device_read", "device_complete", "device_abort"),
        ),
        _TRACKED,
    ),
    "put_page": _PLAIN,
    **dict.fromkeys(("mirror_read", "mirror_write", "detach"), Maker("attach")),
    **dict.fromkeys(("munmap", "mprotect"), Maker("mmap")),
    "merge": Maker("mmap", {"kind": "anonymous"}),
    "thaw": Maker("freeze"),
    "free_disk": Maker("fill_disk"),
    "release": Maker("hold"),
    "mount": Maker("umount"),
    "unlink": Maker("create"),
    "exit": Maker("fork"),
}


class Vocabulary(
    FileMachine,
    FilesystemMachine,
    MemoryMachine,
    PressureMachine,
    GupMachine,
    DeviceMachine,
    MirrorMachine,
):
    """Draws any operation."""

    def can_draw(self, name: str) -> bool:
        """Tell whether an operation is wanted, and can be done to something."""
        return self.wants(name) and bool(DRAWINGS[name].can(self))

    def reach_first(self, names: Iterable[str], argument: Argument) -> None:
        """Perform the first operation that can be, or can be helped into being so."""
        for name in names:
            if self.reach(name, argument):
                return

    def reach(self, name: str, argument: Argument) -> bool:
        """Perform an operation, and before it what it takes; tell whether any was."""
        if not self.wants(name):
            return False
        if not self.can_draw(name):
            maker = MAKERS.get(name)
            if maker is None or not self.can_draw(maker.name):
                return False
            self.draw(maker.name, _with(maker.fixed, argument))
        if self.can_draw(name):
            self.draw(name, argument)
        return True

    def draw(self, name: str, argument: Argument) -> None:
        """Perform an operation, each field having the value that is given for it."""
        drawing = DRAWINGS[name]
        drawn = {field: argument(field, c) for field, c in drawing.arguments.items()}
        self.park = argument("park", PARKS[name]) if name in PARKS else None
        drawing.method(self, **drawn)


def _with(fixed: Mapping[str, object], argument: Argument) -> Argument:
    def given(field: str, choice: Choice) -> object:
        return fixed[field] if field in fixed else argument(field, choice)

    return given
