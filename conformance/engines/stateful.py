"""The stateful test: a Hypothesis state machine over the whole vocabulary.

This is the readable face of the random search. The machine performs a few operations
of one group, then of another. An operation is drawn only when the stack offers it and
there is something that it can be done to, and performed at once, so that the next one
sees the answer. The machine raises nothing: what was violated is written to the tally,
so that one violated rule does not hide another.

To write your own, subclass `ConformanceMachine` and add rules, or override `wants`
to leave operations out:

    class NoTruncate(ConformanceMachine):
        def wants(self, name: str) -> bool:
            return name != "truncate" and super().wants(name)

Interface:
  * `run_stateful(boot, capabilities, on_history, budget, seed)` draws programs and
    runs them; `on_history` is called with the history of each.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, seed as with_seed, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.decoding import ALWAYS, NAMES
from conformance.engines.drawing import Choice
from conformance.engines.groups import GROUPS
from conformance.engines.setups import FEATURE_SETS, LIMITS, SIZES, setup_of
from conformance.engines.vocabulary import Vocabulary
from conformance.interface import OPERATIONS, Boot
from conformance.oracle.history import History

MEAN_GROUP = 4
"""Operations that one rule of the machine performs, on the average."""

PICKS = st.lists(st.integers(0, 2**16 - 1), min_size=2, max_size=7)
"""Which operations are done in a row: one of all that the program has done least, or,
one time in three, any of the group."""

SELDOM = (
    *("mirror_read", "mirror_write", "device_abort", "device_complete", "unlink") * 4,
    *("dontneed", "thaw", "pageout", "free_disk", "put_user_pages_dirty_lock") * 3,
    *("device_write", "direct_read", "punch_hole", "set_page_dirty_lock", "split") * 2,
    *("evict", "put_user_pages_dirty", "put_user_pages", "migrate", "sync") * 2,
    *("clone", "flush_disk", "steal", "writeback", "direct_write", "device_transfer"),
    *("load", "put_user_page"),
)
"""What comes up seldom, since it takes more than others: one time in three any of these
that the program has not done, if there is one."""
SELDOM_OF = 3


SETUPS = st.builds(
    setup_of,
    st.sampled_from(FEATURE_SETS.among),
    st.sampled_from(SIZES.among),
    st.sampled_from(LIMITS.among),
)


def rotated(names: Sequence[str], which: int) -> list[str]:
    """Return names, beginning anywhere.

    Hypothesis likes some numbers: small ones, and constants that it has seen in the
    code. So another is made of each first.
    """
    scattered = ((which + 1) * 2_654_435_761 >> 7) & 0xFFFF
    first = scattered % max(1, len(names))
    return [*names[first:], *names[:first]]


class ConformanceMachine(Vocabulary, RuleBasedStateMachine):
    """Draws every operation of the vocabulary, a few of one group in a row.

    One at a time, what needs a pin or a held disk would hardly ever come up twice.
    Each program leaves some operations out (`start`), so that the others meet more
    often.
    """

    @initialize(
        setup=SETUPS,
        left_out=st.sets(
            st.sampled_from(sorted(OPERATIONS.keys() - ALWAYS)), max_size=8
        ),
    )
    def start(self, **drawn: Any) -> None:  # noqa: ANN401 - see `begin`
        """Boot a stack with some of its features; leave some operations out."""
        self.begin(**drawn)

    @rule(group=st.sampled_from(GROUPS), picks=PICKS, data=st.data())
    def work(self, group: Sequence[str], picks: list[int], data: st.DataObject) -> None:
        """Perform a few operations of a group, of those that can be done."""

        def argument(_: str, choice: Choice) -> object:
            return data.draw(st.sampled_from(choice.among))

        for which in picks:
            names = rotated(NAMES if which % 3 else group, which)
            if which % 3:
                first = SELDOM if which // 3 % SELDOM_OF == 0 else ()
                names = sorted(
                    (*rotated(first, which), *names), key=self.used.__getitem__
                )
            self.reach_first(names, argument)

    def teardown(self) -> None:
        """Look at everything that was written, and hand over the history."""
        self.end()


def run_stateful(
    boot: Boot,
    capabilities: Capabilities,
    on_history: Callable[[History], None],
    budget: Budget = Budget(),
    seed: int = 0,
    machine: type[ConformanceMachine] = ConformanceMachine,
) -> None:
    """Draw programs, run them, and hand over the history of each."""

    def make() -> ConformanceMachine:
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
