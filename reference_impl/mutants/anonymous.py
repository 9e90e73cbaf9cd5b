"""Anonymous memory: fork, copy on write, and pins that must not lose their page."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
