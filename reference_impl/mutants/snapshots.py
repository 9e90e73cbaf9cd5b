"""Snapshots, clones, dedupe: content that must not change afterwards."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
