"""From judgements to one verdict for each rule."""

import attrs
import pytest

from conformance.engines.capabilities import Capabilities, capabilities_of
from conformance.engines.judge import Judgement, RuleOutcome
from conformance.engines.tally import (
    Tally,
    Violation,
    verdict_on,
    violation_record,
)
from conformance.interface import Fsync, Geometry, Load, Setup, Store
from conformance.oracle.history import Crash
from conformance.program import Program, from_json
from conformance.rules.catalogue import BY_ID
from conformance.rules.rule import Finding
from conformance.verdicts import Verdict
from tests.second_stack import boot

RULE = BY_ID["MKW-EVERY"]
UNSEEN_RULE = BY_ID["DRT-FLUSH"]
"""The second stack has no volatile cache."""


@pytest.fixture
def capabilities() -> Capabilities:
    """What the second stack offers."""
    return capabilities_of(boot(Setup()), Geometry())


@pytest.fixture
def tally(capabilities: Capabilities) -> Tally:
    """A tally of two rules."""
    return Tally([RULE, UNSEEN_RULE], capabilities)


def judgement(
    *sentences: str,
    premises: int = 1,
    operations: int = 1,
    error: str | None = None,
    crash: Crash | None = None,
    inconclusive: str | None = None,
) -> Judgement:
    """Return what was found in a program."""
    findings = tuple(Finding(sentence, 0) for sentence in sentences)
    program = Program((Load(),) * operations)
    outcome = RuleOutcome(premises, findings, 0.5, error)
    return Judgement(program, {RULE.id: outcome}, crash, inconclusive, {})


def silent(crash: Crash | None = None, inconclusive: str | None = None) -> Judgement:
    """Return a judgement in which no rule was looked at."""
    found = judgement(crash=crash, inconclusive=inconclusive)
    return attrs.evolve(found, outcomes={})


def verdict(tally: Tally) -> Verdict:
    """Return the verdict on the first rule."""
    return tally.results()[RULE.id].verdict


def test_held_means_that_the_premise_came_up(tally: Tally) -> None:
    """Sums over programs."""
    tally.add(judgement(premises=2))
    tally.add(judgement(premises=0))

    result = tally.results()[RULE.id]
    assert result.verdict is Verdict.HELD
    assert (result.premises, result.programs, result.seconds) == (2, 2, 1.0)


def test_no_premise_is_no_verdict(tally: Tally) -> None:
    """The reason may be a scenario that could not be run."""
    tally.add(judgement(premises=0))
    assert tally.results()[RULE.id].reason == "its premise never came up"

    tally.skipped[RULE.id] = "scenario x needs operation y"
    assert verdict(tally) is Verdict.NOT_EXERCISED
    assert tally.results()[RULE.id].reason == "scenario x needs operation y"


def test_what_the_stack_lacks_is_not_observable(tally: Tally) -> None:
    """It is said what."""
    result = tally.results()[UNSEEN_RULE.id]

    assert result.verdict is Verdict.NOT_OBSERVABLE
    assert result.reason == "feature volatile_cache"


def test_what_no_history_shows_is_not_observable(tally: Tally) -> None:
    """A stack may offer an observation and tell nothing by it."""
    tally.add(attrs.evolve(judgement(), outcomes={}, unseen={RULE.id: "view is_dirty"}))

    assert verdict(tally) is Verdict.NOT_OBSERVABLE
    assert tally.results()[RULE.id].reason == "view is_dirty"


def test_the_heaviest_word_wins(tally: Tally) -> None:
    """A bound, a crash, a violation, a failure of ours: each beats the one before."""
    tally.add(judgement())
    steps = [
        (judgement(inconclusive="too long"), Verdict.INCONCLUSIVE),
        (judgement(crash=Crash(0, "it broke")), Verdict.CRASHED),
        (judgement("it was lost"), Verdict.VIOLATED),
        (judgement(error="KeyError: 3"), Verdict.ERRORED),
    ]
    seen = []
    for found, _ in steps:
        tally.add(found)
        seen.append(verdict(tally))

    assert seen == [word for _, word in steps]


