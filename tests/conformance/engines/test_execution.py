"""Running programs: the three call styles, legality, settling, parking."""

import itertools
from collections.abc import Callable, Iterator

import attrs
import pytest

from conformance.engines.execution import BootError, Execution, run
from conformance.engines.invocation import Park
from conformance.engines.paced import PacedExecution
from conformance.interface import (
    Blocked,
    ClearRefs,
    Create,
    DeviceComplete,
    Done,
    Errno,
    Exit,
    Fork,
    Fsync,
    GetUserPages,
    Hold,
    KernelError,
    Load,
    Mmap,
    Munmap,
    PutUserPage,
    PutUserPages,
    Read,
    Release,
    Running,
    Setup,
    Signal,
    SignalName,
    Step,
    Store,
    Unlink,
    Wait,
    WouldBlock,
)
from conformance.oracle.history import History
from conformance.program import Preempt, Program


@attrs.define(eq=False)
class Memory:
    """A stack that offers load and store, held or not, in the immediate style."""

    words: dict[tuple[int, int], int] = attrs.field(factory=dict)
    is_held: bool = False

    def store(self, page: int, word: int, value: int) -> None:
        self.words[page, word] = value

    def load(self, page: int, word: int) -> int:
        return self.words.get((page, word), 0)

    def hold(self) -> None:
        self.is_held = True

    def release(self) -> None:
        self.is_held = False


class Blocking(Memory):
    """Its fsync waits while the disk is held."""

    def fsync(self) -> None:
        if self.is_held:
            raise WouldBlock("the disk")


class Resuming(Memory):
    """Its fsync begins, and is resumed: the second part returns."""

    begun: int = 0

    def fsync(self) -> None:
        self.begun += 1
        raise WouldBlock("the disk", resume=self._go_on)

    def _go_on(self) -> None:
        if self.is_held:
            raise WouldBlock("the disk")


class Stepped(Memory):
    """Its fsync is a generator with one point."""

    def fsync(self) -> Iterator[Step | Wait]:
        yield Step("fsync.started")
        yield Wait("the disk", lambda: not self.is_held)


@attrs.define(eq=False)
class _Later:
    stack: Memory
    asked: int = 0

    def state(self) -> object:
        self.asked += 1
        if self.asked < 3:
            return Running()
        return Blocked("the disk") if self.stack.is_held else Done()


class Concurrent(Memory):
    """Its fsync answers later."""

    def fsync(self) -> _Later:
        return _Later(self)


def history_of(stack: object, *operations: object, **more: object) -> History:
    """Run a program on one stack."""
    return run(lambda _: stack, Program(operations, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("style", [Blocking, Resuming, Stepped, Concurrent])
def test_a_call_is_pending_while_it_is_blocked(style: type[Memory]) -> None:
    """All styles look the same in the history: asked, blocked, answered later."""
    history = history_of(style(), Hold(), Fsync(), Store(value=5), Load(), Release())

    assert history.crash is None
    fsync, load, release = history.calls[1], history.calls[3], history.calls[4]
    assert fsync.answered is not None
    assert fsync.answered > release.asked
    assert load.result == 5


def test_the_epilogue_releases_the_disk() -> None:
    """A program that forgets to release ends with an answer all the same."""
    history = history_of(Blocking(), Hold(), Fsync())

    assert history.calls[1].succeeded
    assert [call.is_epilogue for call in history.calls] == [False, False, True]


def test_a_call_that_never_wakes_stays_pending() -> None:
    """It is known what it waits for."""

    class Stuck(Memory):
        def fsync(self) -> Iterator[Wait]:
            yield Wait("a pin", lambda: False)

    history = history_of(Stuck(), Fsync())

    assert history.calls[0].is_pending
    assert history.calls[0].blocked_on == "a pin"


def test_a_parked_call_lets_others_run() -> None:
    """It stops at the point, and goes on after the operation named by the schedule."""
    stack = Stepped()
    park = Preempt(call=0, at="fsync.started", until=1)

    history = history_of(stack, Fsync(), Store(value=3), schedule=(park,))

    fsync, store = history.calls
    assert fsync.answered is not None
    assert store.answered is not None
    assert fsync.answered > store.answered
    assert history.parked_as_asked
    assert 0 in history.samples[1].parked


def test_a_point_that_is_never_reached_is_told() -> None:
    """A schedule that did not take place is no evidence."""
    park = Preempt(call=0, at="mkclean.pte")

    history = history_of(Stepped(), Fsync(), schedule=(park,))

    assert not history.parked_as_asked


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ([Load(mapping=4)], "mapping (0, 4) does not exist"),
        ([Load(page=9)], "mapping (0, 0) has no page 9"),
        ([Read()], "read is not offered"),
        ([Release()], "the disk is not held"),
        ([Hold(), Hold()], "the disk is held"),
        ([GetUserPages(longterm=True)], "get_user_pages is not offered"),
    ],
)
def test_what_cannot_be_asked_is_skipped(operations: list[object], reason: str) -> None:
    """Every program is legal; the skip is written down with its reason."""
    history = history_of(Memory(), *operations)

    assert history.calls[len(operations) - 1].skipped == reason


