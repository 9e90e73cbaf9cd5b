"""All schedules of a race: nothing is left out, and what is found can be run again."""

import random
from collections.abc import Iterator
from functools import partial

import attrs
import pytest

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.engines.racing import Race
from conformance.engines.schedules import (
    Bound,
    Merging,
    ScheduleResult,
    as_program,
    explore,
    run_schedule,
)
from conformance.interface import (
    Boot,
    DeviceComplete,
    Fsync,
    GetUserPagesFast,
    Load,
    Mremap,
    Operation,
    PowerCut,
    Store,
    Truncate,
)
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Case, Clause, Finding, Rule, rule
from conformance.verdicts import Kind, Level
from reference_impl import boot
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.catalogue import BY_NAME
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback
from tests.conformance.engines import racy

RANDOM_RACES = 200
ENUMERATED_MAX = 250
"""Schedules of a random race that is worth enumerating."""


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
    calls = [_random_call(draw) for _ in range(draw.choice((2, 2, 3)))]
    before = [Store(value=1)] if draw.random() < 0.3 else []
    return Race(calls, before, [Load(), Load(page=1), PowerCut()])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RANDOM_RACES))
def test_no_way_of_leaving_out_loses_anything(seed: int) -> None:
    """Merged and reduced, a race has the final states and verdicts of all schedules."""
    race = _random_race(seed)
    plain = explore(
        racy.boot,
        race,
        TOY_RULES,
        merging=Merging.NOTHING,
        reduces=False,
        bound=Bound(ENUMERATED_MAX),
    )
    if plain.bound_hit:
        pytest.skip("too many schedules to enumerate")
    for merging in Merging:
        for reduces in (False, True):
            found = explore(
                racy.boot, race, TOY_RULES, merging=merging, reduces=reduces
            )

            assert found.finals == plain.finals, (merging, reduces)
            assert found.violated == plain.violated, (merging, reduces)
            assert found.schedules <= plain.schedules


def test_reduction_leaves_out_some_and_merging_much() -> None:
    """Two stores to different pages commute but for the list of dirty words."""
    race = Race([Store(page=0, value=1), Store(page=1, value=2)])
    counts = {
        (merging, reduces): explore(
            racy.boot, race, merging=merging, reduces=reduces
        ).schedules
        for merging in (Merging.NOTHING, Merging.STATES)
        for reduces in (False, True)
    }

    assert counts[Merging.NOTHING, True] < counts[Merging.NOTHING, False]
    assert counts[Merging.STATES, False] < counts[Merging.NOTHING, False] / 2


# --- the reference --------------------------------------------------------------------

SEEN = (DeviceComplete(value=7), Fsync(), PowerCut())
RACES = {
    "gup_fast against fsync": Race(
        [GetUserPagesFast(), Fsync()], [Store(value=3)], SEEN
    ),
    "gup_fast against mremap": Race(
        [GetUserPagesFast(), Mremap()], [Store(value=3)], SEEN
    ),
    "store against truncate": Race(
        [Store(value=5), Truncate(words=1)], [], [Fsync(), PowerCut()]
    ),
    "fsync against mremap": Race(
        [Fsync(), Mremap()],
        [Store(value=3)],
        [Store(value=9), Fsync(), PowerCut()],
    ),
    "two fsyncs": Race([Fsync(), Fsync()], [Store(value=3)], [PowerCut()]),
}


def _explored(name: str, result: ScheduleResult) -> None:
    print("\n".join((name, *result.lines())))  # noqa: T201 - the numbers are the point


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_the_reference_violates_nothing_in_any_schedule(name: str) -> None:
    """To the end: no rule, no crash, no bound, no state that cannot be compared."""
    result = explore(boot, RACES[name], RULES)
    _explored(name, result)

    assert {a.rule: a.text for a in result.accusations.values()} == {}
    assert not result.bound_hit
    assert not result.inconclusive
    assert not result.unprintable


@attrs.define(eq=False)
class _AsksBeforeProtecting(Writeback):
    """Writeback asks for pins first, and takes the right to write away after that."""

    answers: dict[Page, bool] = attrs.field(factory=dict[Page, bool])

    def protect(self, inode: Inode, page: Page) -> Stepped[None]:
        self.answers[page] = super().maybe_pinned(page)
        yield from super().protect(inode, page)

    def maybe_pinned(self, page: Page) -> bool:
        return self.answers.get(page, False)


MUTANTS = (
    (
        BY_NAME["gup_fast.does_not_look_again"].boot,
        "gup_fast against fsync",
        "GWB-FAST-RECHECK",
    ),
    (
        BY_NAME["gup_fast.looks_again_before_it_counts"].boot,
        "gup_fast against fsync",
        "GWB-FAST-ORDER",
    ),
    (
        partial(boot, parts=Parts(make_writeback=_AsksBeforeProtecting)),
        "gup_fast against fsync",
        "MKW-DEVICE",
    ),
    (
        BY_NAME["cleaning.does_not_bar_mremap"].boot,
        "fsync against mremap",
        "WB-PTEDIRTY",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize(("faulty", "name", "wanted"), MUTANTS)
def test_a_mutant_of_one_interleaving_is_caught(
    faulty: Boot, name: str, wanted: str
) -> None:
    """No point is named in the race; the schedule that is found shows it again."""
    result = explore(faulty, RACES[name], RULES)
    _explored(wanted, result)

    assert wanted in result.violated
    guilty = next(each for each in RULES if each.id == wanted)
    choices = result.accusations[wanted].choices
    again = run_schedule(faulty, RACES[name], choices)
    assert judge(again, [guilty]).violated
    in_order = judge(run(faulty, RACES[name].program), [guilty])
    assert not in_order.violated


def test_a_schedule_becomes_a_program() -> None:
    """Where one call has to stop at one point, a `Preempt` says so."""
    faulty, name, wanted = MUTANTS[0]
    guilty = next(each for each in RULES if each.id == wanted)
    gup, fsync, disk = 0, 1, 2
    choices = (gup, *(fsync, disk) * 20)

    program = as_program(faulty, RACES[name], guilty, choices)

    assert program is not None
    assert [preempt.at for preempt in program.schedule] == ["gup_fast.pte_read"]
    assert judge(run(faulty, program), [guilty]).violated
    assert not judge(run(boot, program), [guilty]).violated
