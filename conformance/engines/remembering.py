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

Steps that are not remembered are run on a real stack (see `visiting.py`). It goes on,
by steps that are known, as long as something new is near, and else starts again from
boot. Whenever it comes to a state in this way, what is really there is compared with
what was put together: each such run checks all steps remembered on its way. A
difference, or a fingerprint that is not the same for the same parts, means that the
stack keeps something where it cannot be seen, or is not deterministic
(`ForgetfulError`).

Interface:
  * `Graph(boot, race)`, `explore(goes_on)`, then `nodes`, `edges`, `way(node)`.
  * `shown(node)` is what the harness sees when it looks at the stack in a state.
"""

from collections.abc import Callable, Container, Hashable, Iterator, Sequence

import attrs

from conformance.engines.memory import Lore, Memory, Numbers
from conformance.engines.paths import BEGINNING, Steps, nearest, path
from conformance.engines.racing import Stand, Thread
from conformance.engines.states import Answered, Edge, Effect, Entry, Node, Shown
from conformance.engines.touching import WHOLE
from conformance.engines.visiting import OVER, Visit
from conformance.interface import Boot
from conformance.scenarios.races import Race

Number = int
_Ahead = tuple[Number, list[Thread]]


class ForgetfulError(Exception):
    """Two states that were taken for the same are not."""


_USES_HANDLES = Effect(-1, -1)
"""Remembered for a step that has to be looked up with the handles in use as well."""


@attrs.define(eq=False)
class Graph:
    """Every state that a race can come to."""

    boot: Boot
    race: Race
    nodes: list[Node] = attrs.field(factory=list[Node])
    edges: list[list[Edge]] = attrs.field(factory=list[list[Edge]])
    """From each state, in the order of the threads."""
    entries: dict[Number, Entry] = attrs.field(factory=dict[Number, Entry])
    steps_run: int = 0
    """Steps that were run on a real stack, not remembered."""
    is_whole: bool = True
    """False: the exploration was ended early."""
    memory: Memory = attrs.field(factory=Memory)
    _visit: Visit = attrs.field(init=False)
    _at: Number = -1
    """The state in which the real run is."""
    _ways: Steps = attrs.field(factory=Steps)
    """For each state, the step by which it was found, and from where."""
    _known: dict[Node, Number] = attrs.field(factory=dict[Node, Number])
    _prints: dict[Number, Hashable] = attrs.field(factory=dict[Number, Hashable])
    """The fingerprint of each stack that was really there."""
    _steps: dict[Hashable, Lore] = attrs.field(factory=dict[Hashable, Lore])
    """What steps do, by the place of the thread, and what else they depend on."""
    _readiness: dict[Number, Lore] = attrs.field(factory=dict[Number, Lore])
    """Whether a thread that waits can go on, by its place."""
    _shows: dict[Number, Lore] = attrs.field(factory=dict[Number, Lore])
    """What the stack shows, by the handles in use."""
    _once: dict[tuple[Number, Thread], Effect] = attrs.field(
        factory=dict[tuple[Number, Thread], Effect]
    )
    """Steps from one state that lead to what is like no other."""
    _told: Numbers = attrs.field(factory=Numbers)
    _over: Number = -1
    _whole: Number = -1

    def __attrs_post_init__(self) -> None:
        self._visit = Visit(self.boot, self.race, self.memory)
        self._over = self.memory.parts.of(OVER)
        self._whole = self.memory.parts.of(WHOLE)

    @property
    def stands(self) -> Sequence[Stand]:
        """Every place where a thread stands in some state."""
        return self._visit.stands

    @property
    def boots(self) -> int:
        """How often a real run was started."""
        return self._visit.boots

    # --- exploring ----------------------------------------------------------------

    def explore(self, goes_on: Callable[[], bool]) -> None:
        """Find every state and every step, as long as `goes_on` allows it."""
        self._go_to(None)
        todo = list(self._new())
        later: dict[Number, list[Thread]] = {}
        while todo or later:
            if not goes_on():
                self.is_whole = False
                return
            if todo:
                node = todo.pop()
                lacking = [t for t in self._threads(node) if not self._link(node, t)]
                if lacking:
                    later[node] = lacking[::-1]
            else:
                self._catch_up(later)
            todo += self._new()

    def _catch_up(self, later: dict[Number, list[Thread]]) -> None:
        """Add a step that was lacking; learn one that is near to the real run."""
        node = next(reversed(later))
        if not self._link(node, later[node][-1]):
            node, _ = self._ahead(later) or (node, [])
            if not self._link(node, later[node][-1]):
                self._learn(node, later[node][-1])
                assert self._link(node, later[node][-1]), "a step was not remembered"
        later[node].pop()
        if not later[node]:
            del later[node]

    def _new(self) -> Iterator[Number]:
        """Yield the states that have come up since this was last asked."""
        while len(self.edges) < len(self.nodes):
            self.edges.append([])
            yield len(self.edges) - 1

    def _threads(self, node: Number) -> Sequence[Thread]:
        return () if self.is_broken(node) else range(len(self.nodes[node].places))

    def way(self, node: Number) -> list[Thread]:
        """Return the choices by which a state was found."""
        return path(self._ways, node)

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
        return is_free or self._recall_ready(place, state) is True

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
        known = self._recall_shown(self.nodes[node])
        if known is None:
            self._go_to(node)
            known = self._note_shown(self.nodes[node])
        return known

    def close(self) -> None:
        """Let go of the stack."""
        self._visit.close()

    # --- remembering --------------------------------------------------------------

    def _link(self, node: Number, thread: Thread) -> bool:
        """Add the step of a thread from a state; tell whether it is known."""
        state = self.nodes[node]
        place = state.places[thread]
        stand = self._visit.stands[place]
        if stand.is_over:
            return True
        if stand.waits_for is not None:
            is_ready = self._recall_ready(place, state)
            if not is_ready:
                return is_ready is not None
        effect = self._recall(state, thread)
        if effect is None:
            effect = self._once.get((node, thread))
        if effect is None:
            return False
        if effect.has_moved:
            target = self._number(self._after(state, thread, effect), (node, thread))
            self.edges[node].append(Edge(thread, target, effect))
        return True

    def _recall_ready(self, place: Number, state: Node) -> object:
        lore = self._readiness.get(place)
        return None if lore is None else self.memory.recall(lore, state.stack)

    def _recall_shown(self, state: Node) -> Shown | None:
        lore = self._shows.setdefault(state.handles, Lore())
        known = self.memory.recall(lore, state.stack)
        assert known is None or isinstance(known, Shown)
        return known

    def _recall(self, state: Node, thread: Thread) -> Effect | None:
        effect = self.memory.recall(self._lore(state, thread), state.stack)
        if effect is _USES_HANDLES:
            lore = self._lore(state, thread, state.handles)
            effect = self.memory.recall(lore, state.stack)
        assert effect is None or isinstance(effect, Effect)
        return effect

    def _lore(self, state: Node, thread: Thread, *handles: Number) -> Lore:
        """Return what is known of steps that begin like that of a thread."""
        key: Hashable = state.places[thread]
        if handles or not self._visit.shared.isdisjoint(state.places):
            key = (key, self._others(state, thread), handles)
        lore = self._steps.get(key)
        if lore is None:
            lore = self._steps[key] = Lore()
        return lore

    def _others(self, state: Node, thread: Thread) -> tuple[tuple[Thread, Number], ...]:
        """Return the other threads whose place a step may change, and their places."""
        shared = self._visit.shared
        return tuple(
            (other, place)
            for other, place in enumerate(state.places)
            if other != thread and place in shared
        )

    def _after(self, state: Node, thread: Thread, effect: Effect) -> Node:
        places = list(state.places)
        places[thread] = effect.place
        for other, place in effect.others:
            places[other] = place
        stack = self.memory.changed(state.stack, effect.writes)
        handles = state.handles if effect.handles is None else effect.handles
        return Node(stack, handles, tuple(places))

    def _number(self, state: Node, way: tuple[Number, Thread]) -> Number:
        number = self._known.setdefault(state, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(state)
            self._ways[number] = way
        return number

    # --- real runs ----------------------------------------------------------------

    def _go_to(self, node: Number | None) -> None:
        """Take the real run to a state; None: to the beginning."""
        way = [] if node is None else self.way(node)
        ahead = None if node is None else self._ahead((node,))
        if ahead is None:
            found = self._visit.boot(way)
        elif ahead[1]:
            found = self._visit.walk(ahead[1], way, self.nodes[self._at])
        else:
            return
        self._at = self._number(found, BEGINNING)
        if node not in (None, self._at):
            raise ForgetfulError(_FORGETFUL)
        self._note_ready(found)

    def _ahead(self, wanted: Container[Number]) -> _Ahead | None:
        """Return which wanted state the real run comes to first, and the steps to it.

        Returns:
            None: none of them is near; to boot is as good.
        """
        is_over = self._visit.is_over
        return None if is_over else nearest(self.edges, self._at, wanted)

    def _note_ready(self, state: Node) -> None:
        """Note which threads can go on in the state that the real run is in."""
        for thread, place in enumerate(state.places):
            if self.stands[place].waits_for is None:
                continue
            lore = self._readiness.setdefault(place, Lore())
            if self.memory.recall(lore, state.stack) is None:
                is_ready, read = self._visit.is_ready(thread)
                self.memory.note(lore, state.stack, read, is_ready)

    def _note_shown(self, state: Node) -> Shown:
        """Look at the stack in the state that the real run is in."""
        known = self._recall_shown(state)
        if known is None:
            sample, read = self._visit.sample()
            known = Shown(self._told.of(repr(sample)), sample)
            self.memory.note(self._shows[state.handles], state.stack, read, known)
        return known

    def _learn(self, node: Number, thread: Thread) -> None:
        """Run the step of a thread from a state, and remember what it does."""
        self._go_to(node)
        state = self.nodes[node]
        place = state.places[thread]
        if self.stands[place].waits_for and not self._recall_ready(place, state):
            return
        if not self.stands[place].is_asked:
            self._note_shown(state)
        others = [other for other, _ in self._others(state, thread)]
        taken = self._visit.step(thread, state, others, self.way(node))
        self.steps_run += 1
        lore, handles = self._lore(state, thread), None
        if not self.stands[place].is_asked or self.stands[taken.place].is_over:
            self.memory.note(lore, state.stack, taken.read, _USES_HANDLES)
            lore, handles = self._lore(state, thread, state.handles), taken.handles
        told = tuple(self._entry(entry) for entry in taken.entries)
        effect = Effect(
            taken.writes, taken.place, handles, taken.others, told, taken.has_moved
        )
        if self._is_odd(effect):
            self._once[node, thread] = effect
        else:
            self.memory.note(lore, state.stack, taken.read, effect)
        after = self._after(state, thread, effect)
        self._at = self._number(after, (node, thread))
        self._note_all(after, thread)

    def _note_all(self, state: Node, last: Thread) -> None:
        """Note what there is to be seen in the state that a thread has led to."""
        self._check(state)
        self._note_ready(state)
        if self.stands[state.places[last]].is_over:
            self._note_shown(state)

    def _is_odd(self, effect: Effect) -> bool:
        """Tell whether a step leads to something that is like no other."""
        places = [effect.place, *(place for _, place in effect.others)]
        is_whole = self.memory.is_written(self._whole, effect.writes)
        return is_whole or any(self.stands[place].is_odd for place in places)

    def _check(self, state: Node) -> None:
        """Check that the same parts have the same fingerprint."""
        seen = self._visit.fingerprint()
        if seen is not None and self._prints.setdefault(state.stack, seen) != seen:
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
