"""The stateful test: a Hypothesis state machine over the whole vocabulary.

This is the readable face of the random search. The machine performs a few operations
of one group, then of another. An operation is drawn only when the stack offers it and
there is something that it can be done to, and performed at once, so that the next one
sees the answer. The
machine raises nothing: what was violated is written to the tally, so that one
violated rule does not hide another.

To write your own, subclass `ConformanceMachine` and add rules, or override `wants`
to leave operations out:

    class NoTruncate(ConformanceMachine):
        def wants(self, name: str) -> bool:
            return name != "truncate" and super().wants(name)

Interface:
  * `run_stateful(boot, budget, seed, on_history)` draws programs and runs them;
    `on_history` is called with the history of each.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, seed as with_seed, settings, strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from conformance.engines.capabilities import Capabilities
from conformance.engines.machine import StackMachine, pick
from conformance.interface import (
    Boot,
    Create,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    Evict,
    Exit,
    FailNext,
    Feature,
    FillDisk,
    FlushDisk,
    Fork,
    FreeDisk,
    Freeze,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Mount,
    Mprotect,
    Mremap,
    Munmap,
    PowerCut,
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
    Store,
    Sync,
    Thaw,
    Truncate,
    Umount,
    Unlink,
    Write,
    Writeback,
)
from conformance.interface.points import FAULT, GUP_FAST, GUP_SLOW, WRITEBACK
from conformance.oracle.history import History

WHICH = st.integers(0, 7)
"""Chooses one of those that exist; reduced by their number."""
PAGE = st.integers(0, 3)
PAGES = st.integers(1, 2)
WORD = st.integers(0, 1)
VALUE = st.integers(1, 250)
PARK = st.none() | st.sampled_from((*GUP_FAST, *GUP_SLOW, *FAULT, *WRITEBACK))
"""Where a call is parked while the next operation runs; half of the time nowhere."""
MEAN_GROUP = 4
"""Operations that one rule of the machine performs, on the average."""
FILES_MAX, PROCESSES_MAX, MAPPINGS_MAX, PINS_MAX = 3, 3, 3, 4


@attrs.frozen
class Budget:
    """How many programs are drawn, and how long they are."""

    programs: int = 60
    operations: int = 40
    """About this many; a program ends with the group in which it is reached."""


Machine = Any
"""The machine, inside of a decorator: Hypothesis's own decorators are untyped."""


@attrs.frozen
class Drawing:
    """How one operation is drawn."""

    can: Callable[[Machine], object]
    """Whether there is something that it can be done to."""
    arguments: dict[str, st.SearchStrategy[Any]]
    method: Callable[..., None]


DRAWINGS: dict[str, Drawing] = {}
"""How each operation is drawn, by its name; filled by `draws`."""


Method = Callable[..., None]


def draws(
    name: str,
    can: Callable[[Machine], object] = lambda _: True,
    **arguments: st.SearchStrategy[Any],
) -> Callable[[Method], Method]:
    """Make a method the way to draw one operation, where it can be done."""

    def make(method: Method) -> Method:
        DRAWINGS[name] = Drawing(can, arguments, method)
        return method

    return make


