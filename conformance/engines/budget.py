"""How much is drawn: the same for every engine that draws programs."""

import attrs


@attrs.frozen
class Budget:
    """How many programs are drawn, and how long they are."""

    programs: int = 60
    operations: int = 40
    """About this many in each; those that look at the result come on top."""
