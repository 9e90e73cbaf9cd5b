"""What is judged, and how long: the same for every engine."""

from collections.abc import Callable, Sequence

import attrs

from conformance.engines.covering import Coverage
from conformance.engines.shrink import RUNS_MAX
from conformance.engines.stateful import Budget
from conformance.program import Program
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Rule
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.races import RACES, Race
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise

STALL_SECONDS = 20.0
"""How long one program may take before the implementation is called endless."""


@attrs.frozen
class Known:
    """A program with which a rule was violated earlier."""

    id: str
    rule: str
    program: Program

    def scenario(self) -> Scenario:
        """Return it as something to be run."""
        return Scenario(f"stored {self.id}", (self.rule,), self.program)


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
    shrink_seconds: float = 10.0
    """For each violated rule; a slow implementation shrinks less."""
    stall_seconds: float = STALL_SECONDS
    isolated: bool = True
    """Run the implementation in a process of its own."""
    on_progress: Callable[[str], None] = attrs.field(default=lambda _: None, eq=False)
    """Called with a few words, now and then."""

    def programs(self) -> list[Scenario]:
        """Return what is not drawn: what was violated earlier, then the scenarios."""
        return [*(known.scenario() for known in self.known), *self.scenarios]
