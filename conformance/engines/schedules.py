"""All schedules of a race: every order in which its calls can take their steps.

Generators cannot be copied, so each schedule is run from boot: a known beginning, then
on and on by the first choice, the others being remembered for later; depth first.

*Merging.* A state that was reached before is not entered again; the run is completed
in one way. A state is the stack's fingerprint, what the calls that are over answered,
and for each other thread where it stands: code, instruction, variables, value stack
(see `printing.py`). From equal states the same steps lead to equal states, so that no
final state is lost, if the fingerprint holds all that the stack's behaviour depends
on. A state that cannot be printed is merged with none.

Rules read histories, and a state that is entered by two ways has two of them.
  * `Merging.HISTORIES` merges only what agrees in the history told so far, too. Then
    each history that can be told is judged.
  * `Merging.STATES` judges a history through every step from every state: the way by
    which the state was found first, that step, and one continuation. "In none of N
    schedules" then means: every step possible in every state was seen in a history
    that was judged, but not each with each beginning and each end.
  * `Merging.NOTHING` is plain enumeration.

*Partial-order reduction*: sleep sets (Godefroid 1996). Of two steps of which neither
writes what the other touches, by the keys that both give, one order is enough. A step
without keys, a first step and one after a wait conflict with all. So does a step that
ends in an answer: the stack is looked at then. So do two steps that both tell an
event. What is left out therefore tells the same story as what is run. With merging, a
state keeps which threads slept when it was entered; if it is entered again while one
of them is awake, that one is explored then, and what is kept becomes the intersection.

Not verified: that last sentence. No race of the tests enters a state again with fewer
threads asleep; to be sure, use merging or reduction, not both.

Interface:
  * `explore(boot, race, rules)` returns a `ScheduleResult`; `lines()` prints it.
  * `run_schedule(boot, race, choices)` runs one schedule again.
  * `as_program(boot, race, rule, choices)` looks for a program that shows the same.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain

import attrs

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.engines.paced import PacedExecution
from conformance.engines.racing import Race, RaceRun, StepTaken, Thread, story
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import Preempt, Program
from conformance.rules.rule import Rule
from conformance.verdicts import Promise

SCHEDULES_MAX = 100_000
"""Runs after which an exploration ends with its bound hit."""
PREEMPTS_TRIED_MAX = 200
"""Programs tried to show a schedule without its choices."""

Choices = tuple[Thread, ...]


class Merging(Enum):
    """Which states are taken for the same; see the head of this file."""

    NOTHING = auto()
    HISTORIES = auto()
    STATES = auto()


@attrs.frozen
class Bound:
    """How far an exploration goes."""

    schedules: int = SCHEDULES_MAX
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic


@attrs.frozen
class Accusation:
    """The first schedule in which a rule was violated."""

    rule: str
    """Rule id; "crash": the implementation did what the contract forbids."""
    text: str
    choices: Choices
    """Threads in the order of their steps, for `run_schedule`."""


@attrs.define(eq=False)
class ScheduleResult:
    """What was found out about a race."""

    race: Race
    schedules: int = 0
    """Complete executions, all judged."""
    histories: int = 0
    """Different ones among them."""
    pruned: int = 0
    """Runs ended early: what would follow is covered by another order."""
    transitions: int = 0
    """Steps from a state that were taken for the first time."""
    states: int = 0
    """Different ones, final states included."""
    unprintable: int = 0
    """States that could not be compared with others."""
    depth: int = 0
    """Steps of the longest schedule."""
    points: list[int] = attrs.field(factory=list[int])
    """For each call of the race, the most points that it passed."""
    finals: set[Hashable] = attrs.field(factory=set[Hashable])
    bound_hit: bool = False
    inconclusive: int = 0
    """Executions in which something ran without an end; not judged."""
    accusations: dict[str, Accusation] = attrs.field(factory=dict[str, Accusation])
    premises: set[str] = attrs.field(factory=set[str])
    """Rules that had something to judge in one of the schedules."""
    seconds: float = 0.0

    @property
    def violated(self) -> frozenset[str]:
        """The rules violated in one of the schedules."""
        return frozenset(self.accusations)

    def lines(self) -> list[str]:
        """Return the result as text."""
        shown = zip(self.race.calls, self.points, strict=True)
        found = ", ".join(sorted(self.violated))
        verdict = f"violated: {found}" if found else "no rule violated"
        bound = "hit: there may be more" if self.bound_hit else "not hit"
        return [
            f"{verdict} in {self.schedules} schedules ({self.histories} histories)",
            f"{self.states} states ({len(self.finals)} final)",
            f"{self.transitions} transitions, depth {self.depth}, bound {bound}",
            f"{self.unprintable} states not compared, {self.pruned} runs pruned",
            f"{self.inconclusive} inconclusive, {self.seconds:.2f} s",
            *(f"{points:>4} points: {operation}" for operation, points in shown),
        ]


@attrs.define(eq=False)
class _Node:
    """A state from which steps are left to be taken."""

    choices: Choices
    """How it was reached."""
    sleep: dict[Thread, StepTaken]
    """Threads whose step from here is covered elsewhere, and what it does."""


@attrs.define(eq=False)
class _Exploration:
    boot: Boot
    race: Race
    rules: Sequence[Rule]
    promise: Promise
    merging: Merging
    reduces: bool
    result: ScheduleResult
    _known: dict[Hashable, frozenset[Thread]] = attrs.field(
        factory=dict[Hashable, frozenset[Thread]]
    )
    """For each state entered, the threads that have not been explored from it."""
    _left: list[tuple[_Node, Thread]] = attrs.field(factory=list[tuple[_Node, Thread]])
    _judged: set[int] = attrs.field(factory=set[int])

    def explore(self, bound: Bound) -> None:
        """Run every schedule."""
        begin = bound.clock()
        self.run_on(_Node((), {}), None)
        while self._left:
            spent = bound.clock() - begin
            is_late = bound.seconds is not None and spent > bound.seconds
            if is_late or self.result.schedules >= bound.schedules:
                self.result.bound_hit = True
                break
            self.run_on(*self._left.pop())
        self.result.seconds = bound.clock() - begin

    def run_on(self, node: _Node, thread: Thread | None) -> None:
        """Run to a node, take a step from there, and go on to the end."""
        race = started(self.boot, self.race)
        try:
            for choice in node.choices:
                race.step(choice)
            if thread is not None:
                node = self.take(race, node, thread)
            self.go_on(race, node)
        finally:
            race.execution.close()

    def go_on(self, race: RaceRun, node: _Node) -> None:
        """Go on from a node that was reached just now, by the first choice always."""
        while True:
            enabled = race.enabled()
            if not enabled:
                self.result.finals.add(race.state(with_history=False))
                self._enter(race, node, [])
                break
            todo = self._enter(race, node, enabled)
            if todo is None:
                break
            if not todo:
                self.result.pruned += 1
                return
            first, *others = todo
            self._left += [(node, other) for other in reversed(others)]
            node = self.take(race, node, first)
        self.complete(race)

    def _enter(
        self, race: RaceRun, node: _Node, enabled: list[Thread]
    ) -> list[Thread] | None:
        """Return the threads to be explored from a state; None: it is known."""
        awake = [thread for thread in enabled if thread not in node.sleep]
        if self.merging is Merging.NOTHING:
            self.result.states += 1
            return awake
        state = race.state(with_history=self.merging is Merging.HISTORIES)
        asleep = frozenset(node.sleep).intersection(enabled)
        if state not in self._known:
            self._known[state] = asleep
            self.result.states += 1
            is_odd = isinstance(state, tuple) and state[0] == "unlike all others"
            self.result.unprintable += is_odd
            return awake
        todo = self._known[state] - asleep
        self._known[state] &= asleep
        node.sleep = {t: s for t, s in node.sleep.items() if t in self._known[state]}
        return sorted(todo) or None

    def take(self, race: RaceRun, node: _Node, thread: Thread) -> _Node:
        """Take a step from a node; return the node that it leads to."""
        self.result.transitions += 1
        taken = race.step(thread)
        sleep = {
            other: step
            for other, step in node.sleep.items()
            if other != thread and step.is_independent(taken)
        }
        if self.reduces:
            node.sleep = {**node.sleep, thread: taken}
        return _Node(tuple(race.choices), sleep)

    def complete(self, race: RaceRun) -> None:
        """Bring a run to its end, and judge it."""
        choices = tuple(race.choices)
        result = self.result
        history = race.finish()
        result.schedules += 1
        result.depth = max(result.depth, len(choices))
        result.points = list(map(max, result.points, race.points))
        key = hash(story(history))
        if key not in self._judged:
            self._judged.add(key)
            result.histories += 1
            self.judge(history, choices)

    def judge(self, history: History, choices: Choices) -> None:
        """Judge one history by all rules."""
        found = judge(history, self.rules, self.promise)
        result = self.result
        result.inconclusive += found.inconclusive is not None
        if found.crash is not None:
            self._accuse("crash", found.crash.message, choices)
        for rule, outcome in found.outcomes.items():
            if outcome.premises:
                result.premises.add(rule)
            if outcome.findings:
                self._accuse(rule, str(outcome.findings[0]), choices)
            if outcome.error is not None:
                raise AssertionError(f"{rule}: {outcome.error}")

    def _accuse(self, rule: str, text: str, choices: Choices) -> None:
        accused = self.result.accusations
        if rule not in accused or len(choices) < len(accused[rule].choices):
            accused[rule] = Accusation(rule, text, choices)


def started(boot: Boot, race: Race) -> RaceRun:
    """Boot a stack and bring it to where a race begins.

    Raises:
        BootError: there is no stack.
    """
    return RaceRun(PacedExecution(boot, Program((), race.setup)), race)


def explore(
    boot: Boot,
    race: Race,
    rules: Iterable[Rule] = (),
    *,
    merging: Merging = Merging.STATES,
    reduces: bool = False,
    promise: Promise = Promise.DOCUMENT,
    bound: Bound = Bound(),
) -> ScheduleResult:
    """Run all schedules of a race and judge them.

    Args:
        boot: the implementation; its calls are stepped, or answer at once.
        race: the calls, and what comes before and after them.
        rules: by which the histories are judged.
        merging: which states are explored once; see the head of this file.
        reduces: leave out orders of steps that touch nothing in common; not on by
            default, because merging is: see the head of this file.
        promise: by which the rules are judged.
        bound: how far to go.

    Raises:
        BootError: there is no stack.
    """
    result = ScheduleResult(race, points=[0] * len(race.calls))
    search = _Exploration(boot, race, tuple(rules), promise, merging, reduces, result)
    search.explore(bound)
    return result


def run_schedule(boot: Boot, race: Race, choices: Iterable[Thread]) -> History:
    """Run one schedule; a choice that cannot be taken is passed over."""
    running = started(boot, race)
    for thread in choices:
        if thread in running.enabled():
            running.step(thread)
    return running.finish()


# --- schedules as programs -----------------------------------------------------------


def as_program(
    boot: Boot,
    race: Race,
    rule: Rule,
    choices: Iterable[Thread],
    promise: Promise = Promise.DOCUMENT,
) -> Program | None:
    """Return a program, calls parked at points, in which the rule is violated, too.

    Tried, not derived: in a program the disk goes on whenever a call is parked.

    Returns:
        None if there is none among those tried: one call parked at a point at which
        the schedule left it, or none.
    """
    running = started(boot, race)
    for thread in choices:
        if thread in running.enabled():
            running.step(thread)
    parks = tuple(running.parks)
    same = running.finish().program
    last = len(race.before) + len(race.calls)
    schedules = chain([same.schedule], _parkings(parks, last))
    for count, schedule in enumerate(schedules):
        if count == PREEMPTS_TRIED_MAX:
            break
        program = Program(same.operations, race.setup, schedule)
        judgement = judge(run(boot, program), [rule], promise)
        if judgement.violated:
            return program
    return None


def _parkings(
    parks: Iterable[tuple[int, str, int]], last: int
) -> Iterator[tuple[Preempt, ...]]:
    yield ()
    for call, point, nth in parks:
        for until in range(call + 1, last):
            yield (Preempt(call, point, nth, until),)