def test_a_few_drawn_programs_may_be_lost(tally: Tally) -> None:
    """One in twenty; with one more, those that ran to their end are too few."""
    for _ in range(38):
        tally.add(judgement())
    tally.add(silent(inconclusive="too long"))
    tally.add(silent(inconclusive="longer still"))
    assert verdict(tally) is Verdict.HELD
    words = "2 of 40 drawn programs hit a bound and say nothing: too long"
    assert str(tally.lost) == words

    tally.add(silent(inconclusive="too long"))
    assert verdict(tally) is Verdict.INCONCLUSIVE
    reason = tally.results()[RULE.id].reason
    assert reason == words.replace("2 of 40", "3 of 41")


def test_one_that_had_to_be_ended_is_shown(tally: Tally) -> None:
    """The search ended with it, so there is no verdict."""
    for _ in range(100):
        tally.add(judgement())
    tally.add(silent(inconclusive="too long"))
    program = Program((Load(),))
    tally.stalled("it ran for ever", program)

    assert verdict(tally) is Verdict.INCONCLUSIVE
    assert tally.lost is not None
    assert (tally.lost.programs, tally.lost.drawn) == (2, 102)
    assert tally.lost.shown == Violation("it ran for ever", program, None, ())
    assert not tally.lost.ends


def test_no_scenario_may_be_lost(tally: Tally) -> None:
    """However many others there are, its rules have no verdict."""
    for _ in range(100):
        tally.add(judgement(), "other", [RULE.id])
    tally.add(silent(inconclusive="too long"), "this", [RULE.id])

    assert verdict(tally) is Verdict.INCONCLUSIVE
    assert tally.lost is None


def test_a_crash_concerns_the_rules_that_it_is_said_to(tally: Tally) -> None:
    """A scenario's crash says nothing about rules that it is not written for."""
    tally.add(judgement())
    tally.add(judgement(crash=Crash(0, "it broke")), "other", ["STB-CPU"])

    assert verdict(tally) is Verdict.HELD


def test_the_smallest_program_is_kept(tally: Tally) -> None:
    """Among those drawn; a scenario is preferred to them."""
    tally.add(judgement("long", operations=5))
    tally.add(judgement("short", operations=2))
    tally.add(judgement("longer", operations=3))
    assert tally.violations()[RULE.id].sentence == "short"

    tally.replace(RULE.id, attrs.evolve(tally.violations()[RULE.id], scenario="s"))
    tally.add(judgement("shorter", operations=1))
    assert tally.violations()[RULE.id].sentence == "short"


def test_an_untested_rule_stays_untested(capabilities: Capabilities) -> None:
    """It is listed, with its reason, whatever happens."""
    rule = attrs.evolve(RULE, untested="needs hardware")
    tally = Tally([rule], capabilities)
    tally.failed("a traceback")

    result = tally.results()[RULE.id]
    assert (result.verdict, result.reason) == (Verdict.UNTESTED, "needs hardware")


def test_a_violation_becomes_plain_values() -> None:
    """With its program, which can be read again."""
    found = Violation("b", Program((Store(), Fsync())), None, ("x",), "scenario")

    record = violation_record(found)

    assert from_json(record["program"]) == found.program
    assert record["timeline"] == ["x"]


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (judgement(), Verdict.HELD),
        (judgement(premises=0), Verdict.NOT_EXERCISED),
        (judgement("it was lost"), Verdict.VIOLATED),
        (judgement(error="KeyError: 3"), Verdict.ERRORED),
        (silent(), Verdict.NOT_OBSERVABLE),
        (silent(crash=Crash(0, "it broke")), Verdict.CRASHED),
        (silent(inconclusive="too long"), Verdict.INCONCLUSIVE),
    ],
)
def test_one_program_alone_has_a_verdict(found: Judgement, word: Verdict) -> None:
    """For what was violated once and is run again."""
    assert verdict_on(found, RULE.id) is word
