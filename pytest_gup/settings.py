"""What the options say, as one value."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from conformance.engines.covering import Coverage
from conformance.engines.plan import Known, Plan, RaceBudget
from conformance.engines.stateful import Budget
from conformance.rules.catalogue import BY_ID, matching
from conformance.rules.rule import Rule
from conformance.verdicts import Promise
from pytest_gup import options, replay
from pytest_gup.connect import Implementation
from pytest_gup.corpus import Corpus
from pytest_gup.counterexample import Counterexample

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


@attrs.frozen
class Settings:
    """What the options say."""

    promise: Promise
    profile: str
    seed: int
    rules: tuple[Rule, ...]
    seconds: float | None
    """How long to search; None: a number of programs, as the profile says."""
    report: Path | None
    corpus: Corpus
    """Where counterexamples are kept."""
    replay: Counterexample | None
    """Run this one again, and nothing else."""
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
            report=config.invocation_params.dir / path if path else None,
            corpus=corpus,
            replay=again,
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
            seconds=self.seconds,
            stall_seconds=implementation.stall_seconds,
            isolated=self.isolated,
        )

    def _known(self, implementation: Implementation) -> Sequence[Known]:
        if self.replay is not None:
            return [self.replay.known()]
        return self.corpus.known(implementation.id, self.promise)

    def as_record(self) -> dict[str, object]:
        """Return the settings for the report's manifest."""
        return {
            "promise": self.promise.value,
            "profile": self.profile,
            "time": self.seconds,
            "seed": self.seed,
            "rules": len(self.rules),
            "replay": self.replay and self.replay.id,
        }

    def as_text(self) -> str:
        """Return the settings in a line: what is needed to do it again."""
        if self.replay is not None:
            again = f"replay of {self.replay.id} ({self.replay.rule})"
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
