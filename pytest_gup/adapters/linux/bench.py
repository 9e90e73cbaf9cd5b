"""What the parts of a stack share: processes, addresses, calls in progress.

Interface:
  * `Bench.begin` starts a call of the program and returns what the engine asks for
    its state; `Bench.shell` is the process for calls that name no process.
  * `Bench.address` says where a page of a mapping is.
  * `refusal` makes an errno an outcome of the contract.
"""

import errno
import itertools
from collections.abc import Callable, Generator
from typing import Any

import attrs

from conformance.interface import (
    TORN,
    Blocked,
    Done,
    Errno,
    Geometry,
    KernelError,
    Running,
    Signal,
    SignalName,
)
from pytest_gup.adapters.linux.calls import Process, Task
from pytest_gup.adapters.linux.filesystems import Filesystem
from pytest_gup.adapters.linux.lab import Lab
from pytest_gup.adapters.linux.stillness import (
    STILL_SECONDS,
    Reason,
    Rest,
    Watch,
    workers_are_busy,
)

CallState = Running | Blocked | Done
Answered = Callable[[object], object]

FIRST_ADDRESS = 0x100000000000
MAPPING_BYTES_MAX = 1 << 24
READ_WRITE, MAP_SHARED = 3, 1
"""Addresses that a mapping may take, at most."""


_numbers = itertools.count()


class UnexpectedError(Exception):
    """The kernel answered with something for which the contract has no word."""


@attrs.frozen
class Mapping:
    """A mapping of a process."""

    address: int
    pages: int
    file: int | None
    """None: anonymous memory."""
    first_page: int = 0
    """The page of the file that its first page shows."""
    protection: int = READ_WRITE
    flags: int = MAP_SHARED

    @property
    def is_shared(self) -> bool:
        """Whether what is written to it is seen by others."""
        return self.flags & MAP_SHARED != 0


@attrs.define(eq=False)
class Pin:
    """Pages that a device holds."""

    name: str
    """File of the device, or of the ring, through which they are held."""
    task: Task | None
    """The read or write that is answered when they are put; None: a ring's."""
    process: int
    pages: int = 0
    ring: tuple[bytes, int, int] | None = None
    """Parameters of a ring, address and size of its buffer."""
    is_orphan: bool = False
    """The process has ended; its thread stays until the pages are put."""


@attrs.define(eq=False)
class Bench:
    """The state of one stack that is not the kernel's."""

    lab: Lab
    filesystem: Filesystem
    path: str
    """Where the filesystem is mounted."""
    device: str
    """The device that is mounted there; empty: there is none."""
    geometry: Geometry
    shell: Process
    root: int
    """Descriptor of the root of the filesystem, in the shell."""
    processes: dict[int, Process]
    mappings: dict[tuple[int, int], Mapping] = attrs.field(
        factory=dict[tuple[int, int], Mapping]
    )
    files: dict[int, int] = attrs.field(factory=dict[int, int])
    """Descriptor of each file, in the shell."""
    pins: dict[int, Pin] = attrs.field(factory=dict[int, Pin])
    moves: dict[tuple[int, int], "Chain"] = attrs.field(
        factory=dict[tuple[int, int], "Chain"]
    )
    """The last mremap of each mapping."""
    mounting: "Chain | None" = None
    """The last mount."""
    tasks: list[Task] = attrs.field(factory=list[Task])
    """Calls that have not answered."""
    resting: list["Call"] = attrs.field(factory=list["Call"])
    """Calls that have, while the kernel comes to rest after them."""
    hold_point: str | None = None
    is_frozen: bool = False
    has_ended_rings: bool = False
    """Whether a process has ended that still has pages charged to it."""
    moment: int = 0
    """Counts the operations: what was seen before the last one is old."""
    still_seconds: float = STILL_SECONDS
    """See `stillness.py`."""
    last_address: int = FIRST_ADDRESS
    last_mtime: int = 0
    """The latest modification time seen so far, in nanoseconds."""

    def file_path(self, file: int) -> str:
        """Return where a file is."""
        return f"{self.path}/file-{file}"

    def fresh_pin_name(self, kind: str) -> str:
        """Return a name of a device file that was never used in this lab."""
        return f"{kind}-{next(_numbers)}"

    def fresh_address(self) -> int:
        """Return an address that nothing has been mapped at."""
        self.last_address += MAPPING_BYTES_MAX
        return self.last_address

    def address(self, process: int, mapping: int, page: int, word: int = 0) -> int:
        """Return where a word of a mapping is."""
        size = self.geometry.page_size_bytes
        start = self.mappings[process, mapping].address
        return start + page * size + word * self.geometry.word_size_bytes

    def in_use(self) -> dict[tuple[int, int], Mapping]:
        """Tell the mappings of processes that are not on their way out."""
        mappings = self.mappings.items()
        return {key: there for key, there in mappings if key[0] in self.processes}

    def begin(
        self,
        process: Process,
        name: str,
        *arguments: object,
        then: Answered = lambda _: None,
        give: tuple[int, ...] = (),
    ) -> "Call":
        """Start a call in a thread of a process."""
        self.moment += 1
        task = process.start(name, *arguments, give=give)
        self.tasks.append(task)
        return Call(self, task, then)

    def reason_to_wait(self, task: Task) -> Reason:
        """Tell for what a call might be waiting."""
        if self.is_frozen or self.hold_point is not None:
            return Reason.HELD
        self.tasks = [one for one in self.tasks if one.answer(0) is None]
        others = any(one is not task for one in self.tasks)
        return Reason.OTHERS if others else Reason.NOTHING

    def surroundings(self) -> tuple[int, int]:
        """Tell what changes while something is going on that no thread shows."""
        on_disk = bool(self.filesystem.make)
        return self.moment, self.lab.requests_at_disk() if on_disk else 0

    def is_at_rest(self) -> bool:
        """Whether the kernel has finished what it does in the background."""
        is_free = bool(self.filesystem.make) and self.hold_point is None
        if is_free and self.lab.requests_at_disk():
            return False
        return not workers_are_busy()

    def close(self) -> None:
        """End the processes, and unmount."""
        for process in (self.shell, *self.processes.values()):
            process.close()
        self.lab.unboot()


