"""One race, run step by step: who goes on at each step is chosen from outside.

Operations before the race are asked one after the other, as in any program. Then the
calls of the race and the actors of the stack are *threads*; a choice lets one of them
run to its next yield. A call is asked with its first step, so that calls overlap only
if they did. At the end everything settles, and the operations after it are asked.

The stack is looked at before each call of the race is asked and after each has
answered, the others being parked where they are. A call that stood at one point
meanwhile is in the history as one that a `Preempt` parked there.

Interface:
  * `RaceRun(execution, race)`, then `enabled`, `step(thread)`, `state()`, and `finish`,
    which returns the history. Threads are numbered: the calls, then the actors.
"""

from collections.abc import Hashable, Iterable

import attrs

from conformance.engines.invocation import Invocation, Park
from conformance.engines.paced import PacedExecution
from conformance.engines.printing import Printer, UnprintableError, nameless
from conformance.interface import Operation, Setup, Step
from conformance.interface.calls import Key
from conformance.oracle.history import History
from conformance.program import Preempt, Program

Thread = int
"""A call of the race by its place there; actors of the stack come after them."""


def _operations(given: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple(given)


@attrs.frozen
class Race:
    """A few calls at once, what leads to them, and what looks at the result."""

    calls: tuple[Operation, ...] = attrs.field(converter=_operations)
    before: tuple[Operation, ...] = attrs.field(default=(), converter=_operations)
    after: tuple[Operation, ...] = attrs.field(default=(), converter=_operations)
    setup: Setup = attrs.field(factory=Setup)

    @property
    def program(self) -> Program:
        """The same, one call after the other."""
        return Program((*self.before, *self.calls, *self.after), self.setup)


@attrs.define(eq=False)
class Pace(Park):
    """Stops a call at each of its points."""

    at: str = ""
    nth: int = 0
    last: Step | None = None
    """Where it stands; None: at its beginning, or waiting."""

    def stops(self, step: Step) -> bool:
        """Note where the call is, and stop there."""
        self.last = step
        self.is_parked = not self.is_over
        return self.is_parked


@attrs.frozen
class StepTaken:
    """What one step of a thread did that others may notice."""

    reads: frozenset[Key]
    writes: frozenset[Key]
    is_visible: bool
    """Something was told in it: it is in the history."""

    @property
    def is_known(self) -> bool:
        """Whether it told what it touches."""
        return bool(self.reads or self.writes)

    def is_independent(self, other: "StepTaken") -> bool:
        """Tell whether the two may be exchanged: same state, same history."""
        if not (self.is_known and other.is_known):
            return False
        if self.is_visible and other.is_visible:
            return False
        touched = other.reads | other.writes
        return self.writes.isdisjoint(touched) and other.writes.isdisjoint(self.reads)


@attrs.define(eq=False)
class RaceRun:
    """One run of a race."""

    execution: PacedExecution
    race: Race
    choices: list[Thread] = attrs.field(factory=list[Thread])
    """What was chosen so far."""
    parks: list[tuple[int, str, int]] = attrs.field(factory=list[tuple[int, str, int]])
    """Place among the calls as asked, point and arrival, of each step's end."""
    points: list[int] = attrs.field(factory=list[int])
    """Points passed, by call of the race."""
    _asked: dict[Thread, int] = attrs.field(factory=dict[Thread, int])
    """Index in the history, by call of the race."""
    _paces: dict[Thread, Pace] = attrs.field(factory=dict[Thread, Pace])
    _bodies: dict[Thread, Invocation] = attrs.field(factory=dict[Thread, Invocation])
    _stalled: set[Thread] = attrs.field(factory=set[Thread])
    """Threads that could not move, until another has moved."""
    _arrivals: dict[tuple[int, str], int] = attrs.field(
        factory=dict[tuple[int, str], int]
    )
    _stood: dict[int, list[Preempt]] = attrs.field(factory=dict[int, list[Preempt]])
    """Where each call stood whenever the stack was looked at."""

    def __attrs_post_init__(self) -> None:
        for operation in self.race.before:
            self.execution.perform(operation)
        self.execution.settle()
        self.points = [0] * len(self.race.calls)
        first = len(self.race.calls)
        for thread, actor in enumerate(self.execution.actors, first):
            self._paces[thread] = actor.park = Pace()
            self._bodies[thread] = actor

    # --- choosing ---------------------------------------------------------------

    def enabled(self) -> list[Thread]:
        """Return the threads that can take a step."""
        if self.execution.is_over:
            return []
        calls = range(len(self.race.calls))
        unasked = [thread for thread in calls if thread not in self._asked]
        going = [
            thread
            for thread, body in self._bodies.items()
            if thread not in self._stalled and self.execution.is_ready(body)
        ]
        return sorted(unasked + going)

    def step(self, thread: Thread) -> StepTaken:
        """Let a thread run to its next yield; tell what it did."""
        self.choices.append(thread)
        before = self.execution.history.now
        last = self._paces[thread].last if thread in self._paces else None
        if thread in self._bodies:
            self._advance(thread)
        else:
            self._ask(thread)
        is_visible = self.execution.history.now != before
        if last is None or thread not in self._bodies:
            # A call was asked or has answered: the stack was looked at, all of it.
            return StepTaken(frozenset(), frozenset(), is_visible)
        return StepTaken(frozenset(last.reads), frozenset(last.writes), is_visible)

    def _ask(self, thread: Thread) -> None:
        history = self.execution.history
        if self._asked:
            self._look()
        pace = Pace()
        call, body = self.execution.ask(self.race.calls[thread], pace)
        self._asked[thread] = call.index
        self._paces[thread] = pace
        if body is not None:
            self._bodies[thread] = body
            self._advance(thread)
        elif history.crash is None:
            self._stalled.clear()

    def _advance(self, thread: Thread) -> None:
        body, pace = self._bodies[thread], self._paces[thread]
        pace.is_parked, pace.last = False, None
        if self.execution.advance(self._asked.get(thread), body):
            self._stalled.clear()
        else:
            self._stalled.add(thread)
        if thread < len(self.race.calls):
            self._note(thread, body, pace)

    def _note(self, thread: Thread, body: Invocation, pace: Pace) -> None:
        index = self._asked[thread]
        self.points[thread] = body.steps
        if pace.last is not None:
            where = index, pace.last.point
            self._arrivals[where] = self._arrivals.get(where, 0) + 1
            self.parks.append((*where, self._arrivals[where]))
        if body.is_done:
            del self._bodies[thread]
            self._look()

    def _look(self) -> None:
        last = max(self._asked.values())
        for thread, body in self._bodies.items():
            step = self._paces[thread].last
            if thread in self._asked and body.is_parked and step is not None:
                index = self._asked[thread]
                nth = self._arrivals[index, step.point]
                stand = Preempt(index, step.point, nth, last)
                self._stood.setdefault(index, []).append(stand)
        self.execution.look(last)

    def _parked(self) -> list[Preempt]:
        """Return the calls that stood at one point all the time that others ran.

        Rules take it that a call is where its `Preempt` says in every sample that
        shows it parked. So a call that was seen at two points is not among them.
        """
        return [
            stands[-1]
            for stands in self._stood.values()
            if len(stands) > 1 and len({(each.at, each.nth) for each in stands}) == 1
        ]

    # --- comparing --------------------------------------------------------------

    def state(self, *, with_history: bool) -> Hashable:
        """Return what is equal for states that go on alike; never equal, if unsure."""
        stack = self.execution.stack
        fingerprint = getattr(stack, "fingerprint", None)
        printer = Printer(getattr(stack, "name_of", nameless))
        try:
            if fingerprint is None:
                raise UnprintableError("the stack")  # noqa: TRY301 - one way out
            threads = tuple(
                self._stands(t, printer) for t in range(len(self.race.calls))
            )
            actors = tuple(
                printer.print(body.body)
                for thread, body in sorted(self._bodies.items())
                if thread >= len(self.race.calls)
            )
        except UnprintableError:
            return ("unlike all others", tuple(self.choices))
        told = self._told() if with_history else None
        return (fingerprint(), threads, actors, told)

    def _stands(self, thread: Thread, printer: Printer) -> Hashable:
        if thread not in self._asked:
            return "not asked"
        call = self.execution.history.calls[self._asked[thread]]
        if thread not in self._bodies:
            return (repr(call.result), str(call.error), call.skipped)
        body = self._bodies[thread].body
        if body is None:
            raise UnprintableError("a call that is no generator")
        return printer.print(body)

    def _told(self) -> Hashable:
        stood = tuple(map(tuple, self._stood.values()))
        return (story(self.execution.history), stood)

    # --- the end ----------------------------------------------------------------

    def finish(self) -> History:
        """Let everything settle, ask what comes after, and return the history."""
        for pace in self._paces.values():
            pace.end()
        self.execution.settle()
        if self._asked:
            self._look()
        for thread, operation in enumerate(self.race.calls):
            if thread not in self._asked:
                self.execution.perform(operation)
        for operation in self.race.after:
            self.execution.perform(operation)
        history = self.execution.finish()
        drawn = [call.operation for call in history.calls if not call.is_epilogue]
        history.program = Program(drawn, self.race.setup, self._parked())
        return history


def story(history: History) -> Hashable:
    """Return all that rules can read of a history, to be compared."""
    calls = tuple(
        (
            call.operation,
            call.asked,
            call.answered,
            repr(call.result),
            str(call.error),
            call.blocked_on,
        )
        for call in history.calls
    )
    crash = history.crash and history.crash.message
    samples = tuple(map(repr, history.samples))
    events = tuple(map(repr, history.events))
    return (calls, events, samples, history.program.schedule, crash)
