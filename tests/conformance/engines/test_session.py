"""One engine on one implementation, from beginning to end."""

import inspect
import os
import time
from pathlib import Path

import attrs
import pytest

from conformance.engines import work
from conformance.engines.budget import Budget
from conformance.engines.gathering import Gathering
from conformance.engines.reach import from_text
from conformance.engines.session import (
    ImplementationError,
    look_at,
    run_scenarios,
    run_search,
    without_stack,
)
from conformance.engines.tally import Tally
from conformance.interface import (
    Boot,
    Fsync,
    Load,
    Setup,
    Store,
    Umount,
)
from conformance.verdicts import Promise, Verdict
from tests.conformance.engines.small_plans import (
    LINES,
    LOADS,
    PINS,
    RULES,
    STORES,
    forgetful,
    plan,
    scenario,
)
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import Stack, boot as boot_good


@pytest.mark.parametrize("isolated", [True, False])
def test_scenarios_give_each_rule_its_verdict(*, isolated: bool) -> None:
    """Held, and not exercised; programs, premises and counters are counted."""
    seen: list[str] = []
    given = plan(STORES, PINS, isolated=isolated, on_progress=seen.append)

    found = run_scenarios(boot_good, given)

    assert {rule: r.verdict for rule, r in found.results.items()} == {
        "MKW-EVERY": Verdict.HELD,
        "LT-REFUSE": Verdict.NOT_EXERCISED,
        "CNT-BAL": Verdict.HELD,
    }
    assert found.programs == 2
    assert [words.partition(", ")[0] for words in seen] == ["1 programs", "2 programs"]
    assert all(words.endswith("/s") for words in seen)
    assert found.table.rows["store"].executed == 2
    assert "every get has its put" in found.counters


def test_a_scenario_that_cannot_be_run_says_what_it_needs() -> None:
    """The second stack has no umount."""
    unmounts = scenario("unmounts", Umount(), rules=("MKW-EVERY",))

    found = run_scenarios(boot_good, plan(unmounts))

    reason = found.results["MKW-EVERY"].reason
    assert reason == "scenario unmounts needs operation umount"


def test_a_scenario_for_no_rule_is_for_all() -> None:
    """Its crash is everybody's."""
    anybody = scenario("anybody", Load(), rules=())

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: 1 / 0)

    found = run_scenarios(boot, plan(anybody))

    assert {r.verdict for r in found.results.values()} == {Verdict.CRASHED}


def test_the_scenarios_after_a_lost_child_are_run() -> None:
    """One that ends the process costs its own rules their verdict, and no others."""

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: os._exit(3))

    found = run_scenarios(boot, plan(STORES, LOADS, PINS))

    assert found.results["MKW-EVERY"].verdict is Verdict.CRASHED
    assert found.results["CNT-BAL"].verdict is Verdict.HELD
    assert found.programs == 2


@pytest.mark.slow
def test_programs_without_end_are_given_up() -> None:
    """After two, the rest is inconclusive, and says why."""

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: time.sleep(60))

    more = [attrs.evolve(LOADS, name=f"again {n}") for n in range(3)]

    found = run_scenarios(boot, plan(LOADS, *more, PINS, stall_seconds=0.2))

    stores = found.results["MKW-EVERY"]
    assert stores.verdict is Verdict.INCONCLUSIVE
    assert stores.reason is not None
    assert stores.reason.startswith("a program ran for more than 0.2 s: loads, asked ")
    assert stores.reason.endswith(" as operation 1")
    reason = "given up after 2 programs that did not end"
    assert found.results["CNT-BAL"].reason == reason


def test_a_violation_is_made_small() -> None:
    """What the scenario did besides is gone from the program."""
    long = scenario(
        "long", Store(), Load(), Fsync(), Load(), Store(), rules=("MKW-EVERY",)
    )
    seen: list[str] = []

    found = run_scenarios(forgetful, plan(long, on_progress=seen.append))

    violation = found.results["MKW-EVERY"].violation
    assert violation is not None
    assert len(violation.program.operations) == 1
    assert violation.scenario is None
    assert seen[-1] == "making the program for MKW-EVERY small"


def test_a_violation_that_is_small_keeps_its_scenario() -> None:
    """The name says more than the program."""
    small = scenario("small", Store(), rules=("MKW-EVERY",))

    found = run_scenarios(forgetful, plan(small))

    violation = found.results["MKW-EVERY"].violation
    assert violation is not None
    assert violation.scenario == "small"


def test_a_child_lost_while_shrinking_loses_nothing(tmp_path: Path) -> None:
    """The violation stays as it was found."""
    mark = tmp_path / "found"

    def boot(setup: Setup) -> object:
        if mark.exists():
            os._exit(5)
        return but(boot_good(setup), "page_mkwrite_count", count)

    def count(_: object, **__: object) -> int:
        return 0

    found_in = scenario("found", Store(), Load(), rules=("MKW-EVERY",))
    given = plan(found_in, on_progress=lambda _: mark.touch())

    found = run_scenarios(boot, given)

    violation = found.results["MKW-EVERY"].violation
    assert found.results["MKW-EVERY"].verdict is Verdict.VIOLATED
    assert violation is not None
    assert len(violation.program.operations) == 2


