"""Random programs, randomly scheduled: nothing breaks, leaks or hangs.

Verified: writable means dirty, whoever pins for writing has a dirty page, every
promise and reference is accounted for, no block is unreadable at any moment, every
call ends in the epilogue, and memory and disk agree after the last fsync.
Not verified: which values may be read when; that is the oracle's.
"""

import pytest

from conformance.interface import Feature
from tests.reference_impl.wander import FEATURE_SETS, wander


def names(features: frozenset[Feature]) -> str:
    """Name a set of features in the id of a test."""
    return "+".join(sorted(feature.value for feature in features)) or "default"


@pytest.mark.parametrize("features", FEATURE_SETS, ids=names)
def test_a_few_random_programs(features: frozenset[Feature]) -> None:
    """Three for each kind of stack."""
    for seed in range(3):
        wander(seed, features)


@pytest.mark.parametrize("folio_pages", [2, 4])
def test_a_few_random_programs_with_large_folios(folio_pages: int) -> None:
    """Four for each kind of stack; some of them split a folio."""
    points: set[str] = set()
    for features in FEATURE_SETS:
        for seed in range(4):
            points |= wander(seed, features, folio_pages=folio_pages).points

    assert {"split.folio_frozen", "split.folio_split"} <= points


@pytest.mark.slow
@pytest.mark.parametrize("folio_pages", [2, 4])
@pytest.mark.parametrize("features", FEATURE_SETS, ids=names)
def test_many_random_programs_with_large_folios(
    features: frozenset[Feature], folio_pages: int
) -> None:
    """Fifty for each kind of stack."""
    for seed in range(100, 150):
        wander(seed, features, folio_pages=folio_pages)


@pytest.mark.slow
@pytest.mark.parametrize("features", FEATURE_SETS, ids=names)
def test_many_random_programs(features: frozenset[Feature]) -> None:
    """A hundred for each kind of stack."""
    for seed in range(100, 200):
        wander(seed, features)
