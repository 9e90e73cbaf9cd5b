"""All schedules of a race: nothing is left out, and what is found can be run again."""

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from conformance.engines.covering import Coverage
from conformance.engines.judge import judge
from conformance.engines.racing import run_schedule, story
from conformance.engines.remembering import ForgetfulError, Graph
from conformance.engines.retelling import Teller, Way
from conformance.engines.schedules import Bound, explore
from conformance.interface import (
    Boot,
    DeviceComplete,
    Fork,
    Fsync,
    GetUserPages,
    GetUserPagesFast,
    Load,
    Mremap,
    Operation,
    PowerCut,
    Reclaim,
    Setup,
    Store,
    Truncate,
)
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Case, Clause, Finding, Rule, rule
from conformance.scenarios.races import RACES, Race
from conformance.verdicts import Kind, Level
from reference_impl import boot
from reference_impl.mutants.catalogue import BY_NAME
from tests.conformance.engines import racy
from tests.conformance.engines.plain import enumerate_schedules

RANDOM_RACES = 200
SCHEDULES_MAX = 1_000
"""No random race has more: with three calls, one of them or two answer at once."""


def _toy_rule(name: str, wanted: int) -> Rule:
    def check(case: Case) -> Iterator[Finding]:
        """No load sees a certain value, and no event tells of it."""
        case.premise()
        for call in case.history.calls:
            if call.result == wanted:
                yield case.found(call, "seen by a load")
        told = [event for _, event in case.history.events]
        if len(told) > 1 and wanted == getattr(told[0], "frame", None):
            yield case.found(None, "told first")

    return rule(
        name,
        clause=Clause("test", "1", "A made-up rule."),
        kind=Kind.DAMAGE,
        document=Level.MUST,
        mainline=Level.MUST,
    )(check)


TOY_RULES = tuple(_toy_rule(f"TOY-{wanted}", wanted) for wanted in range(1, 8))


def _random_call(draw: random.Random) -> Operation:
    page, word = draw.randrange(2), draw.randrange(2)
    return draw.choice(
        (
            Store(page=page, word=word, value=draw.choice((1, 2, 4))),
            Store(page=page, word=0, value=draw.choice((1, 2, 4))),
            Load(page=page, word=word),
            Fsync(),
        )
    )


def _random_race(seed: int) -> Race:
    draw = random.Random(seed)  # noqa: S311 - the same race for each seed
    calls = [_random_call(draw) for _ in range(draw.choice((2, 2, 1)))]
    calls += [Reclaim()] * draw.choice((0, 0, 0, 1) if len(calls) > 1 else (1, 2))
    draw.shuffle(calls)
    before = [Store(value=1)] if draw.random() < 0.3 else []
    return Race(calls, before, [Load(), Load(page=1), PowerCut()])


def _stories(graph: Graph) -> set[object]:
    """Return the stories of all ways through a graph."""
    teller = Teller(graph)
    ways: list[tuple[int, Way]] = [(0, [])]
    stories = set[object]()
    while ways:
        node, way = ways.pop()
        if not graph.edges[node]:
            stories.add(story(teller.history(way)))
        ways += [(edge.target, [*way, edge]) for edge in graph.edges[node]]
    return stories


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RANDOM_RACES))
def test_nothing_is_lost_against_plain_enumeration(seed: int) -> None:
    """Same number of schedules, same histories, same final states, same verdicts."""
    race = _random_race(seed)
    plain = list(islice(enumerate_schedules(racy.boot, race), SCHEDULES_MAX + 1))
    told = {story(history) for _, history in plain}
    graph = Graph(racy.boot, race)
    graph.explore(lambda: True)
    verdicts = {
        rule for _, history in plain for rule in judge(history, TOY_RULES).violated
    }

    assert len(plain) <= SCHEDULES_MAX
    assert _stories(graph) == told
    result = explore(racy.boot, race, TOY_RULES, coverage=Coverage.HISTORIES)
    assert result.schedules == len(plain)
    assert result.judged >= len(told)
    assert result.depth == max(len(choices) for choices, _ in plain)
    assert result.violated == verdicts
    graph.close()


