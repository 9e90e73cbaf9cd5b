"""The state machine: no operation starves, and it can be made another."""

import pytest

from conformance.engines.budget import Budget
from conformance.engines.drawing import DRAWINGS
from conformance.engines.execution import run
from conformance.engines.groups import GROUPS
from conformance.engines.scenario_run import probe
from conformance.engines.stateful import (
    ConformanceMachine,
    run_stateful,
)
from conformance.engines.timeline import timeline
from conformance.interface import OPERATIONS
from conformance.oracle.history import History
from reference_impl import boot
from tests.conformance.engines.shares import starving

SEEDS = range(50)
"""Many short runs: Hypothesis makes programs of one run out of each other, so that a
long one tells little more about the shares than a short one."""


def drawn(
    budget: Budget, seed: int, machine: type[ConformanceMachine]
) -> list[History]:
    """Run the machine on the reference and return what happened."""
    histories: list[History] = []
    run_stateful(boot, probe(boot), histories.append, budget, seed, machine)
    return histories


def test_every_operation_can_be_drawn() -> None:
    """Each has a way to be drawn, and a group to be drawn in."""
    grouped = {name for group in GROUPS for name in group}

    assert set(DRAWINGS) == set(OPERATIONS) == grouped


@pytest.mark.slow
def test_no_operation_starves() -> None:
    """Whatever the reference offers is executed often enough, and seldom skipped."""
    histories = [
        history
        for seed in SEEDS
        for history in drawn(Budget(10, 50), seed, ConformanceMachine)
    ]

    assert starving(histories) == set()


def test_the_same_seed_draws_the_same_programs() -> None:
    """A run can be repeated."""
    budget = Budget(5, 20)

    first = drawn(budget, 7, ConformanceMachine)
    second = drawn(budget, 7, ConformanceMachine)
    other = drawn(budget, 8, ConformanceMachine)

    assert [h.program for h in first] == [h.program for h in second]
    assert [h.program for h in first] != [h.program for h in other]


class _NoStore(ConformanceMachine):
    """Leaves an operation out, as a user might."""

    def wants(self, name: str) -> bool:
        return name != "store" and super().wants(name)


def test_a_subclass_leaves_operations_out() -> None:
    """The machine is there to be subclassed."""
    names = {
        call.operation.name
        for history in drawn(Budget(15, 30), 0, _NoStore)
        for call in history.calls
    }

    assert "load" in names
    assert "store" not in names


@pytest.mark.slow
def test_drawn_programs_run_again_as_stored() -> None:
    """A program that was drawn step by step is a program like any other."""
    for history in drawn(Budget(30, 40), 3, ConformanceMachine):
        again = run(boot, history.program)

        assert timeline(again) == timeline(history)
