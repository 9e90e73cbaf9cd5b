"""Every mutant, chapter by chapter."""

from reference_impl.mutants import (
    bounce,
    counters,
    dirty,
    gup_writeback,
    liveness,
    longterm,
    mkwrite,
    references,
    writeback,
)
from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *mkwrite.MUTANTS,
    *gup_writeback.MUTANTS,
    *writeback.MUTANTS,
    *bounce.MUTANTS,
    *dirty.MUTANTS,
    *references.MUTANTS,
    *counters.MUTANTS,
    *longterm.MUTANTS,
    *liveness.MUTANTS,
)

BY_NAME: dict[str, Mutant] = {mutant.name: mutant for mutant in MUTANTS}
