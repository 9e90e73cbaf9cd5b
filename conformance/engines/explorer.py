"""The explorer: a search loop of our own, without Hypothesis, for long runs.

Every program is made by `random.Random`, whose numbers are the same for a seed on
every Python, so that a seed means the same programs everywhere. Four things make it
find more than chance would:

* *Themes*: a program is made of the operations of one scenario, at times, in any order
  and with any fields (`themes.py`); others like some groups of operations and leave
  some operations out, so that the rest meet more often.
* *Locality*: a few operations of one group in a row, or such as stand behind each other
  in the scenarios, often on the thing that was used last.
* *Rarity*: half of the operations are such as the whole run has performed seldom.
* *Novelty*: a program that brought the stack to a state that was new is gone on from:
  its beginning is performed again, and then others follow. So is one for which the
  `guide` says that it has reached something new, such as lines of the implementation.
  So are programs that were given as `beginnings`: the scenarios, something left out.

A state is what the stack shows - of which pages it is does not matter - with what is
held and pending, and the last answer. A stack that shows nothing is known by that.

Interface:
  * `Explorer(boot, capabilities, on_history, operations, seed)`, then `explore()` as
    often as wanted; `states` is how many different ones were seen.
  * `run_explorer(boot, capabilities, on_history, budget, seed)` explores as many
    programs as the budget says.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from random import Random
from typing import Protocol

import attrs

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.decoding import (
    FIELDS_BYTES,
    LEFT_OUT_BYTES,
    NAMES,
    TASTES_BYTES,
    THEME_BYTES,
    UNTHEMED,
    PackedMachine,
)
from conformance.engines.execution import Execution
from conformance.engines.groups import GROUPS
from conformance.engines.themes import THEMES
from conformance.engines.vocabulary import Argument
from conformance.interface import Boot
from conformance.oracle.history import Call, History
from conformance.program import Program
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.scenario import Scenario

BURST_MAX = 7
"""Operations of one group in a row."""
APPETITES = (0, 1, 1, 2, 4)
"""How much a program likes a group, beside the group's own share."""


def _followers() -> dict[str | None, tuple[str, ...]]:
    """Return what stands behind each operation in the scenarios."""
    found: dict[str | None, list[str]] = {}
    for scenario in SCENARIOS:
        names = [operation.name for operation in scenario.program.operations]
        for last, following in zip([None, *names], names, strict=False):
            found.setdefault(last, []).append(following)
    return {last: tuple(names) for last, names in found.items()}


FOLLOWERS = _followers()
IDLE_MAX = 3
"""Times that nothing could be done in a row after which a program ends."""
REPEATED_MAX, REPEATED_OF = 3, 4
"""The share of a program, at most, that repeats another."""
LEFT_OUT_OF = 6
"""One in so many operations of a beginning that is varied is left out."""
RARITY = 3
"""How much a rare operation is preferred to one that is less so."""
THEMED_OF_FIVE = 2
"""So many programs of five have a theme."""
THEMES_COMPARED = 6
"""The theme is taken that has what is rarest in the run, of so many at random."""
POOL_MAX = 48
"""Programs that are gone on from; the oldest are forgotten."""


class Guide(Protocol):
    """What else makes a program worth going on from."""

    def has_found(self) -> bool:
        """Tell whether the program that was handed over last has."""
        ...


