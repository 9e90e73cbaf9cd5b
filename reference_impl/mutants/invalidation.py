"""Truncate, punch, unmap and reuse while pages are pinned."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
