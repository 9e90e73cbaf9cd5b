"""Hypothesis over packed programs.

It draws one byte string for a whole program instead of some values for each operation,
which is many times faster than a state machine, and it can still shrink, store and
mutate what it has drawn.

To fuzz a stack of your own from a test of your own:

    test_my_stack = packed_test(mymodule.boot)

It fails with a program that violates a rule which the document calls a MUST, made small
by our own shrinker: Hypothesis would take minutes over the bytes.

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
from conformance.engines.execution import BootError
from conformance.engines.judge import judge
from conformance.engines.running import run
from conformance.engines.shrink import Bound, shrink
from conformance.interface import Boot, Setup
from conformance.oracle.history import History
from conformance.program import Program, as_python
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Rule
from conformance.verdicts import Level, Promise

SHRINK_SECONDS = 10.0
"""How long a program may be made small."""
DRAWING = (Phase.explicit, Phase.reuse, Phase.generate)
"""What Hypothesis does by default. To shrink bytes takes it hundreds of runs, each many
times slower than the others, as it traces all lines to explain what failed."""
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
    the implementation does what the contract forbids, and shows a small one that does.

    Args:
        boot: the implementation.
        rules: what is judged.
        promise: by which the rules are judged.
        operations: slots in a program.
        how: Hypothesis's settings, where those of the profile will not do; a deadline
            is of no use. HypoFuzz leaves out what suppresses `nested_given`.
    """
    how = how or settings(
        deadline=None,
        suppress_health_check=TOO_MUCH,
        phases=DRAWING,
        report_multiple_bugs=False,
    )
    judged = [rule for rule in rules if rule.level(promise) is Level.MUST]
    size = size_of(operations)
    shown: dict[str, str] = {}

    @how
    @given(packed=st.binary(min_size=size, max_size=size))
    def test_packed(packed: bytes) -> None:
        def on_history(history: History) -> None:
            found = _found(history, judged, promise)
            for what in list(found)[:1]:
                # Whoever shrinks the bytes comes here often: once is enough.
                if what not in shown:
                    shown[what] = _smallest(
                        boot, history.program, what, judged, promise
                    )
                raise AssertionError(shown[what])

        stack = boot(Setup())
        PackedMachine(boot, capabilities_of(stack, Setup().geometry), on_history).run(
            packed
        )

    return test_packed


def _found(history: History, rules: Iterable[Rule], promise: Promise) -> dict[str, str]:
    """Return what went wrong in one history, by rule or by sort of crash."""
    judgement = judge(history, rules, promise)
    if judgement.crash is not None:
        return {judgement.crash.sort: judgement.crash.message}
    return {
        rule: f"{rule}: {outcome.findings[0].sentence}"
        for rule, outcome in judgement.outcomes.items()
        if outcome.findings
    }


def _smallest(
    boot: Boot, program: Program, what: str, rules: Iterable[Rule], promise: Promise
) -> str:
    """Return what a small program shows of a rule or crash, and the program."""
    concerned = [rule for rule in rules if rule.id == what]

    def found(candidate: Program) -> str | None:
        try:
            return _found(run(boot, candidate), concerned, promise).get(what)
        except BootError:
            return None

    bound = Bound(seconds=SHRINK_SECONDS)
    small = shrink(program, lambda each: found(each) is not None, bound).program
    sentence = found(small) or f"{what} (did not repeat when the program was run again)"
    return f"{sentence}\n\nprogram = {as_python(small)}"
