"""The setups that a search boots."""

from collections import Counter

from conformance.engines.setups import (
    FEATURE_SETS,
    LIMITS,
    SIZES,
    offered_part,
    setup_of,
)
from conformance.interface import Feature, Geometry, Setup

ALL = frozenset(Feature)


def test_zeros_mean_the_plain_setup() -> None:
    """What a search shrinks to has nothing special."""
    plain = setup_of(FEATURE_SETS.at(0), SIZES.at(0), LIMITS.at(0))

    assert plain == Setup()


def test_every_feature_and_every_pair_is_drawn_but_half_have_none() -> None:
    """No byte is needed that a choice does not have."""
    counts = Counter(len(features) for features in FEATURE_SETS.among)

    assert len(FEATURE_SETS.among) <= 256
    assert {f for features in FEATURE_SETS.among for f in features} == ALL
    assert counts[0] > counts[1] > counts[2] > 0


def test_limits_are_set_only_where_they_are_obeyed() -> None:
    """They come with the feature, and the feature with the offer."""
    small = setup_of(frozenset({Feature.SMALL_LIMITS}), Geometry(), (63, 16))

    assert small.geometry.pin_bias == 16
    assert offered_part(small, ALL) == small
    assert offered_part(small, frozenset()) == Setup()
    assert setup_of(frozenset(), Geometry(), (63, 16)) == Setup()
