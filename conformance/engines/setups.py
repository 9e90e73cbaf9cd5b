"""The setups that a search boots.

Most defects need no feature of the filesystem or of the disk, some need one, hardly any
needs three; and a feature such as missing dirty tracking takes half of the catalogue
out of sight. So a setup is plain, as often as not, and seldom has more than two.

Interface:
  * `FEATURE_SETS`, `SIZES` and `LIMITS` are what a setup is drawn from, the plain ones
    first.
  * `setup_of(features, sizes, limits)` puts one together.
  * `offered_part(setup, offered)` leaves out what a stack does not offer.
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
    features: frozenset[Feature], sizes: Geometry, limits: tuple[int, int]
) -> Setup:
    """Return a setup; the limits count where the stack is to obey them."""
    if Feature.SMALL_LIMITS in features:
        refcount_max, pin_bias = limits
        sizes = attrs.evolve(sizes, refcount_max=refcount_max, pin_bias=pin_bias)
    return Setup(sizes, features)


def offered_part(setup: Setup, offered: frozenset[Feature]) -> Setup:
    """Return a setup without the features that a stack does not offer."""
    features = setup.features & offered
    sizes = setup.geometry
    if Feature.SMALL_LIMITS not in features:
        usual = Geometry()
        sizes = attrs.evolve(
            sizes, refcount_max=usual.refcount_max, pin_bias=usual.pin_bias
        )
    return Setup(sizes, features)
