"""What is judged, and how long: the same for every engine."""

from collections.abc import Callable, Sequence

import attrs

from conformance.engines.budget import Budget
from conformance.engines.covering import Coverage
from conformance.engines.shrink import RUNS_MAX
from conformance.program import Program
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Rule
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.races import RACES, Race
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise

STALL_SECONDS = 20.0
"""How long one program may take before the implementation is called endless."""

SHRINK_SECONDS = 10.0
SHRINK_SECONDS_ALL = 120.0
TRIES = 4
"""Runs for each time that a violation must show again."""


@attrs.frozen
class Known:
    """A program with which a rule was violated earlier, or which did not end well."""

    id: str
    rule: str
    """Of a crash: one that it took the verdict from."""
    program: Program
    is_minimal: bool = False
    """Nothing of it can go; False: the next run goes on shrinking it."""
    tried: tuple[str, ...] = ()
    """Digests of smaller programs that do not violate the rule."""
    is_crash: bool = False
    """It is about no rule: it crashed, or had no end."""
    crashed: tuple[str, ...] = ()
    """Of a crash: the rules that it took the verdict from; none: all."""

    def scenario(self) -> Scenario:
        """Return it as something to be run."""
        rules = self.crashed if self.is_crash else (self.rule,)
        return Scenario(f"stored {self.id}", rules, self.program)


@attrs.frozen
class RaceBudget:
    """How far the schedules of races are gone through."""

    calls: int = 2
    """Races of more calls are left out."""
    states: int = 4_000
    """States after which the bound of one race is hit."""
    histories: int = 400
    """Histories judged after which it is."""
    coverage: Coverage = Coverage.OUTCOMES


@attrs.frozen
class Plan:
    """What is judged, and how long."""

    rules: Sequence[Rule] = RULES
    promise: Promise = Promise.DOCUMENT
    scenarios: Sequence[Scenario] = SCENARIOS
    known: Sequence[Known] = ()
    """Run before the scenarios."""
    races: Sequence[Race] = RACES
    race_budget: RaceBudget = RaceBudget()
    budget: Budget = attrs.field(factory=Budget)
    seconds: float | None = None
    """Search for this long instead of a number of programs."""
    seed: int = 0
    shrink_runs: int = RUNS_MAX
    """Programs tried for each violated rule."""
    shrink_seconds: float = SHRINK_SECONDS
    """For each violated rule; a slow implementation shrinks less."""
    shrink_seconds_all: float = SHRINK_SECONDS_ALL
    """For all violated rules together; what is not done by then, a later run does."""
    stall_seconds: float = STALL_SECONDS
    repeats: int = 0
    """How often a violation must show again before it counts; one that does not is
    reported as inconclusive. 0: what was seen counts, for nobody else can have been
    the cause."""
    watched: Sequence[str] = ()
    """Files, or folders with `/*` behind them: which lines of them are run is told."""
    guided_by: Sequence[str] = ()
    """Likewise, to guide the explorer, which goes on from what reaches new ones; they
    are not told. What is watched guides it, too."""
    isolated: bool = True
    """Run the implementation in a process of its own."""
    on_progress: Callable[[str], None] = attrs.field(default=lambda _: None, eq=False)
    """Called with a few words, now and then."""

    @property
    def tries(self) -> int:
        """How often a program is run, at most, to see a violation again.

        More often than `repeats`: what depends on a race does not show every time.
        """
        return max(1, self.repeats * TRIES)

    def programs(self) -> list[Scenario]:
        """Return what is not drawn: what was violated earlier, then the scenarios."""
        return [*(known.scenario() for known in self.known), *self.scenarios]

    def known_as(self, scenario: str | None) -> Known | None:
        """Return what is run as a scenario of that name, if it is known."""
        for known in self.known:
            if known.scenario().name == scenario:
                return known
        return None
