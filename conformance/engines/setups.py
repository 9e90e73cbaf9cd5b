"""The setups that a search boots.

Most defects need no feature of the filesystem or of the disk, some need one, hardly any
needs three; and a feature such as missing dirty tracking takes half of the catalogue
out of sight. So a setup is plain, as often as not, and seldom has more than two.

Interface:
  * `FEATURE_SETS`, `SIZES` and `LIMITS` are what a setup is drawn from, the plain ones
    first.
  * `setup_of(features, sizes, limits, offered)` puts one together.
"""

from itertools import combinations

import attrs

from conformance.engines.drawing import one_of
from conformance.interface import Feature, Geometry, Setup

SINGLE, PAIRS = (
    [frozenset(each) for each in combinations(Feature, count)] for count in (1, 2)
)
FEATURE_SETS = one_of(*[frozenset[Feature]()] * 64, *SINGLE * 5, *PAIRS)
"""Half of the time none, a third of the time one."""
SIZES = one_of(
    *[Geometry()] * 8,
    *[Geometry(folio_pages=2)] * 3,
    Geometry(folio_pages=4),
    *[Geometry(movable_pages=16)] * 3,
    Geometry(folio_pages=2, movable_pages=16),
)
LIMITS = one_of((63, 16), (2**31 - 1, 8), (127, 8), (15, 4))
"""The largest reference count and the bias of a pin, where a stack obeys them."""


def setup_of(
    features: frozenset[Feature],
    sizes: Geometry,
    limits: tuple[int, int],
    offered: frozenset[Feature],
) -> Setup:
    """Return a setup: of the features, those that the stack offers."""
    features &= offered
    if Feature.SMALL_LIMITS in features:
        refcount_max, pin_bias = limits
        sizes = attrs.evolve(sizes, refcount_max=refcount_max, pin_bias=pin_bias)
    return Setup(sizes, features)
