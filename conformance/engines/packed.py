"""Hypothesis over packed programs.

It draws one byte string for a whole program instead of some values for each operation,
which is many times faster than a state machine, and it can still shrink, store and
mutate what it has drawn.

To fuzz a stack of your own from a test of your own:

    test_my_stack = packed_test(mymodule.boot)

It fails with the first program that violates a rule which the document calls a MUST.

Interface:
  * `run_packed(boot, capabilities, on_history, budget, seed)` has Hypothesis draw
    packed programs.
  * `packed_test(boot)` returns a Hypothesis test, for pytest and for fuzzers that
    collect such tests.
"""

from collections.abc import Callable, Iterable

from hypothesis import (
    HealthCheck,
    Phase,
    given,
    seed as with_seed,
    settings,
    strategies as st,
)

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities, capabilities_of
from conformance.engines.decoding import PackedMachine, size_of
from conformance.engines.judge import judge
from conformance.interface import Boot, Setup
from conformance.oracle.history import History
from conformance.program import as_python
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Rule
from conformance.verdicts import Level, Promise

TOO_MUCH = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)
"""A program is long, and takes its time."""


def run_packed(
    boot: Boot,
    capabilities: Capabilities,
    on_history: Callable[[History], None],
    budget: Budget = Budget(),
    seed: int = 0,
) -> None:
    """Have Hypothesis draw packed programs; hand over the history of each."""

    def test(packed: bytes) -> None:
        PackedMachine(boot, capabilities, on_history).run(packed)

    size = size_of(budget.operations)
    drawn = given(packed=st.binary(min_size=size, max_size=size))(test)
    with_seed(seed)(
        settings(
            max_examples=budget.programs,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )(drawn)
    )()


def packed_test(
    boot: Boot,
    rules: Iterable[Rule] = RULES,
    promise: Promise = Promise.DOCUMENT,
    operations: int = Budget().operations,
    how: settings | None = None,
) -> Callable[[], None]:
    """Return a Hypothesis test of an implementation, to be collected by pytest.

    It raises `AssertionError` for the first program that violates a MUST, or in which
    the implementation does what the contract forbids; Hypothesis makes it small.

    Args:
        boot: the implementation.
        rules: what is judged.
        promise: by which the rules are judged.
        operations: slots in a program.
        how: Hypothesis's settings, where those of the profile will not do; a deadline
            is of no use. HypoFuzz leaves out what suppresses `nested_given`.
    """
    how = how or settings(deadline=None, suppress_health_check=TOO_MUCH)
    judged = [rule for rule in rules if rule.level(promise) is Level.MUST]
    size = size_of(operations)

    @how
    @given(packed=st.binary(min_size=size, max_size=size))
    def test_packed(packed: bytes) -> None:
        def on_history(history: History) -> None:
            _raise_if_violated(history, judged, promise)

        stack = boot(Setup())
        PackedMachine(boot, capabilities_of(stack, Setup().geometry), on_history).run(
            packed
        )

    return test_packed


def _raise_if_violated(
    history: History, rules: Iterable[Rule], promise: Promise
) -> None:
    judgement = judge(history, rules, promise)
    program = f"program = {as_python(history.program)}"
    assert judgement.crash is None, f"{judgement.crash.message}\n\n{program}"
    for rule, outcome in judgement.outcomes.items():
        assert not outcome.findings, (
            f"{rule}: {outcome.findings[0].sentence}\n\n{program}"
        )
