"""Which schedules of a race are told and judged, of all that there are.

The number of schedules is astronomic, that of the states and steps is not, and that of
the histories which can be told lies in between. What is judged is chosen by what has to
be covered; each of these includes the one before.
  * `Coverage.OUTCOMES`: every order in which calls are asked and answer, with every
    combination of answers, and with every state that it can end in; and every kind of
    step: from one place, reading the same, doing the same.
  * `Coverage.VIEWS`: every sequence of what a caller can see, that is also what the
    stack shows whenever a call is asked or has answered. Where only the order of
    events between these differs, one of them is judged.
  * `Coverage.HISTORIES`: every history that a schedule can tell.

Interface:
  * `ways(graph, coverage, limit)` yields schedules that cover it, those with few
    context switches first, and `None` when the limit was hit.
  * `measure(graph)` counts the schedules and finds the longest.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from enum import Enum, auto

import attrs

from conformance.engines.remembering import Graph
from conformance.engines.retelling import Way
from conformance.engines.states import Answered, Asked, Edge, Effect


class Coverage(Enum):
    """What is to be covered; see the head of this file."""

    OUTCOMES = auto()
    VIEWS = auto()
    HISTORIES = auto()


_Told = int
"""Stands for what a schedule has told so far."""


@attrs.define(eq=False)
class _Tree:
    """Ways from the beginning to states, with as few switches as can be."""

    graph: Graph
    coverage: Coverage | None
    """None: what is told does not matter."""
    limit: int
    is_whole: bool = True
    parents: dict[tuple[int, _Told], tuple[tuple[int, _Told], Edge] | None] = (
        attrs.field(factory=dict)
    )
    _numbers: dict[Hashable, _Told] = attrs.field(factory=dict[Hashable, _Told])

    def grow(self) -> None:
        """Find every state, together with what was told on the way if that matters."""
        queue = deque([((0, 0), -1)])
        parents, all_edges = self.parents, self.graph.edges
        parents[0, 0] = None
        while queue:
            at, last = queue.popleft()
            edges = all_edges[at[0]]
            can_go_on = last in [edge.thread for edge in edges]
            for edge in edges:
                is_silent = self.coverage is None or not edge.effect.told
                to = (edge.target, at[1] if is_silent else self._tell(at, edge))
                if to in parents:
                    continue
                if len(parents) >= self.limit:
                    self.is_whole = False
                    return
                parents[to] = at, edge
                if edge.thread == last or not can_go_on:
                    queue.appendleft((to, edge.thread))
                else:
                    queue.append((to, edge.thread))

    def _tell(self, at: tuple[int, _Told], edge: Edge) -> _Told:
        """Return what has been told after a step."""
        told = at[1]
        for number in edge.told:
            entry = self.graph.entries[number]
            if isinstance(entry, Asked):
                told = self._add(told, number, edge.thread, self._seen(at[0]))
            elif isinstance(entry, Answered):
                told = self._add(told, number, edge.thread, self._seen(edge.target))
            elif self.coverage is Coverage.HISTORIES:
                told = self._add(told, number)
        return told

    def _seen(self, node: int) -> Hashable:
        """Return what is seen of a state by looking at it."""
        if self.coverage is Coverage.OUTCOMES:
            return None
        return (
            self.graph.shown(node).number,
            self.graph.looks(node, exact=self.coverage is Coverage.HISTORIES),
        )

    def _add(self, told: _Told, *what: Hashable) -> _Told:
        return self._numbers.setdefault((told, what), len(self._numbers) + 1)

    def way(self, at: tuple[int, _Told]) -> Way:
        """Return the steps that lead to a state."""
        steps = []
        parent = self.parents[at]
        while parent is not None:
            at, edge = parent
            steps.append(edge)
            parent = self.parents[at]
        return steps[::-1]


def ways(graph: Graph, coverage: Coverage, limit: int) -> Iterator[Way | None]:
    """Yield schedules to be judged; None: there are more than the limit allows."""
    yield from _over_each_kind(graph)
    if not graph.is_whole:
        return
    tree = _Tree(graph, coverage, limit)
    tree.grow()
    for at in tree.parents:
        if not graph.edges[at[0]]:
            yield tree.way(at)
    if not tree.is_whole:
        yield None


def _over_each_kind(graph: Graph) -> Iterator[Way]:
    """Yield schedules that between them take a step of each kind."""
    tree = _Tree(graph, None, len(graph.nodes) + 1)
    tree.grow()
    distance = _distances(graph)
    taken = set[Effect]()
    for node, edges in enumerate(graph.edges):
        for edge in edges:
            if edge.effect in taken or edge.target not in distance:
                continue
            way = [*tree.way((node, 0)), edge]
            way += _continuation(graph, distance, edge)
            taken.update(step.effect for step in way)
            yield way


def _distances(graph: Graph) -> dict[int, int]:
    """Return the number of steps from each state to the nearest end."""
    sources: list[list[int]] = [[] for _ in graph.nodes]
    for node, edges in enumerate(graph.edges):
        for edge in edges:
            sources[edge.target].append(node)
    distance = {node: 0 for node, edges in enumerate(graph.edges) if not edges}
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        for source in sources[node]:
            if source not in distance:
                distance[source] = distance[node] + 1
                queue.append(source)
    return distance


def _continuation(graph: Graph, distance: dict[int, int], edge: Edge) -> Way:
    """Return the steps from where a step leads to an end, the same thread first."""
    way: Way = []
    while graph.edges[edge.target]:
        left = distance[edge.target]
        nearer = [
            e for e in graph.edges[edge.target] if distance.get(e.target) == left - 1
        ]
        same = [e for e in nearer if e.thread == edge.thread]
        edge = (same or nearer)[0]
        way.append(edge)
    return way


@attrs.frozen
class Measure:
    """How large a race is."""

    schedules: int | None
    """None: without end, because a call may try again for ever."""
    depth: int
    """Steps of the longest schedule, or of the longest way without a circle."""
    points: tuple[int, ...]
    """For each call, the most points that it passes."""


def measure(graph: Graph) -> Measure:
    """Count the schedules, and find the longest."""
    order, has_circle = _order(graph)
    calls = len(graph.race.calls)
    schedules: dict[int, int] = {}
    depth: dict[int, int] = {}
    points: dict[int, tuple[int, ...]] = {}
    for node in order:
        known = [edge for edge in graph.edges[node] if edge.target in schedules]
        schedules[node] = sum([schedules[edge.target] for edge in known]) or 1
        depth[node] = max([depth[edge.target] + 1 for edge in known], default=0)
        passed = [_passed(graph, edge, points[edge.target]) for edge in known]
        points[node] = tuple(map(max, zip(*passed, strict=True))) or (0,) * calls
    counted = None if has_circle else schedules[0]
    return Measure(counted, depth[0], points[0])


def _passed(graph: Graph, edge: Edge, after: tuple[int, ...]) -> tuple[int, ...]:
    """Return the points that each call passes, when it passes some after a step."""
    thread = edge.thread
    if thread >= len(after) or graph.stands[edge.effect.place].point is None:
        return after
    return *after[:thread], after[thread] + 1, *after[thread + 1 :]


def _order(graph: Graph) -> tuple[list[int], bool]:
    """Return the states, later ones first, and whether some go in a circle."""
    order: list[int] = []
    open_, done, has_circle = {0}, set[int](), False
    stack = [(0, iter(graph.edges[0]))]
    while stack:
        node, left = stack[-1]
        edge = next(left, None)
        if edge is None:
            stack.pop()
            open_.discard(node)
            done.add(node)
            order.append(node)
        elif edge.target in open_:
            has_circle = True
        elif edge.target not in done:
            open_.add(edge.target)
            stack.append((edge.target, iter(graph.edges[edge.target])))
    return order, has_circle
