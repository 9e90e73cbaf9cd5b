"""The states of a race and the steps between them; each kind of step is run once.

A step depends on where its thread stands (code, instruction, variables, value stack;
see `printing.py`) and on the parts of the stack that it reads (seen, not declared; see
`touching.py`). So what it did is *remembered* by these. From another state in which
they are the same the step is not run again: what it leads to is put together from the
parts that it wrote, the others being as they were. Calls are asked and answered through
the harness, whose handles in use belong to these steps, too.

Where a thread holds something that others can change while it stands still (an
iterator over a list of the stack, say), its place may be changed by them. It is part
of what their steps are remembered by, and looked at anew after each.

A stack without `fingerprint` asks for none of this: its states are like no others, so
that every order is enumerated. So is a place, or a stack, that cannot be printed.

Steps that are not remembered are run on a real stack: from boot, by the choices that
lead to the state, then on and on as long as there is something new. Whenever a state is
reached in this way, what is really there is compared with what was put together: each
such run checks all steps remembered on its way. A difference, or a fingerprint that is
not the same for the same parts, means that the stack keeps something where it cannot be
seen, or is not deterministic (`ForgetfulError`).

Interface:
  * `Graph(boot, race)`, `explore(goes_on)`, then `nodes`, `edges`, `way(node)`.
  * `shown(node)` is what the harness sees when it looks at the stack in a state.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager

import attrs

from conformance.engines.memory import Memory, Numbers
from conformance.engines.racing import RaceRun, Stand, Thread, started
from conformance.engines.states import Answered, Asked, Edge, Effect, Entry, Node, Shown
from conformance.engines.touching import WHOLE, Anatomy, Part
from conformance.interface import Boot
from conformance.scenarios.races import Race

Number = int


class ForgetfulError(Exception):
    """Two states that were taken for the same are not."""


_USES_HANDLES = Effect((), -1)
"""Remembered for a step that has to be looked up with the handles in use as well."""
OVER: Part = (("run",), "over")
"""The part that says how a run ended early: a crash, or a call without end."""


@attrs.define(eq=False)
class Graph:
    """Every state that a race can come to."""

    boot: Boot
    race: Race
    nodes: list[Node] = attrs.field(factory=list[Node])
    edges: list[list[Edge]] = attrs.field(factory=list[list[Edge]])
    """From each state, in the order of the threads."""
    entries: dict[Number, Entry] = attrs.field(factory=dict[Number, Entry])
    stands: list[Stand] = attrs.field(factory=list[Stand])
    steps_run: int = 0
    """Steps that were run on a real stack, not remembered."""
    boots: int = 0
    is_whole: bool = True
    """False: the exploration was ended early."""
    memory: Memory = attrs.field(factory=Memory)
    _handles: Numbers = attrs.field(factory=Numbers)
    _places: Numbers = attrs.field(factory=Numbers)
    _told: Numbers = attrs.field(factory=Numbers)
    _ways: list[tuple[Number, Thread] | None] = attrs.field(
        factory=list[tuple[Number, Thread] | None]
    )
    _shared: set[Number] = attrs.field(factory=set[Number])
    """Places that others may change."""
    _known: dict[Node, Number] = attrs.field(factory=dict[Node, Number])
    _prints: dict[Number, Hashable] = attrs.field(factory=dict[Number, Hashable])
    """The fingerprint of each stack that was really there."""
    _over: Number = -1
    _whole: Number = -1
    _once: dict[tuple[Number, Thread], Effect] = attrs.field(
        factory=dict[tuple[Number, Thread], Effect]
    )
    """Steps from one state that lead to what is like no other."""
    _run: RaceRun | None = None
    _at: Number = -1
    """The state in which the real run is."""
    _anatomy: Anatomy = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._over = self.memory.parts.of(OVER)
        self._whole = self.memory.parts.of(WHOLE)

    # --- exploring ----------------------------------------------------------------

    def explore(self, goes_on: Callable[[], bool]) -> None:
        """Find every state and every step, as long as `goes_on` allows it."""
        self._go_to(None)
        todo = list(self._new())
        later: list[tuple[Number, Thread]] = []
        while todo or later:
            if not goes_on():
                self.is_whole = False
                return
            if todo:
                node = todo.pop()
                lacking = [t for t in self._threads(node) if not self._link(node, t)]
                later += [(node, thread) for thread in reversed(lacking)]
            else:
                node, thread = later.pop()
                if not self._link(node, thread):
                    self._learn(node, thread)
                    assert self._link(node, thread), "a step was not remembered"
            todo += self._new()

    def _new(self) -> Iterator[Number]:
        """Yield the states that have come up since this was last asked."""
        while len(self.edges) < len(self.nodes):
            self.edges.append([])
            yield len(self.edges) - 1

    def _threads(self, node: Number) -> Sequence[Thread]:
        return () if self.is_broken(node) else range(len(self.nodes[node].places))

    def way(self, node: Number) -> list[Thread]:
        """Return the choices by which a state was found."""
        choices = []
        step = self._ways[node]
        while step is not None:
            choices.append(step[1])
            step = self._ways[step[0]]
        return choices[::-1]

    def finals(self) -> list[Number]:
        """Return the states in which nothing can go on."""
        return [node for node, edges in enumerate(self.edges) if not edges]

    def is_broken(self, node: Number) -> bool:
        """Tell whether the run has ended in a state: a crash, or a call without end."""
        return bool(self.memory.value(self.nodes[node].stack, self._over))

    def stand(self, node: Number, thread: Thread) -> Stand:
        """Return where a thread stands in a state."""
        return self.stands[self.nodes[node].places[thread]]

    def is_ready(self, node: Number, thread: Thread) -> bool:
        """Tell whether a thread that has begun waits for nothing in a state."""
        state = self.nodes[node]
        place = state.places[thread]
        stand = self.stands[place]
        if stand.is_over or not stand.is_asked:
            return False
        is_free = stand.waits_for is None
        return is_free or self.memory.recall(("ready", place), state.stack) is True

    def is_at_rest(self, node: Number) -> bool:
        """Tell whether no actor of the stack can go on in a state."""
        first, end = len(self.race.calls), len(self.nodes[node].places)
        return not any(self.is_ready(node, actor) for actor in range(first, end))

    def looks(self, node: Number, *, exact: bool) -> Hashable:
        """Return what a look at the stack tells of the calls.

        Args:
            node: the state.
            exact: at which arrival at its point each of them is, too.
        """
        calls = len(self.race.calls)
        if exact:
            return (self.is_at_rest(node), self.nodes[node].places[:calls])
        stands = [self.stand(node, thread) for thread in range(len(self.race.calls))]
        return (
            self.is_at_rest(node),
            tuple((s.is_asked, s.point, s.is_over) for s in stands),
            tuple(self.is_ready(node, thread) for thread in range(len(stands))),
        )

    def shown(self, node: Number) -> Shown:
        """Return what the stack shows in a state."""
        state = self.nodes[node]
        key = ("shown", state.handles)
        known = self.memory.recall(key, state.stack)
        if known is None:
            run, parts = self._go_to(node), set[Part]()
            with self._reading(parts):
                sample = run.execution.sample()
            assert sample is not None, "the stack cannot be looked at"
            content = repr(attrs.evolve(sample, moment=0))
            known = Shown(self._told.of(content), sample)
            self.memory.note(key, state.stack, parts, known)
        assert isinstance(known, Shown)
        return known

    def close(self) -> None:
        """Let go of the stack."""
        if self._run is not None:
            self._run.execution.close()
            self._run = None

    # --- remembering --------------------------------------------------------------

    def _link(self, node: Number, thread: Thread) -> bool:
        """Add the step of a thread from a state; tell whether it is known."""
        state = self.nodes[node]
        place = state.places[thread]
        stand = self.stands[place]
        if stand.is_over:
            return True
        if stand.waits_for is not None:
            is_ready = self.memory.recall(("ready", place), state.stack)
            if not is_ready:
                return is_ready is not None
        effect = self._once.get((node, thread)) or self._recall(state, thread)
        if effect is None:
            return False
        if effect.has_moved:
            target = self._number(self._after(state, thread, effect), (node, thread))
            self.edges[node].append(Edge(thread, target, effect))
        return True

    def _recall(self, state: Node, thread: Thread) -> Effect | None:
        key = self._key(state, thread)
        effect = self.memory.recall(key, state.stack)
        if effect is _USES_HANDLES:
            effect = self.memory.recall((*key, state.handles), state.stack)
        assert effect is None or isinstance(effect, Effect)
        return effect

    def _key(self, state: Node, thread: Thread) -> tuple[Hashable, ...]:
        others = self._others(state, thread)
        return ("step", state.places[thread], others)

    def _others(self, state: Node, thread: Thread) -> tuple[tuple[Thread, Number], ...]:
        """Return the other threads whose place a step may change, and their places."""
        if self._shared.isdisjoint(state.places):
            return ()
        return tuple(
            (other, place)
            for other, place in enumerate(state.places)
            if other != thread and place in self._shared
        )

    def _after(self, state: Node, thread: Thread, effect: Effect) -> Node:
        places = list(state.places)
        places[thread] = effect.place
        for other, place in effect.others:
            places[other] = place
        stack = self.memory.changed(state.stack, effect.writes)
        handles = state.handles if effect.handles is None else effect.handles
        return Node(stack, handles, tuple(places))

    def _number(self, state: Node, way: tuple[Number, Thread] | None) -> Number:
        number = self._known.setdefault(state, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(state)
            self._ways.append(way)
        return number

    # --- real runs ----------------------------------------------------------------

    def _go_to(self, node: Number | None) -> RaceRun:
        """Return a real run that is in a state; None: at the beginning."""
        if self._run is not None and self._at == node:
            return self._run
        self.close()
        self._run = run = started(self.boot, self.race, looks=False)
        self._anatomy = Anatomy.of(run.execution.stack, run.execution)
        self.boots += 1
        for thread in () if node is None else self.way(node):
            run.step(thread)
        stack = self.memory.stack(self._look(run))
        places = tuple(self._place(run, t) for t in range(run.threads))
        found = Node(stack, self._handles.of(run.print_handles()), places)
        self._at = self._number(found, None)
        if node not in (None, self._at):
            raise ForgetfulError(_FORGETFUL)
        self._note_ready(run, found)
        return run

    def _look(self, run: RaceRun) -> dict[Part, Hashable]:
        """Return every part of the stack."""
        history = run.execution.history
        if run.execution.is_over:
            crash = history.crash and history.crash.message
            return {OVER: (history.inconclusive, crash)}
        parts = self._anatomy.look()
        return {WHOLE: run.unlike_all_others()} if parts is None else parts

    def _reading(self, parts: set[Part]) -> AbstractContextManager[None]:
        """Note which parts of the stack are read meanwhile."""
        return self._anatomy.reading(parts)

    def _place(self, run: RaceRun, thread: Thread) -> Number:
        stand = run.stand(thread, self._anatomy)
        place = self._places.of(stand)
        if place == len(self.stands):
            self.stands.append(stand)
            if stand.is_shared:
                self._shared.add(place)
        return place

    def _note_ready(self, run: RaceRun, state: Node) -> None:
        for thread, place in enumerate(state.places):
            key = ("ready", place)
            if self.stands[place].waits_for is None:
                continue
            if self.memory.recall(key, state.stack) is None:
                parts = set[Part]()
                with self._reading(parts):
                    is_ready = run.is_ready(thread)
                self.memory.note(key, state.stack, parts, is_ready)

    def _learn(self, node: Number, thread: Thread) -> None:
        """Run the step of a thread from a state, and remember what it does."""
        run, state = self._go_to(node), self.nodes[node]
        if self.stands[state.places[thread]].waits_for and not run.is_ready(thread):
            return
        key, parts = self._key(state, thread), set[Part]()
        begin = len(run.execution.history.events)
        was_asked = self.stands[state.places[thread]].is_asked
        with self._reading(parts):
            has_moved = run.step(thread)
        self.steps_run += 1
        writes = self.memory.difference(state.stack, self._look(run))
        others = tuple((o, self._place(run, o)) for o, _ in self._others(state, thread))
        place = self._place(run, thread)
        entries = _entries(run, thread, begin, was_asked=was_asked)
        handles = None
        if not was_asked or self.stands[place].is_over:
            self.memory.note(key, state.stack, parts, _USES_HANDLES)
            key = (*key, state.handles)
            handles = self._handles.of(run.print_handles())
        told = tuple(self._entry(entry) for entry in entries)
        effect = Effect(writes, place, handles, others, told, has_moved)
        if self._is_odd(effect):
            self._once[node, thread] = effect
        else:
            self.memory.note(key, state.stack, parts, effect)
        self._arrive(run, self._after(state, thread, effect), (node, thread))

    def _arrive(self, run: RaceRun, state: Node, way: tuple[Number, Thread]) -> None:
        """Note that the real run has come to a state."""
        self._at = self._number(state, way)
        self._check(run, state.stack)
        self._note_ready(run, state)

    def _is_odd(self, effect: Effect) -> bool:
        """Tell whether a step leads to something that is like no other."""
        places = [effect.place, *(place for _, place in effect.others)]
        is_whole = any(part == self._whole for part, _ in effect.writes)
        return is_whole or any(self.stands[place].is_odd for place in places)

    def _check(self, run: RaceRun, stack: Number) -> None:
        """Check that the same parts have the same fingerprint."""
        if run.execution.is_over or not self._anatomy.is_apart:
            return
        seen = self._anatomy.fingerprint()
        if self._prints.setdefault(stack, seen) != seen:
            raise ForgetfulError(_FORGETFUL)

    def _entry(self, entry: Entry) -> Number:
        content: Hashable = entry
        if isinstance(entry, Answered):
            content = (repr(entry.result), str(entry.error))
        number = self._told.of(content)
        self.entries.setdefault(number, entry)
        return number


_FORGETFUL = (
    "a state was not what the same steps led to before: the stack keeps something that "
    "cannot be reached from it, or it is not deterministic"
)


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
