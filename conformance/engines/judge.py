"""Judging: one program, all rules.

Interface:
  * `judge(history, rules, promise)` returns what each rule found in one history.
  * `Judgement` is a plain value; it can be sent between processes.
"""

import time
from collections.abc import Iterable

import attrs

from conformance.engines.timeline import timeline
from conformance.interface import PageView, VmStat
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.rule import Case, Finding, Rule
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
    shown = _shown(history)
    outcomes: dict[str, RuleOutcome] = {}
    unseen: dict[str, str] = {}
    if not _is_whole(history):
        rules = ()
    for rule in rules:
        lacking = _lacking(rule, history, shown)
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
    views, counters = set(VIEW_FIELDS), set(COUNTER_FIELDS)
    for sample in history.samples:
        for view in (*sample.pages.values(), *sample.pins.values()):
            views.difference_update(_told(view, views))
        counters.difference_update(_told(sample.vmstat, counters))
    told = [f"view {name}" for name in VIEW_FIELDS if name not in views]
    return frozenset(
        [*told, *(f"counter {name}" for name in COUNTER_FIELDS if name not in counters)]
    )


def _told(shown: object, wanted: Iterable[str]) -> list[str]:
    return [name for name in wanted if getattr(shown, name) is not None]


def _lacking(rule: Rule, history: History, shown: frozenset[str]) -> str | None:
    needs = rule.needs
    for kind, names in (("view", needs.views), ("counter", needs.counters)):
        for name in names:
            if not any(f"{kind} {each}" in shown for each in name.split("|")):
                return f"{kind} {name}"
    features = {feature.value for feature in history.features}
    if needs.features and not features & set(needs.features):
        return f"feature {'|'.join(needs.features)}"
    for name in needs.absent_features:
        if name in features:
            return f"a stack without feature {name}"
    return None
