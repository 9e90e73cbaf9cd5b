"""An execution whose calls go on one step at a time, as an engine chooses.

Interface:
  * `ask` begins a call and runs nothing of it; `advance` lets it, or an actor of the
    stack, go on to where its park stops it; `settle` lets all go on.
"""

from collections.abc import Collection, Sequence

import attrs

from conformance.engines.execution import Execution
from conformance.engines.invocation import Invocation, Park
from conformance.interface import Operation
from conformance.oracle.history import Call, Sample


@attrs.define(eq=False)
class PacedExecution(Execution):
    """One stack, running one program at a pace given from outside."""

    @property
    def stack(self) -> object:
        """The stack under test."""
        return self._stack

    @property
    def actors(self) -> Sequence[Invocation]:
        """The background actors of the stack."""
        return self._background

    def settle(self) -> None:
        """Let everything go on until it has answered, is blocked or is parked."""
        if not self.is_over:
            self._guarded(self._settle, None)

    def ask(self, operation: Operation, park: Park) -> tuple[Call, Invocation | None]:
        """Ask an operation and run nothing of it; None: it is skipped."""
        call = Call(len(self.history.calls), operation)
        self.history.calls.append(call)
        call.skipped = self._why_skipped(operation)
        if call.skipped is not None:
            return call, None
        invocation = self._invocation(call)
        invocation.park = park
        call.asked = self.history.tick()
        self.handles.asked(call)
        self._invocations[call.index] = invocation
        return call, invocation

    def is_ready(self, invocation: Invocation) -> bool:
        """Tell whether a stepped call can go on; none can when the run is over."""
        ready: list[bool] = []
        if not self.is_over:
            self._guarded(lambda _: ready.append(invocation.is_ready), None)
        return ready == [True]

    def advance(self, index: int | None, invocation: Invocation) -> bool:
        """Let one call (None: an actor) go on to where its park stops it.

        When the run is over nothing moves: a call that raised has no more to say.
        """
        moved: list[bool] = []

        def act(call: Call | None) -> None:
            if call is None:
                moved.append(invocation.advance())
            else:
                moved.append(self._advance_call(call, invocation))

        if not self.is_over:
            self._guarded(act, None if index is None else self.history.calls[index])
        return moved == [True]

    def sample(self) -> Sample | None:
        """Return what the stack shows now, without writing it down; None: it cannot."""
        shown: list[Sample] = []
        self._guarded(lambda _: shown.append(self._observer.sample(-1, (), ())), None)
        return shown[0] if shown else None

    def look(self, after: int, stopped: Collection[int] | None) -> None:
        """Take what the stack shows now.

        Args:
            after: index of the call that was asked last.
            stopped: calls that could go on; None: actors could, and it is not known
                which of the calls wait for them.
        """
        self._guarded(lambda _: self._take(after, stopped), None)

    def _take(self, after: int, stopped: Collection[int] | None) -> None:
        pending = self._invocations
        parked = pending if stopped is None else stopped
        sample = self._observer.sample(after, list(parked), pending)
        self.history.samples.append(sample)
