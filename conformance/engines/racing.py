"""One race, run step by step: who goes on at each step is chosen from outside.

Operations before the race are asked one after the other, as in any program. Then the
calls of the race and the actors of the stack are *threads*; a choice lets one of them
run to its next yield. A call is asked with its first step, so that calls overlap only
if they did. At the end everything settles, and the operations after it are asked.

The stack is looked at before each call of the race is asked and after each has
answered, the others being parked where they are. A call that stood at one point
meanwhile is in the history as one that a `Preempt` parked there. A call that waits is
shown as waiting only if the actors have nothing to do that they were kept from.

Interface:
  * `RaceRun(execution, race)`, then `enabled`, `step(thread)`, and `finish`, which
    returns the history. Threads are numbered: the calls, then the actors.
  * `stand(thread, anatomy)` tells where a thread stands now.
"""

from collections.abc import Hashable, Iterable, Sequence

import attrs

from conformance.engines.invocation import Invocation, Park
from conformance.engines.paced import PacedExecution
from conformance.engines.printing import Printer, UnprintableError
from conformance.engines.touching import Anatomy
from conformance.interface import Boot, Step
from conformance.oracle.history import Call, History
from conformance.program import Preempt, Program
from conformance.scenarios.races import Race

Thread = int
"""A call of the race by its place there; actors of the stack come after them."""


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
class Stand:
    """Where one thread stands: from equal ones, with equal stacks, it goes on alike."""

    print: Hashable
    is_over: bool = False
    """It has answered, or was skipped."""
    is_asked: bool = True
    point: str | None = None
    """The point at which it is parked."""
    waits_for: str | None = None
    is_shared: bool = False
    """Steps of others may change what is printed here."""
    is_odd: bool = False
    """It cannot be printed, and is like no other."""


@attrs.define(eq=False)
class Stands:
    """Counts where calls of a race stood, as in the schedule of a program."""

    _arrivals: dict[tuple[int, str], int] = attrs.field(
        factory=dict[tuple[int, str], int]
    )
    _stood: dict[int, list[Preempt]] = attrs.field(factory=dict[int, list[Preempt]])
    """Where each call stood whenever the stack was looked at."""

    def arrived(self, index: int, point: str) -> None:
        """Note that a call has come to a point."""
        self._arrivals[index, point] = self._arrivals.get((index, point), 0) + 1

    def looked_at(self, index: int, point: str, last: int) -> None:
        """Note that the stack was looked at while a call stood at a point."""
        nth = self._arrivals[index, point]
        self._stood.setdefault(index, []).append(Preempt(index, point, nth, last))

    def parked(self) -> list[Preempt]:
        """Return the calls that stood at one point all the time that others ran.

        Rules take it that a call is where its `Preempt` says in every sample that
        shows it parked. So a call that was seen at two points is not among them.
        """
        return [
            stands[-1]
            for stands in self._stood.values()
            if len(stands) > 1 and len({(each.at, each.nth) for each in stands}) == 1
        ]