def test_a_stack_that_keeps_something_aside_is_found_out() -> None:
    """State in a variable of a module cannot be seen; the next run shows it."""
    kept: list[int] = []

    class Forgetful(racy.Racy):
        """Counts its loads where nobody looks."""

        def load(self, page: int, word: int) -> racy.Stepped:
            kept.append(page)
            self.words[0, 0] = len(kept)
            return super().load(page, word)

    def forgetful(setup: Setup) -> Forgetful:
        return Forgetful(setup)

    with pytest.raises(ForgetfulError, match=r"^a state was not what the same steps"):
        explore(forgetful, Race([Load(), Load(page=1), Store(value=2)]))


def test_a_stack_without_fingerprint_is_enumerated() -> None:
    """Nothing is remembered: every step of every schedule is run."""

    class Plain(racy.Racy):
        """Cannot be compared."""

        def __getattribute__(self, name: str) -> object:
            if name == "fingerprint":
                raise AttributeError(name)
            return super().__getattribute__(name)

    race = Race([Store(value=1), Load(page=1)])
    result = explore(Plain, race)
    plain = list(enumerate_schedules(Plain, race))

    assert result.schedules == len(plain)
    assert result.steps == result.steps_run
    assert explore(racy.boot, race).schedules == len(plain)


def test_the_bound_is_told() -> None:
    """A race that was not gone through to the end says so."""
    result = explore(boot, RACES[0], bound=Bound(states=50))

    assert result.bound_hit
    assert "bound hit" in result.short
    assert result.count == "an unknown number of"


# --- the reference --------------------------------------------------------------------

WRITTEN = (DeviceComplete(value=7), Fsync(), PowerCut())
CALLS: tuple[Operation, ...] = (
    GetUserPagesFast(pages=2),
    GetUserPages(pin=1),
    Fsync(),
    Mremap(),
    Truncate(words=1),
    Store(value=5),
    Reclaim(),
    Fork(),
    Load(page=1),
)
MUTANTS = (
    "gup_fast.does_not_look_again",
    "gup_fast.looks_again_before_it_counts",
    "cleaning.does_not_bar_mremap",
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_a_history_is_told_as_it_would_be_run(seed: int) -> None:
    """Remembered steps, put together at random, are what really happens.

    Whatever a step reads or writes without our seeing it would show here.
    """
    draw = random.Random(seed)  # noqa: S311 - the same race for each seed
    calls = draw.sample(CALLS, 2)
    race = Race(calls, [Store(value=3), Store(page=1, value=4)], WRITTEN)
    faulty = BY_NAME[draw.choice(MUTANTS)].boot if seed % 2 else boot
    graph = Graph(faulty, race)
    graph.explore(lambda: len(graph.nodes) < 6_000)
    teller = Teller(graph)
    for _ in range(8):
        way, node = Way(), 0
        while graph.edges[node]:
            edge = draw.choice(graph.edges[node])
            way.append(edge)
            node = edge.target
        real = run_schedule(faulty, race, [edge.thread for edge in way])

        assert story(teller.history(way)) == story(real)
    graph.close()


@pytest.mark.slow
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_the_reference_violates_nothing_in_any_schedule(race: Race) -> None:
    """To the end: no rule, no crash, no bound, no state that cannot be compared."""
    result = explore(boot, race, RULES, coverage=Coverage.OUTCOMES)
    print("\n".join((race.name, *result.lines())))  # noqa: T201 - the numbers matter

    assert {a.rule: a.text for a in result.accusations.values()} == {}
    assert not result.errors
    assert not result.bound_hit
    assert not result.inconclusive
    assert not result.unprintable


@pytest.mark.parametrize("faulty", [BY_NAME[name].boot for name in MUTANTS[:1]])
def test_a_schedule_that_was_judged_can_be_run_again(faulty: Boot) -> None:
    """The choices of an accusation lead to the same verdict."""
    guilty = [each for each in RULES if each.id == "GWB-FAST-RECHECK"]
    result = explore(faulty, RACES[0], guilty)
    choices = result.accusations["GWB-FAST-RECHECK"].choices

    assert judge(run_schedule(faulty, RACES[0], choices), guilty).violated
    assert not judge(run_schedule(boot, RACES[0], choices), guilty).violated
