"""All schedules of a race: every order in which its calls can take their steps.

*State hashing.* The states of the race, and the steps between them, are found once each
(see `remembering.py`), all of them: no order is left out. The number of schedules is
the number of ways through this graph. The schedules that are told and judged are chosen
so that they cover it (see `covering.py`); no history is judged twice.

*No partial-order reduction.* It saves the states between two steps that do not concern
each other. Here such a state costs some microseconds, because none of its steps is run,
and that two orders come to the same is seen from the state that they lead to, not
concluded from what steps say of themselves. So there is nothing to be trusted but that
a step depends on what it reads, and each run from boot checks that.

Interface:
  * `explore(boot, race, rules)` returns a `ScheduleResult`; `lines()` prints it.
  * `run_schedule(boot, race, choices)` (in `racing.py`) runs one schedule.
  * `as_program(boot, race, choices, shows)` (in `turns.py`) makes a program of it.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import attrs

from conformance.engines.covering import Coverage, measure, ways
from conformance.engines.judge import judge
from conformance.engines.racing import Thread
from conformance.engines.remembering import Graph
from conformance.engines.retelling import Teller, Way
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.rules.rule import Rule
from conformance.scenarios.races import Race
from conformance.verdicts import Promise

STATES_MAX = 200_000
"""States after which an exploration ends with its bound hit."""
HISTORIES_MAX = 20_000
"""Histories judged after which it does."""
TELLINGS_MAX = 1_000_000
"""States, taken with what was told on the way, after which it does."""

Choices = tuple[Thread, ...]
CRASH = "crash"
"""Stands for the rule where the implementation did what the contract forbids."""


@attrs.frozen
class Bound:
    """How far an exploration goes."""

    states: int = STATES_MAX
    histories: int = HISTORIES_MAX
    tellings: int = TELLINGS_MAX
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic


@attrs.frozen
class Accusation:
    """The schedule with the fewest context switches in which a rule was violated."""

    rule: str
    """Rule id, or `CRASH`."""
    text: str
    choices: Choices
    """Threads in the order of their steps, for `run_schedule`."""

    @property
    def switches(self) -> int:
        """How often another thread goes on than before."""
        pairs = zip(self.choices, self.choices[1:], strict=False)
        return sum(before != after for before, after in pairs)


@attrs.define(eq=False)
class ScheduleResult:
    """What was found out about a race."""

    race: Race
    coverage: Coverage = Coverage.OUTCOMES
    schedules: int | None = 0
    """How many there are; None: without end, because a call may try again for ever."""
    judged: int = 0
    """Different histories judged."""
    states: int = 0
    """Different ones, final states included."""
    finals: int = 0
    """States in which nothing can go on."""
    steps: int = 0
    """Steps between them."""
    steps_run: int = 0
    """Steps that were run; the others were remembered."""
    boots: int = 0
    unprintable: int = 0
    """Places of threads that could not be compared with others."""
    depth: int = 0
    """Steps of the longest schedule."""
    points: tuple[int, ...] = ()
    """For each call of the race, the most points that it passes."""
    bound_hit: bool = False
    is_partial: bool = False
    """Not even all states were found; one step of each kind is judged."""
    inconclusive: int = 0
    """Executions in which something ran without an end; not judged."""
    accusations: dict[str, Accusation] = attrs.field(factory=dict[str, Accusation])
    premises: Counter[str] = attrs.field(factory=Counter[str])
    """By rule, how often there was something to judge."""
    unseen: dict[str, str] = attrs.field(factory=dict[str, str])
    """Rules that could not be observed, and what they lack."""
    errors: dict[str, str] = attrs.field(factory=dict[str, str])
    """Rules that failed themselves: a defect of the suite."""
    reason: str | None = None
    """Of the last execution that was inconclusive."""
    seconds: float = 0.0

    @property
    def violated(self) -> frozenset[str]:
        """The rules violated in one of the schedules."""
        return frozenset(self.accusations)

    @property
    def count(self) -> str:
        """The number of schedules, short."""
        if self.is_partial:
            return "an unknown number of"
        if self.schedules is None:
            return "endlessly many"
        digits = 6
        exact = f"{self.schedules:,}"
        return exact if len(exact) <= digits + 1 else f"{self.schedules:.2e}"

    @property
    def short(self) -> str:
        """The result in a line."""
        found = ", ".join(sorted(self.violated))
        verdict = f"{found} violated in one" if found else "no rule violated in any"
        points = " and ".join(map(str, self.points))
        bound = "bound hit" if self.bound_hit else "bound not hit"
        return (
            f"{verdict} of {self.count} schedules; points {points}, {self.states} "
            f"states, {self.steps} steps, depth {self.depth}, {self.judged} histories "
            f"judged ({self.coverage.name.lower()}), {bound}"
        )

    def lines(self) -> list[str]:
        """Return the result as text."""
        shown = zip(self.race.calls, self.points, strict=True)
        found = ", ".join(sorted(self.violated))
        verdict = f"violated: {found}" if found else "no rule violated"
        bound = "hit: there may be more" if self.bound_hit else "not hit"
        so_far = " up to the bound" if self.bound_hit else ""
        between = f"{self.steps} steps between them ({self.steps_run} run)"
        covered = f"all {self.coverage.name.lower()} covered{so_far}"
        return [
            f"{verdict} in {self.count} schedules, bound {bound}",
            f"{self.states} states ({self.finals} final), {between}",
            f"depth {self.depth}, {self.boots} boots, {self.unprintable} odd places",
            f"{self.judged} histories judged, {covered}",
            f"{self.inconclusive} inconclusive, {self.seconds:.2f} s",
            *(f"{points:>4} points: {operation}" for operation, points in shown),
        ]


@attrs.define(eq=False)
class _Exploration:
    boot: Boot
    rules: Sequence[Rule]
    promise: Promise
    bound: Bound
    result: ScheduleResult
    tell: Callable[[str], None]
    _begin: float = 0.0
    _judged: set[Hashable] = attrs.field(factory=set[Hashable])

    def explore(self) -> None:
        """Find every state, then judge."""
        self._begin = self.bound.clock()
        graph = Graph(self.boot, self.result.race)
        try:
            graph.explore(lambda: self._goes_on(graph))
            self._size_up(graph)
            self._judge_all(graph)
        finally:
            graph.close()
        self.result.seconds = self.bound.clock() - self._begin

    def _is_late(self) -> bool:
        bound = self.bound
        return bound.seconds is not None and (
            bound.clock() - self._begin > bound.seconds
        )

    def _goes_on(self, graph: Graph) -> bool:
        self.tell(f"{len(graph.nodes)} states")
        return len(graph.nodes) <= self.bound.states and not self._is_late()

    def _size_up(self, graph: Graph) -> None:
        result = self.result
        result.bound_hit = result.is_partial = not graph.is_whole
        result.states = len(graph.nodes)
        result.steps = sum(map(len, graph.edges))
        result.steps_run, result.boots = graph.steps_run, graph.boots
        result.unprintable = sum(stand.is_odd for stand in graph.stands)
        if graph.is_whole:
            result.finals = len(graph.finals())
            size = measure(graph)
            result.schedules, result.depth = size.schedules, size.depth
            result.points = size.points

    def _judge_all(self, graph: Graph) -> None:
        teller = Teller(graph)
        for way in self._ways(graph):
            gist = teller.gist(way)
            self.tell(f"{self.result.judged} histories")
            if gist not in self._judged:
                self._judged.add(gist)
                self._judge(teller.history(way), tuple(edge.thread for edge in way))

    def _ways(self, graph: Graph) -> Iterator[Way]:
        """Yield schedules to be judged, up to the bound."""
        result, bound = self.result, self.bound
        for way in ways(graph, result.coverage, bound.tellings):
            if way is None or result.judged >= bound.histories or self._is_late():
                result.bound_hit = True
                return
            yield way

    def _judge(self, history: History, choices: Choices) -> None:
        """Judge one history by all rules."""
        result = self.result
        result.judged += 1
        found = judge(history, self.rules, self.promise)
        result.inconclusive += found.inconclusive is not None
        result.reason = found.inconclusive or result.reason
        result.unseen.update(found.unseen)
        if found.crash is not None:
            self._accuse(CRASH, found.crash.message, choices)
        for rule, outcome in found.outcomes.items():
            result.premises[rule] += outcome.premises
            if outcome.findings:
                self._accuse(rule, str(outcome.findings[0]), choices)
            if outcome.error is not None:
                result.errors[rule] = outcome.error

    def _accuse(self, rule: str, text: str, choices: Choices) -> None:
        accused = self.result.accusations
        accusation = Accusation(rule, text, choices)
        if rule not in accused or accusation.switches < accused[rule].switches:
            accused[rule] = accusation


def explore(
    boot: Boot,
    race: Race,
    rules: Iterable[Rule] = (),
    *,
    coverage: Coverage = Coverage.VIEWS,
    promise: Promise = Promise.DOCUMENT,
    bound: Bound = Bound(),
    tell: Callable[[str], None] = lambda _: None,
) -> ScheduleResult:
    """Go through all schedules of a race and judge them.

    Args:
        boot: the implementation; its calls are stepped, or answer at once.
        race: the calls, and what comes before and after them.
        rules: by which the histories are judged.
        coverage: which histories are judged; see `covering.py`.
        promise: by which the rules are judged.
        bound: how far to go.
        tell: called again and again, with a few words on how far it is.

    Raises:
        BootError: there is no stack.
        ForgetfulError: the stack keeps something where it cannot be seen.
    """
    result = ScheduleResult(race, coverage, points=(0,) * len(race.calls))
    _Exploration(boot, tuple(rules), promise, bound, result, tell).explore()
    return result
