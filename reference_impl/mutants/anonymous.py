"""Stacks that lose anonymous pages to a device, or show them to the wrong process."""

from reference_impl.mutants import anonymous_fork, anonymous_grants, anonymous_pages
from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *anonymous_fork.MUTANTS,
    *anonymous_pages.MUTANTS,
    *anonymous_grants.MUTANTS,
)
