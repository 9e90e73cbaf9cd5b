"""What the options say, as one value."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from conformance.engines.budget import Budget
from conformance.engines.covering import Coverage
from conformance.engines.plan import Known, Plan, RaceBudget
from conformance.engines.session import SEARCHES
from conformance.engines.shrink import RUNS_MAX
from conformance.rules.catalogue import BY_ID, matching
from conformance.rules.rule import Rule
from conformance.verdicts import Promise
from pytest_gup import options, reached, replay
from pytest_gup.connect import ENGINES, Implementation
from pytest_gup.corpus import Corpus
from pytest_gup.counterexample import Counterexample
from pytest_gup.guidance import NO_GUIDANCE, Guidance, guidance_for
from pytest_gup.reached import Package

BUDGETS = {"quick": Budget(60, 40), "ci": Budget(400, 50), "nightly": Budget(0, 60)}
"""Programs, and operations in each; nightly goes by the clock."""
RACE_BUDGETS = {
    "quick": RaceBudget(),
    "ci": RaceBudget(states=200_000, histories=20_000),
    "nightly": RaceBudget(3, 200_000, 20_000, Coverage.VIEWS),
}
"""Quick goes through races of two calls up to a bound, ci to the end."""
NIGHTLY_SECONDS = 600.0
"""How long nightly searches on each implementation if no time is given."""

SHRINK_RULES = 12
"""If more rules are violated than that, each has less time, and a later run goes on."""
SHRINK_PATIENCE = {"quick": 1, "ci": 6, "nightly": 1}
"""How many times as long a program may be shrunk. In ci the number of runs is to be the
bound: a clock would give another program, and another id, on a slower machine."""
SHRINK_SHARE = 0.05
"""Of the time of a search, for making one program small."""


@attrs.frozen
class Settings:
    """What the options say."""

    promise: Promise
    profile: str
    seed: int
    rules: tuple[Rule, ...]
    seconds: float | None
    """How long to search; None: a number of programs, as the profile says."""
    engines: tuple[str, ...]
    """Those that were asked for; none: as the profile says."""
    report: Path | None
    corpus: Corpus
    """Where counterexamples are kept."""
    replay: Counterexample | None
    """Run this one again, and nothing else."""
    packages: tuple[Package, ...]
    """Tell which of their lines are exercised."""
    guide: str
    """What is to guide a nightly search."""
    isolated: bool
    """False: a debugger is asked for, which needs the implementation in here."""

    @classmethod
    def from_config(cls, config: pytest.Config) -> "Settings":
        """Read the options.

        Raises:
            pytest.UsageError: one of them is wrong.
        """
        profile = options.choice(config, "profile", options.PROFILES)
        seconds = options.number(config, "time", float, 0)
        if seconds is None and profile == "nightly":
            seconds = NIGHTLY_SECONDS
        path = options.text(config, "report")
        corpus = replay.corpus_of(config)
        again = replay.chosen(config, corpus)
        return cls(
            promise=_promise(config, again),
            profile=profile,
            seed=options.number(config, "seed", int, 0) or 0,
            rules=_rules(config, again),
            seconds=seconds,
            engines=_engines(config),
            report=config.invocation_params.dir / path if path else None,
            corpus=corpus,
            replay=again,
            packages=reached.packages_of(config),
            guide=options.choice(config, "guide", options.GUIDES),
            isolated=not config.getoption("usepdb", default=False),
        )

    def plan(self, implementation: Implementation) -> Plan:
        """Return what is judged on one implementation."""
        return Plan(
            rules=self.rules,
            known=self._known(implementation),
            promise=self.promise,
            budget=BUDGETS[self.profile],
            race_budget=RACE_BUDGETS[self.profile],
            seed=self.seed,
            seconds=self._seconds_each(implementation),
            stall_seconds=implementation.stall_seconds,
            shrink_runs=RUNS_MAX if self._may_shrink(implementation) else 0,
            shrink_seconds=self._shrink_seconds(implementation),
            shrink_seconds_all=self._shrink_seconds(implementation) * SHRINK_RULES,
            repeats=implementation.repeats,
            watched=[each for package in self.packages for each in package.sources],
            guided_by=self.guidance(implementation).sources,
            isolated=self.isolated,
        )

    def engines_of(self, implementation: Implementation) -> Sequence[str]:
        """Return what is run on an implementation."""
        if self.replay is not None:
            return ("replay",)
        chosen = self.engines or implementation.engines[self.profile]
        if self.seconds is None or self.engines or set(SEARCHES).intersection(chosen):
            return chosen
        return implementation.engines["nightly"]

    def guidance(self, implementation: Implementation) -> Guidance:
        """Return what guides the search, beside what is watched anyway."""
        is_explored = "explorer" in self.engines_of(implementation)
        if self.profile != "nightly" or not is_explored or self.packages:
            return NO_GUIDANCE
        return guidance_for(implementation, self.guide)

    def _seconds_each(self, implementation: Implementation) -> float | None:
        """Share the time among the engines that go by it."""
        if self.seconds is None:
            return None
        sharing = set(SEARCHES).intersection(self.engines_of(implementation))
        return self.seconds / max(len(sharing), 1)

    def _shrink_seconds(self, implementation: Implementation) -> float:
        """Return the implementation's, or more where there is a lot of time."""
        patience = 1 if implementation.repeats else SHRINK_PATIENCE[self.profile]
        given = 0.0 if self.seconds is None else self.seconds * SHRINK_SHARE
        return max(implementation.shrink_seconds * patience, given)

    def _may_shrink(self, implementation: Implementation) -> bool:
        """Tell whether something else may be run than what was asked for."""
        if self.replay is None:
            return True
        is_its_own = implementation.id == self.replay.implementation
        return is_its_own and self.isolated

    def _known(self, implementation: Implementation) -> Sequence[Known]:
        if self.replay is not None:
            known = self.replay.known()
            is_its_own = implementation.id == self.replay.implementation
            return [known if is_its_own else attrs.evolve(known, is_minimal=False)]
        return self.corpus.known(implementation.id, self.promise)

    def as_record(self) -> dict[str, object]:
        """Return the settings for the report's manifest."""
        return {
            "promise": self.promise.value,
            "profile": self.profile,
            "time": self.seconds,
            "engines": list(self.engines),
            "seed": self.seed,
            "rules": len(self.rules),
            "replay": self.replay and self.replay.id,
            "cov": [package.name for package in self.packages],
        }

    def as_text(self) -> str:
        """Return the settings in a line: what is needed to do it again."""
        if self.replay is not None:
            again = f"replay of {self.replay.id} ({self.replay.what})"
            return f"promise {self.promise.value}, {again}"
        budget = f"profile {self.profile}"
        if self.seconds is not None:
            budget += f" ({self.seconds:g} s)"
        judged = f"promise {self.promise.value}, {len(self.rules)} rules"
        return f"{judged}, {budget}, seed {self.seed}"


def _promise(config: pytest.Config, again: Counterexample | None) -> Promise:
    promise = Promise(options.choice(config, "promise", options.PROMISES))
    if again is None or config.getoption("gup_promise"):
        return promise
    return again.promise


def _engines(config: pytest.Config) -> tuple[str, ...]:
    named = options.text(config, "engines").replace(",", " ").split()
    for name in named:
        if name not in ENGINES["nightly"]:
            raise pytest.UsageError(
                f"--gup-engines: there is no engine {name!r} (should be some of "
                f"{', '.join(ENGINES['nightly'])})"
            )
    return tuple(dict.fromkeys(named))


def _rules(config: pytest.Config, again: Counterexample | None) -> tuple[Rule, ...]:
    if again is not None:
        return (BY_ID[again.rule],)
    glob = options.text(config, "rules", "*")
    rules = matching(glob)
    if not rules:
        near = difflib.get_close_matches(glob.upper(), BY_ID, cutoff=0.4) or list(BY_ID)
        raise pytest.UsageError(
            f"--gup-rules={glob} matches no rule; some ids are {', '.join(near[:5])}"
        )
    return rules