@attrs.define(eq=False)
class Explorer:
    """A run of programs, each of which knows what those before have done."""

    boot: Boot
    capabilities: Capabilities
    on_history: Callable[[History], None]
    operations: int = Budget().operations
    seed: int = 0
    guide: Guide | None = None
    beginnings: Sequence[Program] = ()
    """Programs, such as the scenarios, of which one in four is a variation."""
    performed: Counter[str] = attrs.field(factory=Counter[str])
    pool: deque[Program] = attrs.field(
        factory=lambda: deque[Program](maxlen=POOL_MAX), init=False
    )
    """Beginnings of programs, each up to what was new in it."""
    _seen: set[int] = attrs.field(factory=set[int], init=False)
    _random: Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - it need not be secret

    @property
    def states(self) -> int:
        """How many different states were seen."""
        return len(self._seen)

    def explore(self) -> None:
        """Run one program."""
        machine = _ExploringMachine(self)
        machine.run_one(self.operations)

    def below(self, count: int) -> int:
        """Return a number from 0 to count - 1; the same on every Python."""
        return int(self._random.random() * count)

    def number(self, bytes_: int) -> int:
        """Return a number of so many bytes; the same on every Python."""
        return self._random.getrandbits(8 * bytes_)

    def beginning(self) -> Program | None:
        """Return what the next program begins like; None: like nothing before it."""
        if self.beginnings and self.below(4) == 0:
            program = self.beginnings[self.below(len(self.beginnings))]
            for index in reversed(range(len(program.operations))):
                if self.below(LEFT_OUT_OF) == 0:
                    program = program.without(index)
            return program
        if not self.pool or self.below(2):
            return None
        program = self.pool[self.below(len(self.pool))]
        most = max(1, self.operations * REPEATED_MAX // REPEATED_OF)
        return _beginning_of(program, 1 + self.below(most))

    def header(self) -> bytes:
        """Return a header with a theme, or one that leaves out a part or nothing."""
        left_out = -1 if self.below(3) else 0
        for _ in range(1 + self.below(2)):
            left_out &= self.number(LEFT_OUT_BYTES)
        theme = UNTHEMED + self.rare_theme() if self.below(5) < THEMED_OF_FIVE else 0
        return (
            self.number(TASTES_BYTES).to_bytes(TASTES_BYTES, "little")
            + theme.to_bytes(THEME_BYTES, "little")
            + left_out.to_bytes(LEFT_OUT_BYTES, "little")
        )

    def rare_theme(self) -> int:
        """Return the number of a theme: of a few, the one with the rarest operation."""
        few = [self.below(len(THEMES)) for _ in range(THEMES_COMPARED)]
        performed = self.performed.__getitem__
        return min(few, key=lambda number: min(map(performed, THEMES[number].names)))

    def is_new(self, state: Hashable) -> bool:
        """Take a state; tell whether it was never seen before."""
        before = len(self._seen)
        self._seen.add(hash(state))
        return len(self._seen) > before

    def keep(self, program: Program, news: int) -> None:
        """Keep a program up to its last news, to go on from there."""
        if self.guide is not None and self.guide.has_found():
            news = len(program.operations)
        if news:
            schedule = [preempt for preempt in program.schedule if preempt.call < news]
            self.pool.append(
                Program(program.operations[:news], program.setup, schedule)
            )


def _beginning_of(program: Program, count: int) -> Program:
    """Return the first operations of a program."""
    schedule = [preempt for preempt in program.schedule if preempt.call < count]
    return Program(program.operations[:count], program.setup, schedule)


class _ExploringMachine(PackedMachine):
    """One program of an exploration."""

    def __init__(self, explorer: Explorer) -> None:
        super().__init__(explorer.boot, explorer.capabilities, self.hand_over)
        self.explorer = explorer
        performed = explorer.performed
        self.rarest = sorted(NAMES, key=performed.__getitem__)
        """All operations, those first that the run has performed least often."""
        self.news = 0
        """Operations up to the last one that brought a new state."""

    def hand_over(self, history: History) -> None:
        """Keep what is worth going on from; pass the history on."""
        drawn = history.program.operations[: history.drawn]
        program = attrs.evolve(history.program, operations=drawn)
        self.explorer.on_history(history)
        self.explorer.keep(program, self.news)

    def run_one(self, operations: int) -> None:
        """Perform a program: a new one, or one that goes on from a beginning."""
        explorer = self.explorer
        header = explorer.header()
        beginning = explorer.beginning()
        if beginning is None:
            self.begin_packed(header)
        else:
            self.take_tastes(header)
            self.repeat(beginning)
        groups = self.liked_groups()
        calls = self.running.history.calls
        idle = 0
        while len(calls) < operations and idle < IDLE_MAX:
            before = len(calls)
            self.burst(groups[explorer.below(len(groups))])
            idle = 0 if len(calls) > before and not self.running.is_over else idle + 1
        self.end()

    def repeat(self, beginning: Program) -> None:
        """Perform the beginning of an earlier program."""
        self.start_program(beginning)
        for operation in beginning.operations:
            self.perform(operation)

    def liked_groups(self) -> Sequence[Sequence[str]]:
        """Return groups, each as often as this program likes it; or its theme."""
        if self.theme is not None:
            return [self.theme.names]
        likes = {
            group: APPETITES[self.explorer.below(len(APPETITES))]
            for group in dict.fromkeys(GROUPS)
        }
        return [group for group in GROUPS for _ in range(likes[group])] or GROUPS

    def burst(self, group: Sequence[str]) -> None:
        """Perform a few operations in a row: rare, of the group, or usual next."""
        for _ in range(2 + self.explorer.below(BURST_MAX - 1)):
            if self.explorer.below(2):
                self.perform_rare()
            elif self.explorer.below(3):
                self.perform_of(self.followers() or group)
            else:
                self.perform_of(group)

    def followers(self) -> Sequence[str]:
        """Return what stands behind the last operation in the scenarios."""
        calls = self.running.history.calls
        return FOLLOWERS.get(calls[-1].operation.name if calls else None, ())

    def perform_of(self, group: Sequence[str]) -> None:
        """Perform one operation of a group, and before it what it takes."""
        first = self.explorer.below(len(group))
        self.reach_first((*group[first:], *group[:first]), self.argument())

    def perform_rare(self) -> None:
        """Perform one that is rare in the run, and before it what it takes."""
        most = len(self.rarest)
        for _ in range(RARITY):
            most = self.explorer.below(most) + 1
        self.reach_first(self.rarest[most - 1 :], self.argument())

    def argument(self) -> Argument:
        """Return what gives values for fields."""
        return self.argument_of(self.explorer.number(FIELDS_BYTES))

    def noted(self, call: Call) -> None:
        """Count what was performed; see whether it brought a new state."""
        super().noted(call)
        self.explorer.performed[call.operation.name] += 1
        if self.explorer.is_new(state_of(self.running, call)):
            self.news = len(self.running.history.calls)


def state_of(execution: Execution, call: Call) -> Hashable:
    """Return what tells the state after a call from others."""
    sample = execution.history.samples[-1]
    handles = execution.handles
    pending = sample.pending and sorted(c.operation.name for c in execution.pending())
    return (
        call.operation.name,
        call.error is None,
        handles.is_held,
        handles.is_frozen,
        handles.is_full,
        handles.is_mounted,
        tuple(pending),
        frozenset(map(_signed, sample.pages.values())),
        frozenset(map(_signed, sample.pins.values())),
        frozenset(map(_signed, sample.mapped.values())),
    )


_signed = attrgetter(
    *("is_cached", "is_dirty", "is_under_writeback", "is_locked", "is_uptodate"),
    *("has_buffers", "maybe_pinned", "is_exclusive", "writable_ptes", "dirty_ptes"),
)


def beginnings_for(
    scenarios: Iterable[Scenario], capabilities: Capabilities
) -> list[Program]:
    """Return the programs of scenarios that a stack can run, and callers may."""
    return [
        scenario.program
        for scenario in scenarios
        if not scenario.program.misuse
        and capabilities.missing_for(scenario.program) is None
    ]


def run_explorer(
    boot: Boot,
    capabilities: Capabilities,
    on_history: Callable[[History], None],
    budget: Budget = Budget(),
    seed: int = 0,
    beginnings: Sequence[Program] = (),
) -> None:
    """Explore as many programs as the budget says; hand over the history of each."""
    explorer = Explorer(
        boot, capabilities, on_history, budget.operations, seed, beginnings=beginnings
    )
    for _ in range(budget.programs):
        explorer.explore()
