"""The stateful test: a Hypothesis state machine over the whole vocabulary.

This is the readable face of the random search. The machine performs a few operations
of one group, then of another. An operation is drawn only when the stack offers it and
there is something that it can be done to, and performed at once, so that the next one
sees the answer. The
machine raises nothing: what was violated is written to the tally, so that one
violated rule does not hide another.

To write your own, subclass `ConformanceMachine` and add rules, or override `wants`
to leave operations out:

    class NoTruncate(ConformanceMachine):
        def wants(self, name: str) -> bool:
            return name != "truncate" and super().wants(name)

Interface:
  * `run_stateful(boot, budget, seed, on_history)` draws programs and runs them;
    `on_history` is called with the history of each.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import attrs
from hypothesis import HealthCheck, Phase, seed as with_seed, settings, strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from conformance.engines.capabilities import Capabilities
from conformance.engines.drawing import DRAWINGS
from conformance.engines.drawn_devices import DeviceMachine, GupMachine, MirrorMachine
from conformance.engines.drawn_files import FileMachine, FilesystemMachine
from conformance.engines.drawn_memory import MemoryMachine, PressureMachine
from conformance.engines.groups import GROUPS
from conformance.engines.machine import StackMachine, pick
from conformance.interface import Boot
from conformance.oracle.history import History

MEAN_GROUP = 4
"""Operations that one rule of the machine performs, on the average."""


@attrs.frozen
class Budget:
    """How many programs are drawn, and how long they are."""

    programs: int = 60
    operations: int = 40
    """About this many; a program ends with the group in which it is reached."""


PICKS = st.lists(st.integers(0, 2**16 - 1), min_size=2, max_size=7)
"""Which operations of a group are done in a row: even, any of those that can be; odd,
one of those that the program has done least."""


def scattered(which: int) -> int:
    """Return another number for each number, so that none is drawn more often.

    Hypothesis likes some: small ones, and constants that it has seen in the code.
    """
    return ((which + 1) * 2_654_435_761 >> 7) & 0xFFFF


class ConformanceMachine(
    FileMachine,
    FilesystemMachine,
    MemoryMachine,
    PressureMachine,
    GupMachine,
    DeviceMachine,
    MirrorMachine,
):
    """Draws every operation of the vocabulary, a few of one group in a row.

    One at a time, what needs a pin or a held disk would hardly ever come up twice.
    Each program leaves some operations out (`start`), so that the others meet more
    often.
    """

    @rule(group=st.sampled_from(GROUPS), picks=PICKS, data=st.data())
    def work(self, group: Sequence[str], picks: list[int], data: st.DataObject) -> None:
        """Perform a few operations of a group, of those that can be done."""
        for which in picks:
            possible = [name for name in group if self._can_draw(name)]
            if not possible:
                return
            if which % 2:
                possible = self._least_used(possible)
            drawing = DRAWINGS[pick(possible, scattered(which))]
            drawn = {
                name: data.draw(strategy)
                for name, strategy in drawing.arguments.items()
            }
            drawing.method(self, **drawn)

    def _least_used(self, names: list[str]) -> list[str]:
        """Return those that this program has performed least often."""
        used = Counter(call.operation.name for call in self.running.history.calls)
        least = min(used[name] for name in names)
        return [name for name in names if used[name] == least]

    def _can_draw(self, name: str) -> bool:
        return self.wants(name) and bool(DRAWINGS[name].can(self))


def run_stateful(
    boot: Boot,
    capabilities: Capabilities,
    on_history: Callable[[History], None],
    budget: Budget = Budget(),
    seed: int = 0,
    machine: type[StackMachine] = ConformanceMachine,
) -> None:
    """Draw programs, run them, and hand over the history of each."""

    def make() -> StackMachine:
        return machine(boot, capabilities, on_history)

    run_state_machine_as_test(
        with_seed(seed)(make),  # type: ignore[arg-type]  # its docs allow a factory
        settings=settings(
            max_examples=budget.programs,
            stateful_step_count=max(1, budget.operations // MEAN_GROUP),
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
