"""The history of a schedule, told without running it.

A schedule is a way through the states of a race (see `remembering.py`). What is asked,
answered and told on it is known; what comes after its last state (everything settles,
the operations after the race, the epilogue) is run once for each last state and order
of asking.

Interface:
  * `Teller(graph).history(way)` returns the history of a schedule, the same as
    `run_schedule` would.
"""

from collections.abc import Hashable

import attrs

from conformance.engines.racing import RaceRun, Stands, Thread, run_schedule, started
from conformance.engines.remembering import Graph
from conformance.engines.states import Answered, Asked, Edge
from conformance.oracle.history import Call, History
from conformance.program import Program

Way = list[Edge]
"""Steps from the first state to one in which nothing can go on."""


@attrs.frozen(eq=False)
class _Rest:
    """What happens after the last step, taken from a run."""

    history: History
    calls: int
    """How many there had been before."""
    samples: int
    events: int
    now: int


@attrs.define(eq=False)
class Teller:
    """Tells the histories of one race."""

    graph: Graph
    _before: History = attrs.field(init=False)
    _rests: dict[tuple[int, tuple[Thread, ...]], _Rest] = attrs.field(
        factory=dict[tuple[int, tuple[Thread, ...]], _Rest]
    )

    def __attrs_post_init__(self) -> None:
        run = started(self.graph.boot, self.graph.race)
        self._before = run.execution.history
        run.execution.close()

    def history(self, way: Way) -> History:
        """Return the history of a schedule."""
        last = way[-1].target if way else 0
        choices = [edge.thread for edge in way]
        if self.graph.is_broken(last):
            return run_schedule(self.graph.boot, self.graph.race, choices)
        telling = _Telling(self.graph, _copy(self._before))
        node = 0
        for edge in way:
            telling.step(node, edge)
            node = edge.target
        rest = self._rest(last, tuple(telling.indices), choices)
        return telling.finish(rest)

    def gist(self, way: Way) -> Hashable:
        """Return what is the same for schedules that have the same history."""
        graph, node, gist = self.graph, 0, list[Hashable]()
        for edge in way:
            for number in edge.effect.told:
                gist.append(number)
                entry = graph.entries[number]
                if isinstance(entry, (Asked, Answered)):
                    seen = node if isinstance(entry, Asked) else edge.target
                    gist += (
                        edge.thread,
                        graph.shown(seen).number,
                        graph.looks(seen, exact=True),
                    )
            node = edge.target
        return (graph.nodes[node], tuple(gist))

    def _rest(
        self, last: int, asked: tuple[Thread, ...], choices: list[Thread]
    ) -> _Rest:
        if (last, asked) not in self._rests:
            run = started(self.graph.boot, self.graph.race)
            for thread in choices:
                run.step(thread)
            self._rests[last, asked] = _rest_of(run)
        return self._rests[last, asked]


def _rest_of(run: RaceRun) -> _Rest:
    """Bring a run to its end; return what that adds to its history."""
    history = run.execution.history
    counts = len(history.calls), len(history.samples), len(history.events), history.now
    return _Rest(run.finish(), *counts)


def _copy(history: History) -> History:
    """Return a history that can be added to."""
    return History(
        history.program,
        history.geometry,
        history.features,
        [attrs.evolve(call) for call in history.calls],
        list(history.samples),
        list(history.events),
        is_stepped=history.is_stepped,
        now=history.now,
    )


@attrs.define(eq=False)
class _Telling:
    """One history, being told."""

    graph: Graph
    history: History
    indices: dict[Thread, int] = attrs.field(factory=dict[Thread, int])
    """Index in the history, by call of the race, in the order of asking."""
    stands: Stands = attrs.field(factory=Stands)

    def step(self, node: int, edge: Edge) -> None:
        """Tell one step from a state."""
        thread, history = edge.thread, self.history
        for number in edge.told:
            match self.graph.entries[number]:
                case Asked(skipped=skipped):
                    self._ask(node, thread, skipped)
                case Answered(result=result, error=error):
                    call = history.calls[self.indices[thread]]
                    call.result, call.error = result, error
                    call.answered, call.blocked_on = history.tick(), None
                    self._look(edge.target)
                case event:
                    history.events.append((history.tick(), event))
        self._note_stand(edge)

    def _note_stand(self, edge: Edge) -> None:
        index = self.indices.get(edge.thread)
        if index is None:
            return
        stand = self.graph.stand(edge.target, edge.thread)
        call = self.history.calls[index]
        if not stand.is_over:
            call.blocked_on = stand.waits_for
        if stand.point is not None and not stand.is_over:
            self.stands.arrived(index, stand.point)

    def _ask(self, node: int, thread: Thread, skipped: str | None) -> None:
        history = self.history
        if self.indices:
            self._look(node)
        call = Call(len(history.calls), self.graph.race.calls[thread], skipped=skipped)
        history.calls.append(call)
        self.indices[thread] = call.index
        if skipped is None:
            call.asked = history.tick()

    def _look(self, node: int) -> None:
        """Tell what the stack shows in a state."""
        history, last = self.history, max(self.indices.values())
        parked = set[int]()
        for thread, index in self.indices.items():
            stand = self.graph.stand(node, thread)
            if self.graph.is_ready(node, thread):
                parked.add(index)
            if stand.point is not None and not stand.is_over:
                self.stands.looked_at(index, stand.point, last)
        pending = {call.index for call in history.calls if call.is_pending}
        if not self.graph.is_at_rest(node):
            parked = pending
        history.samples.append(
            attrs.evolve(
                self.graph.shown(node).sample,
                moment=history.tick(),
                after=last,
                parked=frozenset(parked),
                pending=frozenset(pending),
            )
        )

    def finish(self, rest: _Rest) -> History:
        """Add what happens after the last step."""
        history, seen = self.history, rest.history
        shift = history.now - rest.now
        for call, real in zip(history.calls, seen.calls, strict=False):
            call.blocked_on = real.blocked_on
            if real.answered is not None and real.answered > rest.now:
                call.answered = real.answered + shift
                call.result, call.error = real.result, real.error
        history.calls += [_later(call, shift) for call in seen.calls[rest.calls :]]
        history.samples += [
            attrs.evolve(sample, moment=sample.moment + shift)
            for sample in seen.samples[rest.samples :]
        ]
        history.events += [
            (m + shift, event) for m, event in seen.events[rest.events :]
        ]
        history.now += seen.now - rest.now
        history.crash, history.inconclusive = seen.crash, seen.inconclusive
        drawn = [call.operation for call in history.calls if not call.is_epilogue]
        setup = self.graph.race.setup
        history.program = Program(drawn, setup, self.stands.parked())
        return history


def _later(call: Call, shift: int) -> Call:
    answered = None if call.answered is None else call.answered + shift
    asked = call.asked + shift if call.was_asked else call.asked
    return attrs.evolve(call, asked=asked, answered=answered)
