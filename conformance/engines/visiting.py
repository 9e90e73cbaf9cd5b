"""A real run of a race, from state to state, and what is seen of it there.

Interface:
  * `boot(way)` starts a run and takes it to a state, `walk(way, ...)` takes it on to
    another; both return the state. `step` takes one step, and returns what it did.
  * `is_ready(thread)` and `sample()` return what is seen where the run is, and the
    parts that were read for it. `fingerprint()` is what the stack says of itself.
  * `stands` are the places of threads that were met, by number.
"""

from collections.abc import Hashable, Iterable, Sequence

import attrs

from conformance.engines.memory import Memory, Numbers
from conformance.engines.racing import RaceRun, Stand, Thread, started
from conformance.engines.states import Answered, Asked, Entry, Node
from conformance.engines.touching import WHOLE, Anatomy, Part
from conformance.interface import Boot
from conformance.oracle.history import Sample
from conformance.scenarios.races import Race

Number = int
OVER: Part = (("run",), "over")
"""The part that says how a run ended early: a crash, or a call without end."""


@attrs.frozen(eq=False)
class Taken:
    """What one step did."""

    read: set[Part]
    writes: Number
    place: Number
    """Where its thread stands now."""
    others: tuple[tuple[Thread, Number], ...]
    """Where those stand that it may have moved."""
    handles: Number
    entries: list[Entry]
    has_moved: bool


@attrs.define(eq=False)
class Visit:
    """One real run at a time."""

    starts: Boot
    race: Race
    memory: Memory
    stands: list[Stand] = attrs.field(factory=list[Stand])
    shared: set[Number] = attrs.field(factory=set[Number])
    """Places that others may change."""
    boots: int = 0
    _handles: Numbers = attrs.field(factory=Numbers)
    _places: Numbers = attrs.field(factory=Numbers)
    _run: RaceRun | None = None
    _anatomy: Anatomy = attrs.field(init=False)

    @property
    def is_over(self) -> bool:
        """Whether there is no run, or it has ended early."""
        return self._run is None or self._run.execution.is_over

    def boot(self, way: Sequence[Thread]) -> Node:
        """Start a run and return the state that some steps lead to."""
        self.close()
        self._run = run = started(self.starts, self.race, looks=False)
        self._anatomy = Anatomy.of(run.execution.stack, run.execution)
        self.boots += 1
        for thread in way:
            run.step(thread)
        return self._state(run, self.memory.stack(self._look(run)))

    def walk(self, way: Iterable[Thread], whole: Sequence[Thread], node: Node) -> Node:
        """Take some steps from a state, and return the one that they lead to.

        Args:
            way: the steps.
            whole: steps that lead to the same state from the beginning. It is taken
                to have come by these: what is like no other is told by them.
            node: the state that the run is in.
        """
        run = self._running
        for thread in way:
            run.step(thread)
        run.choices[:] = whole
        return self._state(run, self.memory.changed(node.stack, self._writes(node)))

    def step(
        self, thread: Thread, node: Node, others: Iterable[Thread], way: list[Thread]
    ) -> Taken:
        """Take one step from a state.

        Args:
            thread: who takes it.
            node: the state that the run is in.
            others: threads whose place it may change.
            way: steps that lead to this state from the beginning.
        """
        run = self._running
        begin = len(run.execution.history.events)
        was_asked = self.stands[node.places[thread]].is_asked
        with self._anatomy.noting() as touched:
            has_moved = run.step(thread)
        run.choices[:] = [*way, thread]
        writes = self._writes(node, touched.assigned)
        return Taken(
            touched.read,
            writes,
            self._place(run, thread),
            tuple((other, self._place(run, other)) for other in others),
            self._handles.of(run.print_handles()),
            _entries(run, thread, begin, was_asked=was_asked),
            has_moved,
        )

    def is_ready(self, thread: Thread) -> tuple[bool, set[Part]]:
        """Tell whether a thread can go on, and which parts were read for it."""
        with self._anatomy.noting() as touched:
            is_ready = self._running.is_ready(thread)
        return is_ready, touched.read

    def sample(self) -> tuple[Sample, set[Part]]:
        """Return what the harness sees of the stack, and which parts were read."""
        with self._anatomy.noting() as touched:
            sample = self._running.execution.sample()
        assert sample is not None, "the stack cannot be looked at"
        return attrs.evolve(sample, moment=0), touched.read

    def fingerprint(self) -> Hashable:
        """Return what the stack says is equal for like states; None: nothing."""
        is_told = not self.is_over and self._anatomy.is_apart
        return self._anatomy.fingerprint() if is_told else None

    def close(self) -> None:
        """Let go of the stack."""
        if self._run is not None:
            self._run.execution.close()
            self._run = None

    # --- looking ------------------------------------------------------------------

    @property
    def _running(self) -> RaceRun:
        assert self._run is not None, "there is no run"
        return self._run

    def _state(self, run: RaceRun, stack: Number) -> Node:
        places = tuple(self._place(run, thread) for thread in range(run.threads))
        return Node(stack, self._handles.of(run.print_handles()), places)

    def _look(self, run: RaceRun) -> dict[Part, Hashable]:
        """Return every part of the stack."""
        history = run.execution.history
        if run.execution.is_over:
            crash = history.crash and history.crash.message
            return {OVER: (history.inconclusive, crash)}
        parts = self._anatomy.look()
        return {WHOLE: run.unlike_all_others()} if parts is None else parts

    def _writes(self, node: Node, assigned: Iterable[Part] = ()) -> Number:
        """Return what was written to the stack since the last look at it."""
        parts = None if self.is_over else self._anatomy.writes(assigned)
        if parts is None:
            return self.memory.difference(node.stack, self._look(self._running))
        return self.memory.writes(parts)

    def _place(self, run: RaceRun, thread: Thread) -> Number:
        stand = run.stand(thread, self._anatomy)
        place = self._places.of(stand)
        if place == len(self.stands):
            self.stands.append(stand)
            if stand.is_shared:
                self.shared.add(place)
        return place


def _entries(
    run: RaceRun, thread: Thread, begin: int, *, was_asked: bool
) -> list[Entry]:
    """Return what a step added to the history of a run."""
    entries: list[Entry] = [e for _, e in run.execution.history.events[begin:]]
    if thread >= len(run.race.calls):
        return entries
    call = run.call_of(thread)
    if not was_asked:
        entries.insert(0, Asked(call.skipped))
    if call.answered is not None:
        entries.append(Answered(call.result, call.error))
    return entries
