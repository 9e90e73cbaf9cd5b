"""The shrinker: what it returns cannot lose one thing more."""

from hypothesis import given, strategies as st

from conformance.engines.shrink import shrink
from conformance.interface import Feature, Fsync, Load, Operation, Setup, Store
from conformance.program import Preempt, Program


@given(st.lists(st.sampled_from("slf"), max_size=30), st.integers(1, 3))
def test_the_result_is_minimal(letters: list[str], wanted: int) -> None:
    """Exactly the operations that the failure needs are left."""
    kinds: dict[str, Operation] = {"s": Store(), "l": Load(), "f": Fsync()}
    program = Program(tuple(kinds[letter] for letter in letters))

    def fails(candidate: Program) -> bool:
        return candidate.operations.count(Store()) >= wanted

    small = shrink(program, fails) if fails(program) else None

    assert small is None or small.operations == (Store(),) * wanted


def test_schedule_and_features_go_too() -> None:
    """What is not needed is not shown."""
    program = Program(
        (Store(), Load()),
        Setup(features={Feature.CHECKSUMS}),
        (Preempt(call=0, at="fault.pte_set"),),
    )

    small = shrink(program, lambda candidate: Load() in candidate.operations)

    assert small == Program((Load(),))


def test_the_bound_is_kept() -> None:
    """A shrink that would take for ever stops and returns what it has."""
    tried = []

    def fails(candidate: Program) -> bool:
        tried.append(candidate)
        return False

    program = Program((Store(),) * 50)

    assert shrink(program, fails, runs_max=7) == program
    assert len(tried) == 7
