"""Devices that follow page-table changes and hold no pin."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