@attrs.define(eq=False)
class RaceRun:
    """One run of a race."""

    execution: PacedExecution
    race: Race
    choices: list[Thread] = attrs.field(factory=list[Thread])
    """What was chosen so far."""
    looks: bool = True
    """Look at the stack whenever a call is asked or has answered."""
    stands: Stands = attrs.field(factory=Stands)
    _asked: dict[Thread, int] = attrs.field(factory=dict[Thread, int])
    """Index in the history, by call of the race."""
    _paces: dict[Thread, Pace] = attrs.field(factory=dict[Thread, Pace])
    _bodies: dict[Thread, Invocation] = attrs.field(factory=dict[Thread, Invocation])
    _stalled: set[Thread] = attrs.field(factory=set[Thread])
    """Threads that could not move, until another has moved."""

    def __attrs_post_init__(self) -> None:
        for operation in self.race.before:
            self.execution.perform(operation)
        self.execution.settle()
        first = len(self.race.calls)
        for thread, actor in enumerate(self.execution.actors, first):
            self._paces[thread] = actor.park = Pace()
            self._bodies[thread] = actor

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self.race.calls) + len(self.execution.actors)

    @property
    def asked(self) -> Sequence[Thread]:
        """The calls asked so far, in the order in which they were."""
        return tuple(self._asked)

    # --- choosing ---------------------------------------------------------------

    def enabled(self) -> list[Thread]:
        """Return the threads that can take a step."""
        return [t for t in range(self.threads) if self.is_enabled(t)]

    def is_enabled(self, thread: Thread) -> bool:
        """Tell whether a thread can take a step, as far as can be told before."""
        if thread in self._bodies:
            return thread not in self._stalled and self.is_ready(thread)
        is_call = thread < len(self.race.calls)
        return is_call and thread not in self._asked and not self.execution.is_over

    def is_ready(self, thread: Thread) -> bool:
        """Tell whether a thread that has begun, and not ended, waits for nothing."""
        return self.execution.is_ready(self._bodies[thread])

    def step(self, thread: Thread) -> bool:
        """Let a thread run to its next yield; tell whether it moved."""
        self.choices.append(thread)
        if thread not in self._bodies:
            self._ask(thread)
            return True
        return self._advance(thread)

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

    def _advance(self, thread: Thread) -> bool:
        body, pace = self._bodies[thread], self._paces[thread]
        pace.is_parked, pace.last = False, None
        moved = self.execution.advance(self._asked.get(thread), body)
        if moved:
            self._stalled.clear()
        else:
            self._stalled.add(thread)
        if thread < len(self.race.calls):
            self._note(thread, body, pace)
        return moved

    def _note(self, thread: Thread, body: Invocation, pace: Pace) -> None:
        if pace.last is not None:
            self.stands.arrived(self._asked[thread], pace.last.point)
        if body.is_done:
            del self._bodies[thread]
            self._look()

    def _look(self) -> None:
        if not self.looks:
            return
        last = max(self._asked.values())
        is_at_rest = True
        stopped = set[int]()
        for thread, body in self._bodies.items():
            step, is_ready = self._paces[thread].last, self.is_ready(thread)
            if thread not in self._asked:
                is_at_rest &= not is_ready
                continue
            index = self._asked[thread]
            if is_ready:
                stopped.add(index)
            if body.is_parked and step is not None:
                self.stands.looked_at(index, step.point, last)
        self.execution.look(last, stopped if is_at_rest else None)

    # --- comparing --------------------------------------------------------------

    def stand(self, thread: Thread, anatomy: Anatomy) -> Stand:
        """Return where a thread stands; things are named as in the last look."""
        body = self._bodies.get(thread)
        if body is not None:
            return self._stand_of(thread, body, anatomy)
        if thread not in self._asked:
            operation = self.race.calls[thread]
            return Stand(("not asked", operation), is_asked=False)
        call = self.call_of(thread)
        return Stand((repr(call.result), str(call.error), call.skipped), is_over=True)

    def _stand_of(self, thread: Thread, body: Invocation, anatomy: Anatomy) -> Stand:
        last = self._paces[thread].last
        point = None if last is None else last.point
        printer = Printer(anatomy.named, anatomy.holder_of)
        try:
            held = printer.print((body.body, body.waiting, body.resume))
            is_shared = printer.is_shared() or anatomy.is_loose_in(printer)
        except UnprintableError:
            held, is_shared = None, True
        is_call = thread < len(self.race.calls)
        operation = self.race.calls[thread] if is_call else None
        where = None if held is None else (operation, held, point, body.blocked_on)
        return Stand(
            where or self.unlike_all_others(),
            is_over=body.is_done,
            point=point,
            waits_for=body.blocked_on,
            is_shared=is_shared,
            is_odd=where is None,
        )

    def call_of(self, thread: Thread) -> Call:
        """Return the call of a thread that was asked."""
        return self.execution.history.calls[self._asked[thread]]

    def print_handles(self) -> Hashable:
        """Return what is equal if the same operations can be asked."""
        return repr(self.execution.handles)

    def unlike_all_others(self) -> Hashable:
        """Return what is equal to nothing that another run returns."""
        return ("unlike all others", tuple(self.choices))

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
        history.program = Program(drawn, self.race.setup, self.stands.parked())
        return history

    def point_of(self, thread: Thread) -> str | None:
        """Return the point at which a thread stands; None: it waits, or is over."""
        pace = self._paces.get(thread)
        return None if pace is None or pace.last is None else pace.last.point

    def is_over(self, thread: Thread) -> bool:
        """Tell whether a call has answered, or was skipped."""
        asked = thread in self._asked or thread >= len(self.race.calls)
        return asked and thread not in self._bodies


def started(boot: Boot, race: Race, *, looks: bool = True) -> RaceRun:
    """Boot a stack and bring it to where a race begins.

    Raises:
        BootError: there is no stack.
    """
    return RaceRun(PacedExecution(boot, Program((), race.setup)), race, looks=looks)


def run_schedule(boot: Boot, race: Race, choices: Iterable[Thread]) -> History:
    """Run one schedule; a choice that cannot be taken is passed over."""
    running = started(boot, race)
    for thread in choices:
        if running.is_enabled(thread):
            running.step(thread)
    return running.finish()


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