class _FileMachine(StackMachine):
    """Draws operations on files."""

    @draws("create", lambda m: m.can_create(FILES_MAX), which=WHICH)
    def create(self, which: int) -> None:
        self.perform(Create(file=pick(self.unused_files(FILES_MAX), which)))

    @draws("read", lambda m: m.files(), which=WHICH, page=PAGE)
    def read(self, which: int, page: int) -> None:
        self.perform(Read(file=pick(self.files(), which), page=page))

    @draws("write", lambda m: m.files(), which=WHICH, page=PAGE, word=WORD, value=VALUE)
    def write(self, which: int, page: int, word: int, value: int) -> None:
        file = pick(self.files(), which)
        self.perform(Write(file=file, page=page, word=word, value=value))

    @draws("truncate", lambda m: m.files(), which=WHICH, words=st.integers(0, 8))
    def truncate(self, which: int, words: int) -> None:
        self.perform(Truncate(file=pick(self.files(), which), words=words))

    @draws("punch_hole", lambda m: m.files(), which=WHICH, page=PAGE, pages=PAGES)
    def punch_hole(self, which: int, page: int, pages: int) -> None:
        file = pick(self.files(), which)
        self.perform(PunchHole(file=file, page=page, pages=pages))

    @draws("fsync", lambda m: m.files(), which=WHICH, park=PARK)
    def fsync(self, which: int, park: str | None) -> None:
        self.perform(Fsync(file=pick(self.files(), which)), park)

    @draws("sync", lambda m: m.running.handles.is_mounted, park=PARK)
    def sync(self, park: str | None) -> None:
        self.perform(Sync(), park)

    @draws("writeback", lambda m: m.files(), which=WHICH, park=PARK)
    def writeback(self, which: int, park: str | None) -> None:
        self.perform(Writeback(file=pick(self.files(), which)), park)

    @draws("evict", lambda m: m.files(), which=WHICH)
    def evict(self, which: int) -> None:
        self.perform(Evict(file=pick(self.files(), which)))

    @draws("reclaim", lambda m: m.files(), which=WHICH, park=PARK)
    def reclaim(self, which: int, park: str | None) -> None:
        self.perform(Reclaim(file=pick(self.files(), which)), park)

    @draws("unlink", lambda m: len(m.files()) > 1, which=WHICH)
    def unlink(self, which: int) -> None:
        self.perform(Unlink(file=pick(self.files(), which)))


class _FilesystemMachine(StackMachine):
    """Draws operations on the filesystem as a whole, and on the disk."""

    @draws("umount", lambda m: m.can_umount())
    def umount(self) -> None:
        self.perform(Umount())

    @draws("mount", lambda m: not m.running.handles.is_mounted)
    def mount(self) -> None:
        self.perform(Mount())

    @draws("freeze", lambda m: m.can_freeze())
    def freeze(self) -> None:
        self.perform(Freeze())

    @draws("thaw", lambda m: m.running.handles.is_frozen)
    def thaw(self) -> None:
        self.perform(Thaw())

    @draws("fill_disk", lambda m: m.can_fill())
    def fill_disk(self) -> None:
        self.perform(FillDisk())

    @draws("free_disk", lambda m: m.can_free())
    def free_disk(self) -> None:
        self.perform(FreeDisk())

    @draws(
        "hold", lambda m: not m.running.handles.is_held, at=st.sampled_from(HoldPoint)
    )
    def hold(self, at: HoldPoint) -> None:
        self.perform(Hold(at=at))

    @draws("release", lambda m: m.running.handles.is_held)
    def release(self) -> None:
        self.perform(Release())

    @draws("fail_next", write=st.booleans())
    def fail_next(self, write: bool) -> None:
        self.perform(FailNext(write=write))

    @draws("power_cut")
    def power_cut(self) -> None:
        self.perform(PowerCut())

    @draws("flush_disk", lambda m: m.has(Feature.VOLATILE_CACHE))
    def flush_disk(self) -> None:
        self.perform(FlushDisk())


