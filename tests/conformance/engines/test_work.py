"""What the child does: it runs, judges, makes small, and tells."""

import time
from functools import partial

import pytest

from conformance.engines import shrink_work, work
from conformance.engines.budget import Budget
from conformance.engines.judge import Judgement
from conformance.engines.running import run
from conformance.engines.session import look_at
from conformance.engines.tally import Violation
from conformance.interface import (
    Boot,
    Fsync,
    Load,
    Setup,
    Store,
)
from conformance.oracle.history import Crash
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from tests.conformance.engines.small_plans import LINES, RULES, STORES, forgetful, plan
from tests.second_stack import boot as boot_good


def _raise(_: Setup) -> object:
    raise OSError("no disk")


def test_what_an_implementation_says_is_cut_and_cleaned() -> None:
    """It may be endless, or no text at all."""
    assert work._short("plain\ttext\n") == "plain\ttext\n"
    assert work._short("\ud800\0\x1b[2J") == "\\ud800\\x00\\x1b[2J"
    assert work._short("x" * 10**6).endswith("... (1000000 characters)")


def shrunk(
    boot: Boot, known: Violation, seconds: float, sent: list[object]
) -> shrink_work.Shrunk:
    """Make the program of a violation small in this process."""
    rule = BY_ID["MKW-EVERY"]
    run_again = partial(shrink_work._violation, partial(run, boot), plan(), rule, known)
    return shrink_work.shrunk(run_again, plan(), rule.id, known, seconds, sent.append)


def test_a_violation_that_does_not_repeat_says_so() -> None:
    """The program is the one with which it was seen."""
    known = Violation("it was lost", STORES.program, 2, (), "stores")
    sent: list[object] = []

    last = shrunk(boot_good, known, 9.0, sent)

    assert last.violation.sentence.startswith("it was lost (did not repeat")
    assert last.counts
    assert sent == []


def test_a_program_that_does_not_boot_is_not_smaller() -> None:
    """It shows nothing of the rule."""
    known = Violation("it was lost", STORES.program, 2, (), "stores")
    rule = BY_ID["MKW-EVERY"]

    fails = partial(run, _raise)
    assert shrink_work._violation(fails, plan(), rule, known, STORES.program) is None


def test_shrinking_stops_when_its_time_is_up() -> None:
    """With the smallest program that it had found by then."""
    long = Program((Store(), Load(), Fsync(), Load(), Store()))
    known = Violation("page_mkwrite was not called", long, 0, (), None)
    sent: list[object] = []

    last = shrunk(forgetful, known, -1.0, sent)

    assert (last.violation.program, last.violation.is_minimal) == (long, False)
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("seconds", "each", "shares"),
    [(9.0, 5.0, [3.0, 4.5, 5.0]), (-1.0, 5.0, [-1 / 3, -1 / 2, -1.0])],
)
def test_the_time_is_shared(
    seconds: float, each: float, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one rule leaves, those after it have."""
    given: list[float] = []
    known = {rule.id: Violation("lost", STORES.program, 0, ()) for rule in RULES}

    def spied(*args: object) -> shrink_work.Shrunk:
        assert isinstance(args[4], float)
        given.append(args[4])
        return shrink_work.Shrunk("MKW-EVERY", known["MKW-EVERY"], is_last=True)

    monkeypatch.setattr(shrink_work, "shrunk", spied)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    bounded = plan(shrink_seconds=each)
    shrink_work.make_small(forgetful, bounded, known, 100.0 + seconds, lambda _: None)

    assert given == shares


def test_a_judgement_of_a_crash_keeps_its_program() -> None:
    """The message may be long; what is passed on is not."""
    lost = Judgement(STORES.program, {}, Crash(0, "x"), None, {})

    assert lost.violated == frozenset()


@pytest.mark.parametrize(
    ("how", "guides", "tells"),
    [
        ({}, False, False),
        ({"watched": LINES}, True, True),
        ({"guided_by": LINES}, True, False),
    ],
)
def test_new_lines_guide_the_explorer(
    how: dict[str, object],
    *,
    guides: bool,
    tells: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is watched does; so does what guides only, and then no line is told."""
    sent: list[object] = []
    answered: list[bool] = []
    has_found = work._WithLines.has_found

    def spied(self: work._WithLines) -> bool:
        answered.append(has_found(self))
        return answered[-1]

    monkeypatch.setattr(work._WithLines, "has_found", spied)
    given = plan(budget=Budget(10, 10), **how)
    work.search(boot_good, given, look_at(boot_good, given), "explorer", sent.append)

    judged = [message for message in sent if isinstance(message, work.Judged)]
    assert any(answered) is guides
    assert {bool(message.lines) for message in judged} == {tells}
