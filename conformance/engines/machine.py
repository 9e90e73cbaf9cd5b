"""What a machine that draws operations knows: the stack, and what exists on it.

How each operation is drawn stands in `drawn_*.py`; `vocabulary.py` has them all.

Interface:
  * `begin(...)` boots a stack; `end()` looks at everything that was written, and
    hands over the history.
  * `wants(name)` before an operation is drawn, `perform(operation)` when it is.
  * `files`, `mappings`, `pins`, `clean_pins` tell what an operation can be done to.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import Execution
from conformance.engines.parks import DrawnPark
from conformance.engines.setups import offered_part
from conformance.interface import (
    Boot,
    DeviceWrite,
    Evict,
    Feature,
    FreeDisk,
    Fsync,
    GetUserPages,
    Load,
    Mount,
    Operation,
    PowerCut,
    Read,
    Release,
    Setup,
    Thaw,
)
from conformance.oracle.history import Call, History
from conformance.program import Preempt, Program

Chosen = TypeVar("Chosen")


CUTTING = frozenset({"truncate", "punch_hole", "unlink", "umount", "direct_write"})
"""Operations that take pages out of a file."""


class StackMachine:
    """Performs operations; hands over the history when the program is over."""

    def __init__(
        self,
        boot: Boot,
        capabilities: Capabilities,
        on_history: Callable[[History], None],
    ) -> None:
        super().__init__()
        self.boot = boot
        self.capabilities = capabilities
        self.on_history = on_history
        self.execution: Execution | None = None
        self.left_out: frozenset[str] = frozenset()
        self.park: DrawnPark | None = None
        """Where the call of the next operation is parked."""
        self.used: Counter[str] = Counter()
        """How often each operation was performed in this program."""
        self._written: set[int] = set()
        """The pins that a device has written to since they were made."""

    # --- what can be drawn ------------------------------------------------------

    def wants(self, name: str) -> bool:
        """Tell whether an operation is to be drawn at all."""
        return name not in self.left_out and name in self.capabilities.offered

    def perform(self, operation: Operation) -> None:
        """Perform one operation, parked where `park` says."""
        execution = self.running
        park, self.park = self.park, None
        if park is not None and self.capabilities.is_stepped:
            here = len(execution.history.calls)
            preempt = Preempt(here, park.at, park.nth, here + park.operations)
            schedule = (*execution.program.schedule, preempt)
            execution.program = attrs.evolve(execution.program, schedule=schedule)
        self.used[operation.name] += 1
        self.noted(execution.perform(operation))

    def noted(self, call: Call) -> None:
        """Note a call that has settled."""
        operation = call.operation
        if isinstance(operation, GetUserPages):
            self._written.discard(operation.pin)
        elif isinstance(operation, DeviceWrite) and call.was_asked:
            self._written.add(operation.pin)

    @property
    def running(self) -> Execution:
        """The run in progress."""
        assert self.execution is not None
        return self.execution

    def files(self) -> list[int]:
        """Return the files that have a name; none while nothing is mounted."""
        handles = self.running.handles
        if not handles.is_mounted:
            return []
        return [f for f, has_name in handles.files.items() if has_name]

    def mappings(self) -> list[tuple[int, int]]:
        """Return the mappings that exist, by process and number."""
        mappings = self.running.handles.mappings
        return [key for key, pages in mappings.items() if pages is not None]

    def range_of(
        self, which: int, page: int, pages: int
    ) -> tuple[tuple[int, int], int, int]:
        """Choose a mapping and a range in it; return its key, first page and length."""
        key = pick(self.mappings(), which)
        pages = min(pages, self.mapping_pages(*key))
        return key, min(page, self.mapping_pages(*key) - pages), pages

    def private_or_any(self, which: int) -> tuple[int, int]:
        """Choose a mapping, a private one if there is one, most of the time."""
        private = sorted(self.running.handles.private)
        private = [key for key in private if key in self.mappings()]
        return pick(private if private and which else self.mappings(), which)

    def pins(self, *, write: bool | None = None, tracked: bool = True) -> list[int]:
        """Return the pins of a kind that have pages to be put."""
        return [
            handle
            for handle, pin in self.running.handles.pins.items()
            if pin.unput
            and pin.tracked is tracked
            and (write is None or pin.write is write)
        ]

    def clean_pins(self) -> list[int]:
        """Return the pins that a caller may put without marking pages dirty.

        That is: those that no device has written to.
        """
        return [pin for pin in self.pins() if pin not in self._written]

    def quiet_pins(self) -> list[int]:
        """Return the write pins whose pages a caller may dirty without their locks.

        The caller must know that nobody truncates the file meanwhile.
        """
        if any(call.operation.name in CUTTING for call in self.running.pending()):
            return []
        return self.pins(write=True)

    def unput(self, pin: int) -> list[int]:
        """Return the pages of a pin that are still to be put."""
        return sorted(self.running.handles.pins[pin].unput)

    def unused_files(self, most: int) -> list[int]:
        """Return the file handles below `most` that were never used."""
        return [file for file in range(most) if file not in self.running.handles.files]

    def has(self, feature: Feature) -> bool:
        """Tell whether a feature is in force."""
        return feature in self.running.history.features

    def unused_mappings(self, processes: int, most: int) -> list[tuple[int, int]]:
        """Return the mapping handles below `most` that are not in use."""
        used = self.running.handles.mappings
        return [
            (process, mapping)
            for process in range(processes)
            for mapping in range(most)
            if (process, mapping) not in used
        ]

    def unused_processes(self, most: int) -> list[int]:
        """Return the process handles below `most` that are not in use."""
        handles = self.running.handles
        used = handles.processes | handles.forking.keys()
        return [process for process in range(most) if process not in used]

    def unused_pins(self, most: int) -> list[int]:
        """Return the pin handles below `most` that are not in use."""
        return [pin for pin in range(most) if pin not in self.running.handles.pins]

    def mapping_pages(self, process: int, mapping: int) -> int:
        """Return how many pages a mapping has; none, if it is gone."""
        return self.running.handles.mappings.get((process, mapping)) or 0

    def devices(self) -> list[int]:
        """Return the devices that are attached."""
        devices = self.running.handles.devices
        return [device for device, pages in devices.items() if pages is not None]

    def unused_devices(self, most: int) -> list[int]:
        """Return the device handles below `most` that are not in use."""
        return [d for d in range(most) if d not in self.running.handles.devices]

    def offers_option(self, option: str) -> bool:
        """Tell whether get_user_pages takes an option."""
        return bool(option) and self.capabilities.offers(f"get_user_pages({option})")

    def can_umount(self) -> bool:
        """Tell whether nothing is held or frozen; unmounting is drawn rarely."""
        handles = self.running.handles
        return not handles.is_held and not handles.is_frozen and handles.is_mounted

    def can_create(self, most: int) -> bool:
        """Tell whether a file can be made."""
        return self.running.handles.is_mounted and bool(self.unused_files(most))

    def can_fill(self) -> bool:
        """Tell whether the disk can be filled."""
        handles = self.running.handles
        return handles.is_mounted and not handles.is_full

    def can_free(self) -> bool:
        """Tell whether the disk was filled."""
        handles = self.running.handles
        return handles.is_mounted and handles.is_full

    def can_freeze(self) -> bool:
        """Tell whether the filesystem can be frozen."""
        handles = self.running.handles
        return handles.is_mounted and not handles.is_frozen

    # --- beginning and end ------------------------------------------------------

    def begin(self, setup: Setup = Setup(), left_out: Iterable[str] = ()) -> None:
        """Boot a stack, with what it offers of a setup; leave operations out."""
        self.left_out = frozenset(left_out)
        part = offered_part(setup, self.capabilities.features_offered)
        self.start_program(Program(setup=part))

    def start_program(self, program: Program) -> None:
        """Boot the stack for a program, of which no operation is performed yet."""
        self.used.clear()
        self._written.clear()
        self.execution = Execution(self.boot, attrs.evolve(program, operations=()))

    def end(self) -> None:
        """Look at everything that was written, judge, and let go of the stack."""
        if self.execution is None:
            return
        self.running.history.drawn = len(self.running.history.calls)
        for operation in (Release(), Thaw(), FreeDisk(), Mount()):
            self._close_with(operation)
        self._load_all()
        for file in self.files():
            self._close_with(Fsync(file=file))
        self._close_with(PowerCut())
        for file in self.files():
            self._close_with(Evict(file=file))
            for page in range(self.running.history.geometry.file_pages):
                self._close_with(Read(file=file, page=page))
        history = self.execution.finish()
        operations = [c.operation for c in history.calls if not c.is_epilogue]
        program = attrs.evolve(self.execution.program, operations=operations)
        history.program = program
        self.on_history(history)

    def _load_all(self) -> None:
        """Look at all memory that no file shows."""
        for process, mapping in sorted(self.running.handles.private):
            for page in range(self.mapping_pages(process, mapping)):
                self._close_with(Load(process, mapping, page))

    def _close_with(self, operation: Operation) -> None:
        lacks = self.capabilities.lacks(operation)
        if lacks is None and self.running.handles.why_skipped(operation) is None:
            self.running.perform(operation)


def pick(of: Sequence[Chosen], which: int) -> Chosen:
    """Return one of those that exist."""
    return of[which % len(of)]