class _MemoryMachine(StackMachine):
    """Draws operations on address spaces."""

    @draws(
        "mmap",
        lambda m: m.files() and m.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX),
        which=WHICH,
        where=WHICH,
        writable=st.integers(0, 4),
    )
    def mmap(self, which: int, where: int, writable: int) -> None:
        file = pick(self.files(), which)
        unused = self.unused_mappings(PROCESSES_MAX, MAPPINGS_MAX)
        process, mapping = pick(unused, where)
        self.perform(
            Mmap(process=process, mapping=mapping, file=file, writable=writable > 0)
        )

    @draws("munmap", lambda m: len(m.mappings()) > 1, which=WHICH)
    def munmap(self, which: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Munmap(process=process, mapping=mapping))

    @draws(
        "mprotect",
        lambda m: len(m.mappings()) > 1,
        which=WHICH,
        writable=st.integers(0, 3),
    )
    def mprotect(self, which: int, writable: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Mprotect(process=process, mapping=mapping, writable=writable > 0))

    @draws("mremap", lambda m: m.mappings(), which=WHICH, park=PARK)
    def mremap(self, which: int, park: str | None) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Mremap(process=process, mapping=mapping), park)

    @draws("load", lambda m: m.mappings(), which=WHICH, page=PAGE, word=WORD)
    def load(self, which: int, page: int, word: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Load(process=process, mapping=mapping, page=page, word=word))

    @draws(
        "store",
        lambda m: m.mappings(),
        which=WHICH,
        page=PAGE,
        word=WORD,
        value=VALUE,
        park=PARK,
    )
    def store(
        self, which: int, page: int, word: int, value: int, park: str | None
    ) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Store(process, mapping, page, word, value), park)

    @draws(
        "fork", lambda m: m.unused_processes(PROCESSES_MAX), which=WHICH, child=WHICH
    )
    def fork(self, which: int, child: int) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        new = pick(self.unused_processes(PROCESSES_MAX), child)
        self.perform(Fork(process=process, child=new))

    @draws("exit", lambda m: len(m.running.handles.processes) > 1, which=WHICH)
    def exit(self, which: int) -> None:
        process = pick(sorted(self.running.handles.processes), which)
        self.perform(Exit(process=process))


class _GupMachine(StackMachine):
    """Draws get_user_pages and what gives pages back."""

    def _get(self, kind: type[GetUserPages], drawn: dict[str, Any]) -> None:
        process, mapping = pick(self.mappings(), drawn.pop("which"))
        park = drawn.pop("park")
        pin = self.unused_pins(PINS_MAX)[0]
        pages = drawn.pop("pages")
        page = min(drawn.pop("page"), self.mapping_pages(process, mapping) - pages)
        option = drawn.pop("option")
        chosen = {option: option != "tracked"} if self.offers_option(option) else {}
        self.perform(
            kind(process, mapping, max(page, 0), pages, pin, **drawn, **chosen), park
        )

    @draws(
        "get_user_pages",
        lambda m: m.mappings() and m.unused_pins(PINS_MAX),
        which=WHICH,
        page=PAGE,
        pages=PAGES,
        write=st.integers(0, 3).map(bool),
        option=st.sampled_from(("", "", "", "longterm", "nowait", "tracked")),
        park=PARK,
    )
    def get_user_pages(self, **drawn: Any) -> None:  # noqa: ANN401 - see `draws`
        self._get(GetUserPages, drawn)

    @draws(
        "get_user_pages_fast",
        lambda m: m.mappings() and m.unused_pins(PINS_MAX),
        which=WHICH,
        page=PAGE,
        pages=PAGES,
        write=st.integers(0, 3).map(bool),
        option=st.sampled_from(("", "", "", "longterm", "nowait", "tracked")),
        park=PARK,
    )
    def get_user_pages_fast(self, **drawn: Any) -> None:  # noqa: ANN401 - see `draws`
        self._get(GetUserPagesFast, drawn)

    @draws("put_user_page", lambda m: m.clean_pins(), which=WHICH, page=WHICH)
    def put_user_page(self, which: int, page: int) -> None:
        pin = pick(self.clean_pins(), which)
        self.perform(PutUserPage(pin=pin, page=pick(self.unput(pin), page)))

    @draws("put_user_pages", lambda m: m.clean_pins(), which=WHICH)
    def put_user_pages(self, which: int) -> None:
        self.perform(PutUserPages(pin=pick(self.clean_pins(), which)))

    @draws("put_user_pages_dirty", lambda m: m.quiet_pins(), which=WHICH)
    def put_user_pages_dirty(self, which: int) -> None:
        self.perform(PutUserPagesDirty(pin=pick(self.quiet_pins(), which)))

    @draws(
        "put_user_pages_dirty_lock",
        lambda m: m.pins(write=True),
        which=WHICH,
        page=WHICH,
        whole=st.booleans(),
        park=PARK,
    )
    def put_user_pages_dirty_lock(
        self, which: int, page: int, whole: bool, park: str | None
    ) -> None:
        pin = pick(self.pins(write=True), which)
        first = pick(self.unput(pin), page)
        one = PutUserPagesDirtyLock(pin=pin, first=first, pages=1)
        self.perform(PutUserPagesDirtyLock(pin=pin) if whole else one, park)

    @draws("put_page", lambda m: m.pins(tracked=False), which=WHICH, page=WHICH)
    def put_page(self, which: int, page: int) -> None:
        pin = pick(self.pins(tracked=False), which)
        self.perform(PutPage(pin=pin, page=pick(self.unput(pin), page)))

    @draws("set_page_dirty_lock", lambda m: m.pins(write=True), which=WHICH, page=WHICH)
    def set_page_dirty_lock(self, which: int, page: int) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(SetPageDirtyLock(pin=pin, page=pick(self.unput(pin), page)))


