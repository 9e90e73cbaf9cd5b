"""Direct I/O: the first user of get_user_pages."""

from reference_impl.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
