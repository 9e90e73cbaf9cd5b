"""What kind of filesystem it is, as the setup asks for it.

Interface:
  * `Traits.of(setup)`; the rest are answers.
"""

import attrs

from conformance.interface import Feature, Setup


@attrs.frozen
class Traits:
    """What kind of filesystem it is."""

    has_checksums: bool
    has_encryption: bool
    is_copy_on_write: bool
    is_tracked: bool
    """Its pages are written back; false for tmpfs."""
    needs_stable_pages: bool
    """Content must not change while the disk may look at it."""

    @classmethod
    def of(cls, setup: Setup) -> "Traits":
        """Read the kind of filesystem from the setup."""
        checksums = setup.has(Feature.CHECKSUMS)
        stable = (Feature.CHECKSUMS, Feature.PARITY, Feature.STABLE_WRITES)
        return cls(
            has_checksums=checksums,
            has_encryption=setup.has(Feature.ENCRYPTION),
            is_copy_on_write=checksums or setup.has(Feature.COPY_ON_WRITE),
            is_tracked=not setup.has(Feature.NO_DIRTY_TRACKING),
            needs_stable_pages=any(setup.has(feature) for feature in stable),
        )