class _DeviceMachine(StackMachine):
    """Draws what devices do."""

    @draws(
        "device_write",
        lambda m: m.pins(write=True),
        which=WHICH,
        page=WHICH,
        word=WORD,
        value=VALUE,
    )
    def device_write(self, which: int, page: int, word: int, value: int) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(DeviceWrite(pin, pick(self.unput(pin), page), word, value))

    @draws("device_read", lambda m: m.pins(), which=WHICH, page=WHICH, word=WORD)
    def device_read(self, which: int, page: int, word: int) -> None:
        pin = pick(self.pins(), which)
        self.perform(DeviceRead(pin, pick(self.unput(pin), page), word))

    @draws(
        "device_complete",
        lambda m: m.pins(write=True),
        which=WHICH,
        value=VALUE,
        park=PARK,
    )
    def device_complete(self, which: int, value: int, park: str | None) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(DeviceComplete(pin=pin, value=value), park)

    @draws("device_abort", lambda m: m.clean_pins(), which=WHICH)
    def device_abort(self, which: int) -> None:
        self.perform(DeviceAbort(pin=pick(self.clean_pins(), which)))

    @draws(
        "device_transfer",
        lambda m: m.mappings(),
        which=WHICH,
        page=PAGE,
        value=VALUE,
        park=PARK,
    )
    def device_transfer(
        self, which: int, page: int, value: int, park: str | None
    ) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(DeviceTransfer(process, mapping, page, 1, value), park)

    @draws(
        "direct_read",
        lambda m: m.mappings() and m.files(),
        which=WHICH,
        page=PAGE,
        file=WHICH,
        file_page=PAGE,
    )
    def direct_read(self, which: int, page: int, file: int, file_page: int) -> None:
        process, mapping = pick(self.mappings(), which)
        source = pick(self.files(), file)
        self.perform(DirectRead(process, mapping, page, source, file_page))

    @draws(
        "direct_write",
        lambda m: m.mappings() and m.files(),
        which=WHICH,
        page=PAGE,
        file=WHICH,
        file_page=PAGE,
    )
    def direct_write(self, which: int, page: int, file: int, file_page: int) -> None:
        process, mapping = pick(self.mappings(), which)
        target = pick(self.files(), file)
        self.perform(DirectWrite(process, mapping, page, target, file_page))


PICKS = st.lists(st.integers(0, 119), min_size=2, max_size=7)
"""Which operations of a group are done in a row: even, any of those that can be; odd,
one of those that the program has done least."""

