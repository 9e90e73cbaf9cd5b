"""Judging: one program, all rules.

Interface:
  * `judge(history, rules, promise)` returns what each rule found in one history.
  * `Judgement` is a plain value; it can be sent between processes.
"""

import time
from collections.abc import Iterable
from functools import lru_cache

import attrs

from conformance.engines.timeline import timeline
from conformance.interface import Feature, PageView, VmStat
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.rule import Case, Finding, Needs, Rule
from conformance.verdicts import Promise


@attrs.frozen
class RuleOutcome:
    """What one rule found in one history."""

    premises: int
    findings: tuple[Finding, ...]
    seconds: float
    error: str | None = None
    """The rule itself raised: a defect of the suite."""


@attrs.frozen
class Judgement:
    """What was found in one history."""

    program: Program
    outcomes: dict[str, RuleOutcome]
    """By rule id; only rules that could be observed."""
    crash: Crash | None
    inconclusive: str | None
    unseen: dict[str, str]
    """Rules that lacked something in this history, and what."""
    timeline: tuple[str, ...] = ()
    """The history drawn, where something went wrong in it."""

    @property
    def violated(self) -> frozenset[str]:
        """Ids of the rules that found a violation."""
        return frozenset(
            rule for rule, outcome in self.outcomes.items() if outcome.findings
        )

    @property
    def exercised(self) -> frozenset[str]:
        """Ids of the rules whose premise came up."""
        return frozenset(
            rule for rule, outcome in self.outcomes.items() if outcome.premises
        )


def judge(
    history: History, rules: Iterable[Rule], promise: Promise = Promise.DOCUMENT
) -> Judgement:
    """Judge one history by all rules that can be observed in it."""
    oracle = Oracle(history)
    lacks = _lacks(history.features, _shown(history))
    outcomes: dict[str, RuleOutcome] = {}
    unseen: dict[str, str] = {}
    if not _is_whole(history):
        rules = ()
    for rule in rules:
        lacking = lacks[rule.needs]
        if lacking is not None:
            unseen[rule.id] = lacking
        elif rule.untested is None:
            outcomes[rule.id] = _apply(rule, Case(history, oracle, promise))
    went_wrong = not _is_whole(history) or any(o.findings for o in outcomes.values())
    return Judgement(
        history.program,
        outcomes,
        history.crash,
        history.inconclusive,
        unseen,
        tuple(timeline(history)) if went_wrong else (),
    )


def _is_whole(history: History) -> bool:
    return history.crash is None and history.inconclusive is None


def _apply(rule: Rule, case: Case) -> RuleOutcome:
    begin = time.perf_counter()
    try:
        findings = tuple(rule.check(case))
        error = None
    except Exception as failure:  # noqa: BLE001 - becomes the verdict *errored*
        findings, error = (), f"{type(failure).__name__}: {failure}"
    return RuleOutcome(case.premises, findings, time.perf_counter() - begin, error)


VIEW_FIELDS = tuple(field.name for field in attrs.fields(PageView))
COUNTER_FIELDS = tuple(field.name for field in attrs.fields(VmStat))


def _shown(history: History) -> frozenset[str]:
    """Return the names of the view fields and counters that the stack tells."""
    views: list[PageView] = []
    for sample in history.samples:
        views += sample.pages.values()
        views += sample.pins.values()
    counters = [sample.vmstat for sample in history.samples]
    return frozenset(
        [f"view {name}" for name in VIEW_FIELDS if _is_told(views, name)]
        + [f"counter {name}" for name in COUNTER_FIELDS if _is_told(counters, name)]
    )


def _is_told(shown: Iterable[object], name: str) -> bool:
    return any(getattr(each, name) is not None for each in shown)


class _Lacking(dict[Needs, str | None]):
    """What rules lack with some features in force, where some things are shown."""

    def __init__(self, features: frozenset[Feature], shown: frozenset[str]) -> None:
        super().__init__()
        self.features = features
        self.shown = shown

    def __missing__(self, needs: Needs) -> str | None:
        self[needs] = lacking = _lacking(needs, self.features, self.shown)
        return lacking


_lacks = lru_cache(maxsize=64)(_Lacking)
"""Histories of one stack show the same again and again."""


def _lacking(
    needs: Needs, in_force: frozenset[Feature], shown: frozenset[str]
) -> str | None:
    """Say what of a rule's needs is not there; None: nothing."""
    for kind, names in (("view", needs.views), ("counter", needs.counters)):
        for name in names:
            if not any(f"{kind} {each}" in shown for each in name.split("|")):
                return f"{kind} {name}"
    features = {feature.value for feature in in_force}
    if needs.features and not features & set(needs.features):
        return f"feature {'|'.join(needs.features)}"
    for name in needs.absent_features:
        if name in features:
            return f"a stack without feature {name}"
    return None