@attrs.define(eq=False)
class Call:
    """A call of the program, on its way."""

    bench: Bench
    task: Task
    then: Answered
    """Makes the result of the contract of the result of the task."""
    watch: Watch = attrs.field(init=False)
    done: Done | None = None
    rest: Rest = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        bench = self.bench
        self.watch = Watch(
            self.task, bench.reason_to_wait, bench.surroundings, bench.still_seconds
        )

    def state(self) -> CallState:
        """Tell how far it is; done when the kernel has come to rest after it."""
        if self.done is None:
            answer = self.task.answer(0)
            if answer is None:
                return self.watch.verdict()
            self.bench.moment += 1
            self.done = outcome(answer, self.then)
            self.rest = Rest(self.bench.is_at_rest)
            self.bench.resting.append(self)
        if not self.rest.has_come():
            return Running()
        self.bench.resting = [one for one in self.bench.resting if one is not self]
        return self.done


def outcome(answer: tuple[object, int], then: Answered) -> Done:
    """Make an answer of a worker an answer of the contract."""
    result, error = answer
    if error < 0:
        return Done(error=UnexpectedError(f"the lab failed: {result}"))
    try:
        return Done(error=refusal(error)) if error else Done(then(result))
    except Signal as signal:
        return Done(error=signal)


def refusal(error: int) -> Exception:
    """Return what an errno means to the contract."""
    name = errno.errorcode.get(error, str(error))
    if name in Errno.__members__:
        return KernelError(Errno[name])
    return UnexpectedError(f"the kernel answered {name}")


def stamp(content: bytes) -> int:
    """Return the stamp of a word."""
    first = content[:1]
    return first[0] if content.count(first) == len(content) else TORN


def stamps(content: bytes, word_size: int) -> tuple[int, ...]:
    """Return the stamps of the words that are there; a last part counts as one."""
    return tuple(
        stamp(content[at : at + word_size]) for at in range(0, len(content), word_size)
    )


def raise_signal(number: int) -> None:
    """Raise the signal that an access ended in."""
    names = {7: SignalName.SIGBUS, 11: SignalName.SIGSEGV}
    raise Signal(names[number])


@attrs.define(eq=False)
class Chain:
    """Calls made one after the other, which the program sees as one."""

    body: Generator[Any, Done, Done | None]
    """Yields each call, or what else has a state, and is sent how it ended.

    What it returns is how all of it has ended; nothing, if there is no result.
    """
    current: Any = None
    done: Done | None = None

    def state(self) -> CallState:
        """Tell how far it is; a call that has ended makes way for the next."""
        while self.done is None:
            if self.current is None:
                self._go_on(None)
                continue
            state: CallState = self.current.state()
            if not isinstance(state, Done):
                return state
            self._go_on(state)
        return self.done

    def _go_on(self, ended: Done | None) -> None:
        try:
            self.current = next(self.body) if ended is None else self.body.send(ended)
        except StopIteration as end:
            self.done = end.value or Done()
        except (KernelError, UnexpectedError) as error:
            self.done = Done(error=error)


def in_turn(before: Chain | None, begin: Callable[[], Call]) -> Call | Chain:
    """Begin a call when another has ended; at once, if it has."""
    if before is None or before.done is not None:
        return begin()
    return Chain(_after(before, begin))


def _after(before: Chain, begin: Callable[[], Call]) -> Generator[Any, Done, Done]:
    yield before
    ended: Done = yield begin()
    return ended


def checked(ended: Done) -> None:
    """Raise what a call of a chain has ended with."""
    if ended.error is not None:
        raise ended.error
