"""Adding up judgements to one verdict for each rule.

Interface:
  * `Tally.add(judgement, scenario)` after each program.
  * `Tally.results()` gives the verdicts so far. *Held* means: the premise came up,
    and nothing was violated, in programs that ran to their end.
  * `Tally.lost` are the drawn programs that did not. They say nothing; only if they are
    many is there no verdict.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.judge import Judgement
from conformance.oracle.history import Crash
from conformance.program import Program, to_json
from conformance.rules.rule import Rule
from conformance.verdicts import Promise, Verdict

LOST_ONE_IN = 20
"""If more than one in so many drawn programs hits a bound, there is no verdict."""
OTHERS_MAX = 4
"""Violations of one rule that are remembered beside the one that is reported."""


@attrs.frozen
class Violation:
    """One violation of a rule, or one crash, with the program that shows it."""

    sentence: str
    program: Program
    call: int | None
    """Index of the call at which it shows."""
    timeline: tuple[str, ...]
    scenario: str | None = None
    """Name of the scenario; None: the program was drawn."""
    is_minimal: bool = False
    """Nothing of the program can go."""
    made_from: str | None = None
    """Id of the stored program that this one was shrunk from, if it was."""
    tried: tuple[str, ...] = ()
    """Digests of smaller programs that do not violate the rule; none if minimal."""


@attrs.frozen
class Crashing:
    """A crash, and a program in which it comes."""

    crash: Crash
    shown: Violation
    rules: tuple[str, ...] = ()
    """Those that it takes the verdict from; none: all."""
    rule: str = ""
    """The first of them that has no other verdict."""


@attrs.frozen
class Lost:
    """Drawn programs that hit a bound while something still ran."""

    programs: int
    drawn: int
    """How many programs were drawn."""
    shown: Violation
    """The first, or one that did not end by itself, and which bound it hit."""
    ends: bool = True
    """False: that one had to be ended, which took so long that no more are tried."""

    @property
    def is_too_much(self) -> bool:
        """Whether those that ran to their end are too few to speak for all."""
        return self.programs * LOST_ONE_IN > self.drawn

    def __str__(self) -> str:
        who, say = f"{self.programs} of {self.drawn} drawn programs", "say"
        if self.drawn == 1:
            who, say = "the only program", "says"
        return f"{who} hit a bound and {say} nothing: {self.shown.sentence}"


@attrs.frozen
class RuleResult:
    """The verdict on one rule."""

    rule: str
    verdict: Verdict
    premises: int = 0
    programs: int = 0
    """Programs in which the rule was judged."""
    seconds: float = 0.0
    violation: Violation | None = None
    crash: Crash | None = None
    crashing: Crashing | None = None
    """Where the program is known that the implementation crashes in."""
    reason: str | None = None
    """Why there is no verdict of held or violated."""


@attrs.define(eq=False)
class _Count:
    """What is known so far of one rule."""

    premises: int = 0
    programs: int = 0
    seconds: float = 0.0
    violation: Violation | None = None
    others: list[Violation] = attrs.field(factory=list[Violation])
    """Violations to fall back on, should that one turn out not to count."""
    crash: Crash | None = None
    inconclusive: str | None = None
    error: str | None = None
    unseen: str | None = None


@attrs.define(eq=False)
class Tally:
    """The verdicts of one engine on one implementation, as they grow."""

    rules: Sequence[Rule]
    capabilities: Capabilities
    promise: Promise = Promise.DOCUMENT
    skipped: dict[str, str] = attrs.field(factory=dict[str, str])
    """By rule: why a scenario that is written for it could not be run."""
    drawn: int = 0
    """Programs that are no scenario."""
    lost: Lost | None = None
    """Those of them that hit a bound."""
    _counts: dict[str, _Count] = attrs.field(init=False)
    _crashing: dict[str, Crashing] = attrs.field(factory=dict[str, Crashing])
    """By the sort of crash."""

    def __attrs_post_init__(self) -> None:
        self._counts = {rule.id: _Count() for rule in self.rules}

    def add(
        self,
        judgement: Judgement,
        scenario: str | None = None,
        concerned: Sequence[str] | None = None,
    ) -> None:
        """Add what was found in one program.

        Args:
            judgement: What was found.
            scenario: Name of the scenario, if it was one.
            concerned: Rules that a crash or a bound speaks about; None: the program
                was drawn, and a crash speaks about all.
        """
        for rule, outcome in judgement.outcomes.items():
            count = self._counts[rule]
            count.premises += outcome.premises
            count.programs += 1
            count.seconds += outcome.seconds
            count.error = count.error or outcome.error
            for finding in outcome.findings[:1]:
                new = Violation(
                    finding.sentence,
                    judgement.program,
                    finding.call,
                    judgement.timeline,
                    scenario,
                )
                self._violated(count, new)
        for rule, lacking in judgement.unseen.items():
            self._counts[rule].unseen = lacking
        if concerned is None:
            self._add_drawn(judgement)
        else:
            self.broken(None, judgement.inconclusive, concerned)
        self.broken(judgement.crash, None, concerned)
        if judgement.crash is not None:
            crash, program = judgement.crash, judgement.program
            timeline = judgement.timeline
            shown = Violation(crash.message, program, crash.call, timeline, scenario)
            self.crashes_in(crash, shown, concerned)

    def _add_drawn(self, judgement: Judgement) -> None:
        self.drawn += 1
        reason, lost = judgement.inconclusive, self.lost
        if lost is not None:
            count = lost.programs + (reason is not None)
            self.lost = attrs.evolve(lost, programs=count, drawn=self.drawn)
        elif reason is not None:
            program, timeline = judgement.program, judgement.timeline
            self.lost = Lost(1, self.drawn, Violation(reason, program, None, timeline))

    def stalled(self, reason: str, program: Program) -> None:
        """Note that a drawn program did not end by itself, and the search with it."""
        self.drawn += 1
        programs = 1 + (self.lost.programs if self.lost else 0)
        shown = Violation(reason, program, None, ())
        self.lost = Lost(programs, self.drawn, shown, ends=False)
        self.broken(None, reason)

    def replace_lost(self, shown: Violation) -> None:
        """Put a smaller program in the place of the one shown that hit a bound."""
        assert self.lost is not None
        self.lost = attrs.evolve(self.lost, shown=shown)

    def broken(
        self,
        crash: Crash | None,
        inconclusive: str | None,
        concerned: Sequence[str] | None = None,
    ) -> None:
        """Note a crash, or a bound that was hit; it concerns rules, or all."""
        for rule in self._counts if concerned is None else concerned:
            count = self._counts.get(rule)
            if count is not None:
                count.crash = count.crash or crash
                count.inconclusive = count.inconclusive or inconclusive

    def crashes_in(
        self, crash: Crash, shown: Violation, concerned: Sequence[str] | None = None
    ) -> None:
        """Note the program in which a crash comes; the best one of its sort is kept."""
        new = Crashing(crash, shown, tuple(concerned or ()))
        old = self._crashing.get(crash.sort)
        if old is None or self._smaller(old.shown, shown) is shown:
            self._crashing[crash.sort] = new

    def crashing(self) -> dict[str, Crashing]:
        """Return the crashes that are the verdict on any rule, by their sort."""
        found: dict[str, Crashing] = {}
        for rule in self.rules:
            count = self._counts[rule.id]
            sort = None if count.crash is None else count.crash.sort
            is_verdict = self._verdict(rule, count)[0] is Verdict.CRASHED
            if sort in self._crashing and sort not in found and is_verdict:
                found[sort] = attrs.evolve(self._crashing[sort], rule=rule.id)
        return found

    def replace_crash(self, sort: str, shown: Violation) -> None:
        """Put a smaller program in the place of the one in which a crash was found."""
        old = self._crashing[sort]
        crash = attrs.evolve(old.crash, message=shown.sentence, call=shown.call)
        self._crashing[sort] = attrs.evolve(old, crash=crash, shown=shown)

    def failed(self, error: str) -> None:
        """Note that the suite itself failed: there is no verdict on any rule."""
        for count in self._counts.values():
            count.error = count.error or error

    def replace(self, rule: str, violation: Violation) -> None:
        """Put a smaller violation in the place of the one found."""
        self._counts[rule].violation = violation

    def violations(self) -> dict[str, Violation]:
        """Return the violations found so far, by rule."""
        return {
            rule: count.violation
            for rule, count in self._counts.items()
            if count.violation is not None
        }

    def withdraw(self, rule: str, reason: str) -> Violation | None:
        """Take a violation back that does not count; return the next to be tried.

        If there is none, the rule is neither violated nor held.
        """
        count = self._counts[rule]
        count.violation = count.others.pop(0) if count.others else None
        count.inconclusive = count.inconclusive or reason
        return count.violation

    def _violated(self, count: _Count, new: Violation) -> None:
        """Keep the best violation, and a few others."""
        old, count.violation = count.violation, self._smaller(count.violation, new)
        other = old if count.violation is new else new
        if other is not None and len(count.others) < OTHERS_MAX:
            count.others.append(other)

    def _smaller(self, old: Violation | None, new: Violation) -> Violation:
        if old is None:
            return new
        fewer = len(new.program.operations) < len(old.program.operations)
        return new if fewer and old.scenario is None else old

    def results(self) -> dict[str, RuleResult]:
        """Return the verdict on each rule, in the order of the catalogue."""
        crashing = self.crashing()
        return {rule.id: self._result(rule, crashing) for rule in self.rules}

    def _result(self, rule: Rule, crashing: dict[str, Crashing]) -> RuleResult:
        count = self._counts[rule.id]
        verdict, reason = self._verdict(rule, count)
        crash = count.crash if verdict is Verdict.CRASHED else None
        shown = None if crash is None else crashing.get(crash.sort)
        if shown is not None:
            crash, reason = shown.crash, shown.crash.message
        return RuleResult(
            rule.id,
            verdict,
            count.premises,
            count.programs,
            count.seconds,
            count.violation if verdict is Verdict.VIOLATED else None,
            crash,
            shown,
            reason,
        )

    def _verdict(self, rule: Rule, count: _Count) -> tuple[Verdict, str | None]:
        lacking = self.capabilities.missing_for_rule(rule)
        crash = None if count.crash is None else count.crash.message
        found = None if count.violation is None else count.violation.sentence
        lost = str(self.lost) if self.lost and self.lost.is_too_much else None
        decided: tuple[tuple[Verdict, str | None], ...] = (
            (Verdict.UNTESTED, rule.untested),
            (Verdict.ERRORED, count.error),
            (Verdict.VIOLATED, found),
            (Verdict.NOT_OBSERVABLE, lacking),
            (Verdict.CRASHED, crash),
            (Verdict.INCONCLUSIVE, count.inconclusive or lost),
        )
        for verdict, reason in decided:
            if reason is not None:
                return verdict, reason
        if count.premises:
            return Verdict.HELD, None
        return self._unexercised(rule, count)

    def _unexercised(self, rule: Rule, count: _Count) -> tuple[Verdict, str]:
        if count.unseen is not None and not count.programs:
            return Verdict.NOT_OBSERVABLE, count.unseen
        default = "its premise never came up"
        return Verdict.NOT_EXERCISED, self.skipped.get(rule.id, default)


def verdict_on(judgement: Judgement, rule: str) -> Verdict:
    """Return what one program alone says about a rule."""
    outcome = judgement.outcomes.get(rule)
    if outcome is None:
        return _verdict_without(judgement)
    if outcome.error is not None:
        return Verdict.ERRORED
    if outcome.findings:
        return Verdict.VIOLATED
    return Verdict.HELD if outcome.premises else Verdict.NOT_EXERCISED


def verdict_on_crash(judgement: Judgement) -> Verdict:
    """Return what one program says about whether the implementation crashes in it."""
    is_whole = judgement.crash is None and judgement.inconclusive is None
    return Verdict.HELD if is_whole else _verdict_without(judgement)


def _verdict_without(judgement: Judgement) -> Verdict:
    """Return why a program says nothing about a rule."""
    if judgement.crash is not None:
        return Verdict.CRASHED
    if judgement.inconclusive is not None:
        return Verdict.INCONCLUSIVE
    return Verdict.NOT_OBSERVABLE


def violation_record(violation: Violation) -> dict[str, Any]:
    """Return a violation as plain dicts and lists, to be reported and stored."""
    return {
        "sentence": violation.sentence,
        "call": violation.call,
        "scenario": violation.scenario,
        "minimal": violation.is_minimal,
        "made_from": violation.made_from,
        "tried": list(violation.tried),
        "program": to_json(violation.program),
        "timeline": list(violation.timeline),
    }
