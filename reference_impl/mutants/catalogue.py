"""Every mutant, chapter by chapter."""

import attrs

from reference_impl.mutants import (
    anonymous,
    bounce,
    counters,
    direct_io,
    dirty,
    folios,
    gup_writeback,
    invalidation,
    liveness,
    longterm,
    mkwrite,
    notifiers,
    references,
    snapshots,
    writeback,
)
from reference_impl.mutants.consequences import CONSEQUENCES
from reference_impl.mutants.mutant import Mutant

_CHAPTERS: tuple[Mutant, ...] = (
    *mkwrite.MUTANTS,
    *gup_writeback.MUTANTS,
    *writeback.MUTANTS,
    *bounce.MUTANTS,
    *dirty.MUTANTS,
    *references.MUTANTS,
    *counters.MUTANTS,
    *longterm.MUTANTS,
    *snapshots.MUTANTS,
    *anonymous.MUTANTS,
    *notifiers.MUTANTS,
    *direct_io.MUTANTS,
    *invalidation.MUTANTS,
    *folios.MUTANTS,
    *liveness.MUTANTS,
)

MUTANTS: tuple[Mutant, ...] = tuple(
    attrs.evolve(mutant, also=CONSEQUENCES.get(mutant.name, ())) for mutant in _CHAPTERS
)

BY_NAME: dict[str, Mutant] = {mutant.name: mutant for mutant in MUTANTS}