def test_a_boot_that_fails_now_and_then_is_a_crash() -> None:
    """Of the scenario for which it failed."""
    setups = []

    def boot(setup: Setup) -> object:
        setups.append(setup)
        if len(setups) == 2:
            raise OSError("no memory")
        return boot_good(setup)

    found = run_scenarios(boot, plan(PINS, STORES))

    assert found.results["CNT-BAL"].verdict is Verdict.HELD
    once = "did not repeat when the program was run again"
    reason = f"boot fails: OSError: no memory ({once})"
    assert found.results["MKW-EVERY"].reason == reason


def test_a_search_that_cannot_boot_is_a_crash(tmp_path: Path) -> None:
    """It worked when it was looked at, and never again."""
    mark = tmp_path / "looked"

    def boot(setup: Setup) -> object:
        if mark.exists():
            raise OSError("no memory")
        mark.touch()
        return boot_good(setup)

    found = run_search("explorer", boot, plan(budget=Budget(2, 5)))

    assert {r.verdict for r in found.results.values()} == {Verdict.CRASHED}
    assert "no memory" in str(found.results["MKW-EVERY"].reason)


def test_a_search_is_repeatable() -> None:
    """The same seed draws the same programs."""

    def drawn(seed: int) -> dict[str, int]:
        found = run_search("explorer", boot_good, plan(budget=Budget(3, 10), seed=seed))
        return {name: row.drawn for name, row in found.table.rows.items()}

    assert drawn(1) == drawn(1)


def test_a_search_by_the_clock_draws_lots() -> None:
    """No time, no program; a little time, at least one lot."""
    none = run_search("explorer", boot_good, plan(seconds=0.0))
    times = iter([0.0, 0.5, 2.0])

    class Clock:
        monotonic = staticmethod(lambda: next(times))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "time", Clock)
        rounds = list(work._rounds(plan(seconds=1.0, seed=3)))

    assert none.programs == 0
    assert rounds == [(Budget(work.LOT_PROGRAMS, 40), 3 * work.SEEDS_APART)]


def test_a_failure_of_the_suite_is_no_verdict_on_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every rule is *errored*, with the traceback."""
    monkeypatch.setattr(work, "judge", lambda *_: 1 / 0)

    found = run_scenarios(boot_good, plan(STORES))

    assert {r.verdict for r in found.results.values()} == {Verdict.ERRORED}
    assert "ZeroDivisionError" in str(found.results["CNT-BAL"].reason)


def test_a_factory_is_told_that_it_was_the_last_one(tmp_path: Path) -> None:
    """In each child, after the last stack was closed."""

    class Factory:
        def __call__(self, setup: Setup) -> object:
            return boot_good(setup)

        def close(self) -> None:
            with (tmp_path / "closed").open("a") as file:
                file.write("x")

    run_scenarios(Factory(), plan(STORES))

    assert (tmp_path / "closed").read_text() == "xx"


# --- no stack -------------------------------------------------------------------------


def _raise(_: Setup) -> object:
    raise OSError("no disk")


def _hang(_: Setup) -> object:
    time.sleep(60)
    return None


@pytest.mark.parametrize(
    ("boot", "reason"),
    [
        (_raise, "OSError: no disk"),
        (lambda _: None, "it returned a NoneType, which has no method of a stack*"),
        (lambda _: os._exit(1), "its process ended with exit status 1"),
        (_hang, "it did not return within 0.1 s"),
    ],
)
def test_no_stack_is_said_before_anything_runs(boot: Boot, reason: str) -> None:
    """With what happened instead."""
    with pytest.raises(ImplementationError) as error:
        look_at(boot, plan(stall_seconds=0.1))

    assert str(error.value).startswith(reason.rstrip("*"))


def test_without_a_stack_every_rule_is_crashed() -> None:
    """For what boots only when its turn comes."""
    found = without_stack("stateful", plan(), "it is gone")

    assert {r.verdict for r in found.results.values()} == {Verdict.CRASHED}
    assert found.results["CNT-BAL"].reason == "boot fails: it is gone"
    assert found.capabilities is None


def test_an_unknown_message_is_a_defect() -> None:
    """Of ours: parent and child speak the same language."""
    tally = Tally(RULES, look_at(boot_good, plan()), Promise.DOCUMENT)
    gathering = Gathering(tally, plan())

    with pytest.raises(AssertionError, match="the child sent 'hello'"):
        gathering._take("hello")


def test_an_exploration_tells_how_many_states_it_has_seen() -> None:
    """While it runs, with what is new, and at its end."""
    seen: list[str] = []
    given = plan(budget=Budget(3, 10), on_progress=seen.append)

    found = run_search("explorer", boot_good, given)

    assert found.states > 0
    assert f"{found.states} states" in seen[-1]
    assert all(" new" in words for words in seen if " states" in words)


def test_a_rule_has_the_lines_of_its_own_programs() -> None:
    """Those of the program before it are not among them, nor of the one after."""
    found = run_scenarios(boot_good, plan(PINS, STORES, PINS, watched=LINES))

    source, first = inspect.getsourcelines(Stack.fsync)
    body = set(range(first + 1, first + len(source)))
    by_rule = found.reach[inspect.getfile(Stack.fsync)]
    assert found.results["CNT-BAL"].verdict is Verdict.HELD
    assert {rule for rule in by_rule if from_text(by_rule[rule]) & body} == {
        "MKW-EVERY"
    }
