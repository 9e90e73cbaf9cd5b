"""Whatever a program has left behind, what can be drawn then can be performed."""

import pytest

from conformance.engines.drawing import Choice
from conformance.engines.scenario_run import probe
from conformance.engines.vocabulary import Vocabulary
from conformance.interface import (
    OPERATIONS,
    Exit,
    FillDisk,
    Freeze,
    Munmap,
    Operation,
    Umount,
    Unlink,
)
from conformance.oracle.history import History
from conformance.program import Program
from reference_impl import boot

CAPABILITIES = probe(boot)
LEFT_WITH_LITTLE = [
    (Unlink(),),
    (Munmap(), Unlink()),
    (Exit(),),
    (Exit(), Unlink()),
    (Umount(),),
    (Exit(), Umount()),
    (FillDisk(), Unlink()),
    (Freeze(), Munmap()),
]


def first_of(field: str, choice: Choice) -> object:
    """Give a field the first value that it may have."""
    return choice.among[0]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_drawn_only_where_it_can_be(name: str) -> None:
    """A scenario takes away what a drawn program would leave, such as the only file."""
    for before in LEFT_WITH_LITTLE:
        histories: list[History] = []
        machine = Vocabulary(boot, CAPABILITIES, histories.append)
        machine.start_program(Program(before))
        for operation in before:
            machine.perform(operation)
        if machine.can_draw(name):
            machine.draw(name, first_of)
        machine.end()

        (history,) = histories
        asked: tuple[Operation, ...] = history.program.operations
        assert asked[: len(before)] == before
        assert history.crash is None