class Full(Memory):
    """Offers files, mappings and pins, and does nothing."""

    def create(self, file: int) -> None: ...

    def unlink(self, file: int) -> None: ...

    def mmap(self, process: int, mapping: int, file: int, pages: int) -> None: ...

    def munmap(self, process: int, mapping: int) -> None: ...

    def get_user_pages(self, pin: int, pages: int) -> int:
        return pages

    def put_user_page(self, pin: int, page: int) -> None: ...

    def put_user_pages(self, pin: int, first: int, pages: int | None) -> None: ...


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ([Create(file=0)], "file 0 exists"),
        ([Create(file=1), Unlink(file=1), Mmap(file=1)], "file 1 does not exist"),
        ([Mmap(mapping=0)], "mapping (0, 0) exists"),
        ([Munmap(), Load()], "mapping (0, 0) does not exist"),
        ([GetUserPages(), GetUserPages()], "pin 0 exists"),
        ([GetUserPages(), PutUserPage(page=1)], "the pin has no such page"),
        ([GetUserPages(), PutUserPages(), PutUserPage()], "pin 0 does not exist"),
        ([GetUserPages(write=False)], "get_user_pages(write) is not offered"),
        ([DeviceComplete()], "device_complete is not offered"),
    ],
)
def test_handles_are_followed(operations: list[object], reason: str) -> None:
    """A handle exists from the answer of its maker to its end."""
    history = history_of(Full(), *operations)

    assert history.calls[len(operations) - 1].skipped == reason


class Forking(Memory):
    """Its fork waits while the disk is held."""

    def fork(self, process: int, child: int) -> Iterator[Wait]:
        yield Wait("the disk", lambda: not self.is_held)

    def exit(self, process: int) -> None: ...

    def clear_refs(self, process: int) -> None: ...

    def mmap(self, process: int, mapping: int, file: int, pages: int) -> None: ...

    def munmap(self, process: int, mapping: int) -> None: ...


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (ClearRefs(process=1), "process 1 does not exist"),
        (Exit(process=1), "process 1 does not exist"),
        (Fork(process=1, child=2), "process 1 does not exist"),
        (Fork(), "process 1 exists"),
        (Mmap(process=1, mapping=1), "process 1 is being made"),
    ],
)
def test_a_process_exists_from_the_answer_of_its_fork(
    operation: object, reason: str
) -> None:
    """Until then nothing can be done with it, and nothing makes another."""
    history = history_of(
        Forking(), Hold(), Fork(), operation, Release(), ClearRefs(process=1)
    )

    assert history.calls[2].skipped == reason
    assert history.calls[4].succeeded


