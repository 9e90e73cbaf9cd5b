"""What a mutant is: a stack with one lie in it.

A mutant is the reference with one method, or two, of one layer replaced. It is
self-consistent: it is caught by a rule, never by an assert of the model. The class's
docstring tells the lie, and the historical bug if there was one.
"""

import attrs

from conformance.interface import Boot


@attrs.frozen
class Mutant:
    """A faulty variant of the reference."""

    name: str
    """`chapter.what_it_does`, as in `--gup-impl=mutant:NAME`."""
    violates: tuple[str, ...]
    """Ids of all rules that it violates in the scenarios, no more and no less; the
    first is the one it was made for."""
    boot: Boot
    lie: str
    """What it does wrong, in a sentence."""
    origin: str = ""
    """The historical bug or the defect of the 2019 series, where there is one."""
    also: tuple[str, ...] = ()
    """Ids of rules that the lie breaks in programs that no scenario has, other than
    by losing data; see `consequences.py`."""