DEVICE_WORK = (
    *("get_user_pages", "get_user_pages_fast", "device_write", "device_write"),
    *("set_page_dirty_lock", "device_complete", "put_user_page", "put_user_pages"),
    *("put_user_pages_dirty", "put_user_pages_dirty_lock", "put_page", "put_page"),
    *("put_page", "put_page", "device_complete", "put_user_pages_dirty"),
    *("set_page_dirty_lock", "device_complete", "device_abort", "device_read"),
    *(
        "set_page_dirty_lock",
        "set_page_dirty_lock",
        "put_user_pages_dirty",
        "put_user_pages_dirty",
        "put_user_pages_dirty_lock",
    ),
    *("put_user_pages_dirty_lock", "put_user_pages_dirty_lock"),
)
DRIVER_WORK = (
    *(
        "device_transfer",
        "device_transfer",
        "direct_read",
        "direct_read",
        "direct_write",
    ),
    *("direct_write", "store", "fsync", "sync", "writeback"),
)
MEMORY_WORK = (
    *("mmap", "mmap", "munmap", "munmap", "mprotect", "mprotect", "mremap"),
    *("load", "store", "fork", "exit", "exit", "writeback", "fsync"),
)
FILE_WORK = (
    *("create", "create", "write", "read", "truncate", "punch_hole", "unlink"),
    *("unlink", "unlink", "unlink", "unlink", "evict", "reclaim", "umount", "umount"),
    *("mount", "mount", "mount", "mount"),
)
DISK_WORK = (
    *("hold", "hold", "release", "release", "release", "fill_disk", "freeze"),
    *("freeze", "thaw", "thaw", "thaw", "thaw", "thaw", "fill_disk"),
    *("free_disk", "free_disk", "free_disk", "free_disk", "fail_next", "flush_disk"),
    *("flush_disk", "flush_disk", "flush_disk", "power_cut", "store", "fsync"),
)
GROUPS = (
    *(DEVICE_WORK, DEVICE_WORK, DEVICE_WORK, DRIVER_WORK, MEMORY_WORK, MEMORY_WORK),
    *(FILE_WORK, FILE_WORK, DISK_WORK, DISK_WORK),
)
"""What a program is made of; devices have the most of it."""


class ConformanceMachine(
    _FileMachine, _FilesystemMachine, _MemoryMachine, _GupMachine, _DeviceMachine
):
    """Draws every operation of the vocabulary, a few of one group in a row.

    One at a time, what needs a pin or a held disk would hardly ever come up twice.
    Each program leaves some operations out (`start`), so that the others meet more
    often.
    """

    @rule(group=st.sampled_from(GROUPS), picks=PICKS, data=st.data())
    def work(self, group: Sequence[str], picks: list[int], data: st.DataObject) -> None:
        """Perform a few operations of a group, of those that can be done."""
        for which in picks:
            possible = [name for name in group if self._can_draw(name)]
            if not possible:
                return
            if which % 2:
                possible = self._least_used(possible)
            drawing = DRAWINGS[pick(possible, which // 2)]
            drawn = {
                name: data.draw(strategy)
                for name, strategy in drawing.arguments.items()
            }
            drawing.method(self, **drawn)

    def _least_used(self, names: list[str]) -> list[str]:
        """Return those that this program has performed least often."""
        used = Counter(call.operation.name for call in self.running.history.calls)
        least = min(used[name] for name in names)
        return [name for name in names if used[name] == least]

    def _can_draw(self, name: str) -> bool:
        return self.wants(name) and bool(DRAWINGS[name].can(self))


def run_stateful(
    boot: Boot,
    capabilities: Capabilities,
    on_history: Callable[[History], None],
    budget: Budget = Budget(),
    seed: int = 0,
    machine: type[StackMachine] = ConformanceMachine,
) -> None:
    """Draw programs, run them, and hand over the history of each."""

    def make() -> StackMachine:
        return machine(boot, capabilities, on_history)

    run_state_machine_as_test(
        with_seed(seed)(make),  # type: ignore[arg-type]  # its docs allow a factory
        settings=settings(
            max_examples=budget.programs,
            stateful_step_count=max(1, budget.operations // MEAN_GROUP),
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
