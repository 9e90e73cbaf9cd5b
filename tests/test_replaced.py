"""What a variant replaces is found, so that leaving out the rest loses nothing."""

from functools import partial
from types import FunctionType

import pytest

from conformance.engines.execution import run
from conformance.interface import Boot
from reference_impl import boot
from reference_impl.layers import Parts
from reference_impl.mutants.catalogue import BY_NAME, MUTANTS
from reference_impl.writeback import Writeback
from tests.likeness import Likeness, trace
from tests.replaced import entered, replaced


class _Protects(Writeback):
    """One method of its own, and a helper."""

    protect = Writeback.clean  # type: ignore[assignment]

    def helper(self) -> None:
        """Nothing that the reference has."""


class _ProtectsFurther(_Protects):
    """Two methods, one of them by way of its base."""

    submit = Writeback.clean  # type: ignore[assignment]


class _StartsOtherwise(Writeback):
    """A layer that is made in another way."""

    def __init__(self, *args: object) -> None:
        """Make nothing of it."""


def _boot(cls: type[Writeback]) -> Boot:
    return partial(boot, parts=Parts(make_writeback=cls))


def _codes(*functions: object) -> frozenset[object]:
    assert all(isinstance(each, FunctionType) for each in functions)
    return frozenset(getattr(each, "__code__", None) for each in functions)


def test_what_a_class_overrides_is_found() -> None:
    """What only the variant has is none of the reference's business."""
    assert replaced(_boot(_Protects)) == _codes(Writeback.protect)


def test_what_its_base_overrides_is_found() -> None:
    """A mutant may be made from another."""
    both = _codes(Writeback.protect, Writeback.submit)

    assert replaced(_boot(_ProtectsFurther)) == both


def test_what_cannot_be_told_is_not_guessed() -> None:
    """Other makers, other entries: everything may differ."""
    made = partial(boot, parts=Parts(make_writeback=partial(Writeback)))

    assert replaced(made) is None
    assert replaced(boot) is None


def test_a_constructor_is_entered_always() -> None:
    """So a variant that is made otherwise is run on every scenario."""
    made = _codes(Writeback.__init__)

    assert replaced(_boot(_StartsOtherwise)) == made
    assert all(made <= known.code for known in Likeness().known)


def test_of_every_mutant_it_can_be_told() -> None:
    """Otherwise the matrix takes twice the time."""
    assert [mutant.name for mutant in MUTANTS if not replaced(mutant.boot)] == []


def test_code_that_is_entered_is_seen() -> None:
    """That of generators, too; and nothing else."""

    def inner() -> int:
        return 1

    def outer() -> list[int]:
        return [inner() for _ in range(2)]

    result, codes = entered(outer)

    assert result == [1, 1]
    assert _codes(outer, inner) <= codes
    assert not codes & _codes(_codes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mkwrite.misses_every_fourth",
        "references.puts_the_first_page_twice",
        "folios.splits_pinned_folios",
        "snapshots.promises_one_for_shared_blocks",
    ],
)
def test_what_is_left_out_is_alike(name: str) -> None:
    """A mutant that is run on every scenario differs where it is run on a few."""
    other = BY_NAME[name].boot
    likeness = Likeness()
    differing = [
        known.scenario
        for known in likeness.known
        if trace(run(other, known.scenario.program)) != known.trace
    ]

    assert [scenario for scenario, _ in likeness.unlike(other)] == differing != []
