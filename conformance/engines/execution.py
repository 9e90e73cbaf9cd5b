"""Running a program on a stack, and writing down what happened.

Each operation is asked in its turn. Then everything *settles*: every call in
progress, tried in program order, and every background actor of the stack goes on
until all have answered, are known to be blocked, or are parked. Then the stack is
looked at. A program ends with an epilogue - parked calls go on, the disk is
released, the filesystem thawed, the space freed, pins kept - after which every call
should have answered.

Interface:
  * `run(boot, program)` returns the history of one program without turns; that of
    any program is returned by `run` of `running.py`.
  * `Execution` does the same step by step, for an engine that draws the next
    operation when it has seen the answer to the last: `perform`, then `finish`.
  * Nothing that an implementation does is raised from here, but `BootError` when
    there is no stack at all: a defect becomes `History.crash`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any, TypeVar

import attrs

from conformance.engines.capabilities import (
    Capabilities,
    capabilities_of,
)
from conformance.engines.defects import crash_of, describe
from conformance.engines.handles import Handles
from conformance.engines.invocation import (
    EndlessError,
    Invocation,
    Park,
    in_sequence,
)
from conformance.engines.logbook import Logged
from conformance.engines.observing import Observer
from conformance.interface import (
    OPERATIONS,
    Boot,
    DeviceAbort,
    DeviceComplete,
    Event,
    FreeDisk,
    Operation,
    Release,
    Setup,
    Thaw,
)
from conformance.interface.refusals import is_allowed
from conformance.interface.results import wrong_result
from conformance.oracle.history import Call, Crash, History
from conformance.program import Program

SETTLE_ROUNDS_MAX = 2_000
"""Rounds over all actors after which a stack that still moves is given up."""
RUNNING_SECONDS_MAX = 60.0
"""How long a concurrent call may run without being blocked or done."""
POLL_SECONDS = 0.0005
"""Between two questions for the state of a concurrent call."""


Given = TypeVar("Given")


class BootError(Exception):
    """The factory raised, or what it returned is not a stack."""


@attrs.define(eq=False)
class _Stop(Exception):  # noqa: N818 - it ends the run, and is not an error
    """The run cannot go on; the history says why."""


@attrs.define(eq=False)
class Execution:
    """One stack, running one program."""

    boot: Boot
    program: Program
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    history: History = attrs.field(init=False)
    capabilities: Capabilities = attrs.field(init=False)
    handles: Handles = attrs.field(init=False)
    is_over: bool = False
    _stack: object = attrs.field(init=False)
    _observer: Observer = attrs.field(init=False)
    _invocations: dict[int, Invocation] = attrs.field(factory=dict[int, Invocation])
    """Calls in progress, by index."""
    _background: list[Invocation] = attrs.field(factory=list[Invocation])

    def __attrs_post_init__(self) -> None:
        if isinstance(self.boot, Logged):
            self.boot.logbook.begin(self.program)
        asked = self.program.setup
        setup = Setup(asked.geometry, asked.features, self._tell)
        self.history = History(self.program, asked.geometry, asked.features)
        try:
            self._stack = self.boot(setup)
            self.capabilities = capabilities_of(self._stack, asked.geometry)
            self._background = _background(self._stack)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise BootError(describe(error)) from error
        geometry = self.capabilities.geometry
        self.history.geometry = geometry
        self.history.features = asked.features | self.capabilities.features_fixed
        self.history.is_stepped = self.capabilities.is_stepped
        self.handles = Handles(geometry, misuse=self.program.misuse)
        self._observer = Observer(
            self._stack, self.capabilities, self.history, self.handles
        )
        self._guarded(self._look, -1)

    def _tell(self, event: Event) -> None:
        self.history.events.append((self.history.tick(), event))

    # --- the program ----------------------------------------------------------

    def perform(self, operation: Operation) -> Call:
        """Ask one operation, let everything settle, look at the stack."""
        return self._perform(operation, is_epilogue=False)

    def pending(self) -> list[Call]:
        """Return the calls in progress, parked ones included."""
        return [self.history.calls[index] for index in self._invocations]

    def _perform(self, operation: Operation, *, is_epilogue: bool) -> Call:
        call = Call(len(self.history.calls), operation, is_epilogue=is_epilogue)
        self.history.calls.append(call)
        call.skipped = self._why_skipped(operation)
        if not is_epilogue:
            self._log(operation)
        if call.skipped is None:
            self._guarded(self._ask_and_settle, call)
        return call

    def _log(self, operation: Operation) -> None:
        """Write down what is asked next, for those who see this process end."""
        if isinstance(self.boot, Logged):
            self.boot.logbook.asks(operation, self.program.schedule)

    def _why_skipped(self, operation: Operation) -> str | None:
        if self.is_over:
            return "the run is over"
        lacking = self.capabilities.lacks(operation)
        if lacking is not None:
            return f"{lacking} is not offered"
        return self.handles.why_skipped(operation)

    def finish(self) -> History:
        """Run the epilogue, close the stack and return the history.

        Where a call raised nothing goes on: from itself nothing more can come.
        """
        if not self.is_over:
            self._unpark(None)
            self._guarded(self._settle, None)
        for operation in (Release(), Thaw(), FreeDisk()):
            if self._why_skipped(operation) is None:
                self._perform(operation, is_epilogue=True)
        self._guarded(self._look, len(self.history.calls) - 1)
        self.close()
        return self.history

    def close(self) -> None:
        """Let go of the stack; a second call does nothing."""
        self.is_over = True
        for invocation in [*self._invocations.values(), *self._background]:
            invocation.close()
        self._invocations.clear()
        self._background.clear()
        close, self._stack = getattr(self._stack, "close", None), None
        if callable(close):
            self._guarded(lambda _: close(), None)

    # --- one operation --------------------------------------------------------

    def _ask_and_settle(self, call: Call) -> None:
        invocation = self._invocation(call)
        invocation.park = self._park(call.index)
        call.asked = self.history.tick()
        self.handles.asked(call)
        self._invocations[call.index] = invocation
        self._settle(call)
        self._look(call.index)
        if self._unpark(call.index):
            self._settle(call)
            self._look(call.index)

    def _invocation(self, call: Call) -> Invocation:
        operation = call.operation
        name = self.capabilities.method_for(operation.name)
        if name is None:
            parts = [
                (self._method(part), arguments)
                for part, arguments in self._parts(operation)
            ]
            return Invocation(lambda: in_sequence(parts), {})
        return Invocation(self._method(name), self._arguments(name, operation))

    def _method(self, name: str) -> Callable[..., object]:
        method = getattr(self._stack, name)
        assert callable(method)
        return method  # type: ignore[no-any-return]  # the contract says what it is

    def _arguments(self, method: str, operation: Operation) -> dict[str, Any]:
        accepted = self.capabilities.parameters[method]
        return {
            name: getattr(operation, name)
            for name, is_optional in _fields(operation.name)
            if accepted is None or name in accepted or not is_optional
        }

    def _parts(self, operation: Operation) -> list[tuple[str, Mapping[str, Any]]]:
        assert isinstance(operation, (DeviceComplete, DeviceAbort))
        pin = operation.pin
        pages = sorted(self.handles.pins[pin].unput)
        offers = self.capabilities.parameters
        if isinstance(operation, DeviceAbort):
            if "put_user_page" in offers:
                return [("put_user_page", {"pin": pin, "page": p}) for p in pages]
            return [("put_user_pages", {"pin": pin, "first": 0, "pages": None})]
        put = "put_user_pages_dirty_lock"
        put = put if put in offers else "put_user_pages_dirty"
        words = range(self.history.geometry.words_per_page)
        value = operation.value
        writes: list[tuple[str, Mapping[str, Any]]] = [
            ("device_write", {"pin": pin, "page": p, "word": w, "value": value})
            for p in pages
            for w in words
        ]
        puts = [(put, {"pin": pin, "first": p, "pages": 1}) for p in pages]
        return [*writes, *puts]

    # --- settling -------------------------------------------------------------

    def _settle(self, _asked: Call | None) -> None:
        deadline: float | None = None
        for _ in range(SETTLE_ROUNDS_MAX):
            if self._advance_all():
                continue
            if not any(i.is_running for i in self._invocations.values()):
                return
            now = self.clock()
            deadline = deadline or now + RUNNING_SECONDS_MAX
            self._poll_until(deadline)
        raise EndlessError(f"still moving after {SETTLE_ROUNDS_MAX} rounds")

    def _poll_until(self, deadline: float) -> None:
        """Wait until a concurrent call has answered or is known to be blocked."""
        while not self._advance_all():
            if not any(i.is_running for i in self._invocations.values()):
                return
            if self.clock() > deadline:
                raise EndlessError(f"nothing moved for {RUNNING_SECONDS_MAX:g} s")
            self.sleep(POLL_SECONDS)

    def _advance_all(self) -> bool:
        moved = False
        for index in list(self._invocations):
            invocation = self._invocations[index]
            moved |= self._advance_call(self.history.calls[index], invocation)
        for actor in self._background:
            moved |= actor.advance()
        return moved

    def _advance_call(self, call: Call, invocation: Invocation) -> bool:
        try:
            moved = invocation.advance()
        except (EndlessError, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.history.crash = crash_of(call, error)
            raise _Stop from error
        call.blocked_on = invocation.blocked_on
        if invocation.is_done:
            del self._invocations[call.index]
            self._note_park(invocation)
            self._answer(call, invocation)
        return moved

    def _answer(self, call: Call, invocation: Invocation) -> None:
        error, operation = invocation.error, call.operation
        if error is not None and not is_allowed(operation, error):
            message = f"{operation} was refused with {error} (the contract forbids it)"
            sort = f"{operation.name} was refused with {error}"
            self.history.crash = Crash(call.index, message, sort=sort)
            raise _Stop
        wrong = (
            None
            if error
            else wrong_result(operation, invocation.result, self.history.geometry)
        )
        if wrong is not None:
            message = f"{operation} {wrong}"
            sort = f"{operation.name} answered with what it must not"
            self.history.crash = Crash(call.index, message, sort=sort)
            raise _Stop
        call.result, call.error = invocation.result, error
        call.answered = self.history.tick()
        self.handles.answered(call)

    # --- parking --------------------------------------------------------------

    def _park(self, index: int) -> Park | None:
        for preempt in self.program.schedule:
            if preempt.call == index:
                return Park(preempt.at, preempt.nth)
        return None

    def _unpark(self, settled: int | None) -> bool:
        """Let parked calls go on whose time has come; None: all of them."""
        moved = False
        for preempt in self.program.schedule:
            is_due = settled is None or preempt.until == settled
            invocation = self._invocations.get(preempt.call)
            if not is_due or invocation is None or invocation.park is None:
                continue
            moved |= invocation.is_parked
            invocation.park.end()
        return moved

    def _note_park(self, invocation: Invocation) -> None:
        """Write down that a call which has answered was never parked as asked."""
        park = invocation.park
        if park is not None and park.seen < park.nth:
            self.history.parked_as_asked = False

    # --- looking --------------------------------------------------------------

    def _look(self, after: int) -> None:
        parked = [i for i, call in self._invocations.items() if call.is_parked]
        sample = self._observer.sample(after, parked, self._invocations)
        self.history.samples.append(sample)

    def _still_running(self) -> str:
        """Say which calls have not answered, for whom it may be a riddle."""
        calls = [self.history.calls[index] for index in self._invocations]
        asked = ", ".join(f"{c.operation} (operation {c.index})" for c in calls)
        return f", and these had not answered: {asked}" if calls else ""

    def _guarded(self, act: Callable[[Given], None], given: Given) -> None:
        """Run a part of the program; what goes wrong is written to the history."""
        try:
            act(given)
        except _Stop:
            self.is_over = True
        except EndlessError as bound:
            self.history.inconclusive = f"{bound}{self._still_running()}"
            self.is_over = True
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - it is the implementation's
            self.history.crash = self.history.crash or crash_of(None, error)
            self.is_over = True


@cache
def _fields(name: str) -> tuple[tuple[str, bool], ...]:
    """Return the fields of an operation, and whether each may be left out."""
    return tuple(
        (field.name, field.default is not attrs.NOTHING)
        for field in attrs.fields(OPERATIONS[name])
    )


def _background(stack: object) -> list[Invocation]:
    actors: Iterable[object] = getattr(stack, "background", tuple)()
    return [Invocation(partial(_itself, actor), {}) for actor in actors]


def _itself(actor: object) -> object:
    return actor


def run(boot: Boot, program: Program) -> History:
    """Run one program without turns and return its history.

    Raises:
        BootError: there is no stack to run it on.
    """
    assert not program.turns, "turns are taken by `running.run`"
    execution = Execution(boot, program)
    for operation in program.operations:
        execution.perform(operation)
    return execution.finish()
