"""Large folios: one reference count for several pages."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
