"""What all operations have in common."""

from typing import ClassVar

import attrs


@attrs.frozen
class BaseOperation:
    """One operation of a program."""

    name: ClassVar[str]
    """The name of the stack's method."""