@pytest.mark.parametrize(
    ("meanwhile", "mapping"),
    [((Mmap(mapping=1),), 1), ((Munmap(),), 0), ((Munmap(), Mmap(mapping=0)), 0)],
)
def test_a_child_has_what_was_mapped_before_it_was_forked(
    meanwhile: tuple[object, ...], mapping: int
) -> None:
    """What comes and goes during a fork it may have, or not."""
    load = Load(process=1, mapping=mapping)
    history = history_of(Forking(), Hold(), Fork(), *meanwhile, Release(), load)
    before = history_of(Forking(), Mmap(mapping=1), Fork(), Load(process=1, mapping=1))

    assert history.calls[-1].skipped == f"mapping (1, {mapping}) does not exist"
    assert before.calls[-1].succeeded


def test_refusals_of_the_table_are_answers() -> None:
    """A signal that the contract allows is no crash."""

    class Beyond(Memory):
        def store(self, page: int, word: int, value: int) -> None:
            raise Signal(SignalName.SIGBUS)

    history = history_of(Beyond(), Store())

    assert history.crash is None
    assert history.calls[0].refused


def test_a_refusal_outside_the_table_is_a_crash() -> None:
    """The message names operation and error."""

    class Wrong(Memory):
        def load(self, page: int, word: int) -> int:
            raise KernelError(Errno.ENOSPC)

    history = history_of(Wrong(), Load())

    assert history.crash is not None
    assert "ENOSPC (the contract forbids it)" in history.crash.message


def test_a_stack_that_never_rests_is_inconclusive() -> None:
    """The bound is named."""

    class Restless(Memory):
        def background(self) -> list[object]:
            return [self._spin()]

        def _spin(self) -> Iterator[Step]:
            while True:
                yield Step("disk.request_taken")

    history = history_of(Restless(), Load())

    assert history.inconclusive is not None
    assert "without waiting" in history.inconclusive


def test_a_stepped_call_that_raised_does_not_answer_as_well() -> None:
    """What it raised is told, not that it had no answer afterwards."""

    class Raising(Memory):
        def load(self, page: int, word: int) -> Iterator[Step]:  # type: ignore[override]
            yield Step("fault.page_found")
            raise ValueError("no such page")

    history = history_of(Raising(), Load(), Store())
    paced = PacedExecution(lambda _: Raising(), Program())
    call, invocation = paced.ask(Load(), Park("put.entered", 1))
    assert invocation is not None
    assert not paced.advance(call.index, invocation)
    raised = paced.history.crash
    assert not paced.advance(call.index, invocation)
    paced.settle()

    assert history.crash is not None
    assert history.crash.message.endswith("raised ValueError: no such page")
    assert history.calls[0].answered is None
    assert history.calls[1].skipped == "the run is over"
    assert raised is not None
    assert paced.history.crash is raised
    assert call.answered is None


class _Never(Concurrent):
    """Its fsync is at work for ever."""

    def fsync(self) -> _Later:
        return _Later(self, asked=-1_000_000)


def test_a_call_that_is_never_done_is_named() -> None:
    """After a minute of a clock that stands in for ours."""
    now = itertools.count()
    program = Program((Store(value=1), Fsync(file=0), Load()))
    execution = Execution(
        lambda _: _Never(),
        program,
        clock=lambda: float(next(now)),
        sleep=lambda _: None,
    )

    for operation in program.operations[:2]:
        execution.perform(operation)

    assert execution.is_over
    assert execution.history.inconclusive == (
        "nothing moved for 60 s, and these had not answered: "
        "Fsync(file=0) (operation 1)"
    )


def _boot_raises(_: Setup) -> object:
    raise RuntimeError("no memory")


def _boot_tells_nonsense(_: Setup) -> object:
    stack = Full()
    stack.features_offered = "all of them"  # type: ignore[attr-defined]
    return stack


@pytest.mark.parametrize("boot", [_boot_raises, _boot_tells_nonsense])
def test_no_stack_is_said_at_once(boot: Callable[[Setup], object]) -> None:
    """There is nothing to judge."""
    with pytest.raises(BootError):
        run(boot, Program((Load(),)))
