"""A call on its way: the three styles behind one face.

An `Invocation` is advanced again and again until it is done. Each advance runs the
call as far as it can go now: a stepped call until it waits, is parked, or returns;
an immediate one by calling it once more; a concurrent one by asking for its state.

Interface:
  * `start(method, arguments)` makes an invocation and runs nothing.
  * `advance()` tells whether anything moved; then look at `is_done`, `blocked_on`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from conformance.interface import (
    Blocked,
    Done,
    KernelError,
    Running,
    Signal,
    Step,
    Wait,
    WouldBlock,
)

STEPS_MAX = 20_000
"""Steps that one call may take without waiting before it is called endless."""


class EndlessError(Exception):
    """A bound was hit while a call was still running."""


class BrokenError(Exception):
    """A call did what the contract does not allow; the cause is chained."""


Body = Generator[Step | Wait, None, object]


@attrs.define(eq=False)
class Park:
    """Where a stepped call is to be stopped."""

    at: str
    nth: int
    seen: int = 0
    is_parked: bool = False
    is_over: bool = False

    def stops(self, step: Step) -> bool:
        """Note that a point was reached; tell whether the call stops there."""
        if self.is_over or step.point != self.at:
            return False
        self.seen += 1
        self.is_parked = self.seen == self.nth
        return self.is_parked

    def end(self) -> None:
        """Let the call go on, and never stop it again."""
        self.is_parked = False
        self.is_over = True


@attrs.define(eq=False)
class Invocation:
    """One call of one method of a stack."""

    method: Callable[..., object]
    arguments: Mapping[str, Any]
    park: Park | None = None
    is_done: bool = False
    result: object = None
    error: KernelError | Signal | None = None
    blocked_on: str | None = None
    is_running: bool = False
    """A concurrent call that is being worked on elsewhere."""
    steps: int = 0
    _body: Body | None = None
    _wait: Wait | None = None
    _resume: Callable[[], object] | None = None
    _pending: Any = None
    _begun: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it can go on now, if it is stepped."""
        return not self.is_done and (self._wait is None or self._wait.ready())

    @property
    def body(self) -> Body | None:
        """The generator of a stepped call that has begun."""
        return self._body

    @property
    def waiting(self) -> Callable[[], bool] | None:
        """The condition that a stepped call waits for."""
        return None if self._wait is None else self._wait.ready

    @property
    def resume(self) -> Callable[[], object] | None:
        """What an immediate call asked to be called again."""
        return self._resume

    @property
    def is_parked(self) -> bool:
        """Whether it is stopped in its middle by the program's schedule."""
        return self.park is not None and self.park.is_parked

    def advance(self) -> bool:
        """Run the call as far as it goes now; tell whether anything moved."""
        if self.is_done or self.is_parked:
            return False
        try:
            return self._advance()
        except (KernelError, Signal) as refusal:
            # The traceback holds the whole stack, and the history keeps the refusal.
            refusal.__context__ = None
            self._finish(None, refusal.with_traceback(None))
            return True

    def _advance(self) -> bool:
        if self._body is not None:
            return self._advance_body(self._body)
        if self._pending is not None:
            return self._ask_state()
        return self._call_once()

    def _call_once(self) -> bool:
        first, self._begun = not self._begun, True
        try:
            result = self._resume() if self._resume else self.method(**self.arguments)
        except WouldBlock as block:
            moved = first or block.on != self.blocked_on
            self.blocked_on = block.on
            self._resume = block.resume or self._resume
            return moved
        self._take(result)
        return True

    def _take(self, result: object) -> None:
        if isinstance(result, Generator):
            self._body = result
            self._advance_body(result)
        elif callable(getattr(result, "state", None)):
            self._pending = result
            self._ask_state()
        else:
            self._finish(result, None)

    def _advance_body(self, body: Body) -> bool:
        moved = False
        if self._wait is not None and not self._wait.ready():
            return False
        self._wait, self.blocked_on = None, None
        for _ in range(STEPS_MAX):
            try:
                stop = next(body)
            except StopIteration as end:
                self._finish(end.value, None)
                return True
            self.steps += 1
            moved = True
            if self._stops_at(stop):
                return moved
        raise EndlessError(f"{STEPS_MAX} steps without waiting")

    def _stops_at(self, stop: object) -> bool:
        if isinstance(stop, Wait):
            if stop.ready():
                return False
            self._wait, self.blocked_on = stop, stop.on
            return True
        if isinstance(stop, Step):
            return self.park is not None and self.park.stops(stop)
        raise BrokenError(f"yielded {stop!r} (should be a Step or a Wait)")

    def _ask_state(self) -> bool:
        match self._pending.state():
            case Done(result=result, error=error):
                self._end_pending(result, error)
                return True
            case Blocked(on=on):
                self.is_running, self.blocked_on = False, on
                return False
            case Running():
                self.is_running = True
                return False
            case other:
                raise BrokenError(f"state is {other!r} (should be a call state)")

    def _end_pending(self, result: object, error: BaseException | None) -> None:
        self.is_running = False
        if error is None:
            self._finish(result, None)
        elif isinstance(error, (KernelError, Signal)):
            self._finish(None, error)
        else:
            raise error

    def _finish(self, result: object, error: KernelError | Signal | None) -> None:
        self.is_done, self.result, self.error = True, result, error
        self.blocked_on = None

    def close(self) -> None:
        """Let go of a call that will never be finished."""
        if self._body is not None:
            self._body.close()


def in_sequence(
    calls: Sequence[tuple[Callable[..., object], Mapping[str, Any]]],
) -> Body:
    """Return a stepped call that makes others, one after the other."""
    for method, arguments in calls:
        try:
            answer = method(**arguments)
        except WouldBlock as block:
            again = block.resume or partial(method, **arguments)
        else:
            if isinstance(answer, Generator):
                yield from answer
                continue
            again = partial(_given, answer)
        yield from _until_done(Invocation(again, {}))
    return None


def _given(answer: object) -> object:
    return answer


def _until_done(part: Invocation) -> Body:
    part.advance()
    while not part.is_done:
        yield Wait(part.blocked_on or "its parts", part.advance)
    if part.error is not None:
        raise part.error
    return None
