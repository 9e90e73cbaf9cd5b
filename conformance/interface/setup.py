"""What the suite asks of a stack when it boots one.

A stack *offers* a feature that can be switched on, and *has fixed* one that is
always on. It says so with two attributes of the booted stack, both optional:
`features_offered` and `features_fixed` (see `stack.py`). The suite never asks for
a feature that is not offered.
"""

from collections.abc import Callable, Iterable
from enum import Enum

import attrs

from conformance.interface.events import Event
from conformance.interface.values import Geometry


class Feature(Enum):
    """A property of the filesystem or of the disk that changes what is demanded."""

    CHECKSUMS = "checksums"
    """Data is checksummed; reading a block that does not match fails with EIO."""
    ENCRYPTION = "encryption"
    """Data is encrypted on its way to the disk."""
    PARITY = "parity"
    """Data is kept with parity over stripes, and read through it when scrubbed."""
    COPY_ON_WRITE = "copy_on_write"
    """Every write of a block goes to a new block. Implied by CHECKSUMS."""
    STABLE_WRITES = "stable_writes"
    """The disk demands that content does not change during a write."""
    NO_DIRTY_TRACKING = "no_dirty_tracking"
    """File pages have no disk behind them and are never written back (tmpfs)."""
    SMALL_LIMITS = "small_limits"
    """`Geometry.refcount_max` and `Geometry.pin_bias` are obeyed as given."""
    VOLATILE_CACHE = "volatile_cache"
    """The disk answers before data is safe; a flush makes it so."""


def _features(given: Iterable[Feature]) -> frozenset[Feature]:
    return frozenset(given)


@attrs.frozen
class Setup:
    """How a stack is to be booted."""

    geometry: Geometry = attrs.field(factory=Geometry)
    features: frozenset[Feature] = attrs.field(default=frozenset(), converter=_features)
    tell: Callable[[Event], None] | None = attrs.field(
        default=None, eq=False, repr=False
    )
    """Where a stack that emits events sends them; None: nobody listens."""

    def has(self, feature: Feature) -> bool:
        """Whether the suite asks for this feature."""
        return feature in self.features
