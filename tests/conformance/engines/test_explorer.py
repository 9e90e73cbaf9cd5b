"""The explorer: no operation starves, a seed means the same, what is new is gone on."""

import attrs
import pytest

from conformance.engines.budget import Budget
from conformance.engines.execution import run
from conformance.engines.explorer import Explorer, beginnings_for, run_explorer
from conformance.engines.scenario_run import probe
from conformance.engines.timeline import timeline
from conformance.interface import Store
from conformance.oracle.history import History
from conformance.program import Program, as_python
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl import boot
from tests.conformance.engines.shares import starving


def explored(budget: Budget, seed: int) -> list[History]:
    """Explore the reference and return what happened."""
    histories: list[History] = []
    run_explorer(boot, probe(boot), histories.append, budget, seed)
    return histories


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_no_operation_starves(seed: int) -> None:
    """What the reference offers is executed often enough."""
    assert starving(explored(Budget(250, 40), seed)) == set()


def test_the_same_seed_makes_the_same_programs() -> None:
    """A run can be repeated."""
    budget = Budget(8, 20)

    first, second, other = explored(budget, 7), explored(budget, 7), explored(budget, 8)

    assert [h.program for h in first] == [h.program for h in second]
    assert [h.program for h in first] != [h.program for h in other]


def test_a_seed_means_the_same_on_every_python() -> None:
    """All that an explorer chooses comes from these two."""
    explorer = Explorer(boot, probe(boot), lambda _: None, seed=3)

    assert [explorer.below(1000) for _ in range(4)] == [237, 544, 369, 603]
    assert explorer.number(4) == 2687448230


@pytest.mark.slow
def test_programs_run_again_as_stored() -> None:
    """A program that was made step by step is a program like any other."""
    for history in explored(Budget(30, 40), 3):
        again = run(boot, history.program)

        assert timeline(again) == timeline(history)


def test_no_program_is_made_twice() -> None:
    """Something follows whatever is repeated."""
    programs = [history.program for history in explored(Budget(40, 20), 1)]

    assert len({as_python(program) for program in programs}) == len(programs)


def test_programs_begin_like_those_that_brought_something_new() -> None:
    """Many begin as an earlier one did, to go on from there."""
    histories = explored(Budget(30, 20), 0)
    beginnings = [
        h.program.operations[:5] for h in histories if len(h.program.operations) > 5
    ]

    assert len(set(beginnings)) < len(beginnings)


class _Likes:
    """A guide for which every program has reached something new."""

    def has_found(self) -> bool:
        return True


def test_a_guide_says_what_is_gone_on_from() -> None:
    """Each program is kept whole then, news or not."""
    explorer = Explorer(boot, probe(boot), lambda _: None, 10, guide=_Likes())

    for _ in range(3):
        explorer.explore()

    assert len(explorer.pool) == 3
    assert all(len(program.operations) >= 10 for program in explorer.pool)


def test_what_was_given_is_varied() -> None:
    """A scenario comes up again, whole or with something left out."""
    given = Program([Store(value=n) for n in range(1, 9)])
    histories: list[History] = []

    run_explorer(boot, probe(boot), histories.append, Budget(20, 10), 0, [given])

    begin = [h.program.operations[:5] for h in histories]
    like = [ops for ops in begin if set(ops) <= set(given.operations)]
    assert len(like) > 2
    assert any(ops != given.operations[:5] for ops in like)


def test_only_what_callers_may_do_is_varied() -> None:
    """Misuse is for programs of its own; and the stack must be able to run it."""
    capabilities = attrs.evolve(probe(boot), parameters={})

    programs = beginnings_for(SCENARIOS, probe(boot))

    assert len(programs) > 100
    assert not any(program.misuse for program in programs)
    assert beginnings_for(SCENARIOS, capabilities) == []


def test_states_are_counted_once() -> None:
    """Nothing is new in a program that was made before."""
    explorer = Explorer(boot, probe(boot), lambda _: None, 10)
    explorer.explore()
    seen = explorer.states
    explorer._random.seed(0)
    explorer.pool.clear()
    explorer.performed.clear()

    explorer.explore()

    assert explorer.states == seen > 1


def test_a_program_ends_where_nothing_can_be_done() -> None:
    """A stack that offers next to nothing is explored, too, and nothing hangs."""
    nothing = attrs.evolve(probe(boot), parameters={"thaw": frozenset[str]()})
    histories: list[History] = []

    run_explorer(boot, nothing, histories.append, Budget(3, 20), 0)

    assert [h.program.operations[: h.drawn] for h in histories] == [()] * 3
