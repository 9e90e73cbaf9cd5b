"""Packed programs: one byte string of a fixed length, decoded while it runs.

What a byte means depends on what exists when its turn comes, so that few operations
are skipped.

    header   1 byte   features
             1 byte   sizes
             1 byte   limits of counts, where the stack obeys them
             1 byte   how often the thing that was used last is used again, and among
                      how many things there is a choice
             2 bytes  theme, or none
             8 bytes  without a theme: operations left out, a bit for each
    slot     1 byte   operation; 0: none, so that what shrinks to zero is gone
             5 bytes  a number, of which its fields, and a park, are the digits

Interface:
  * `PackedMachine(...).run(packed)` decodes, runs, and hands over the history.
  * `size_of(operations)` is the length of a program with so many slots.
"""

from itertools import chain, filterfalse, starmap
from math import prod
from typing import Any

from conformance.engines.drawing import (
    BYTE_VALUES,
    DRAWINGS,
    Choice,
    Drawing,
    one_of,
)
from conformance.engines.parks import PARKS
from conformance.engines.setups import FEATURE_SETS, LIMITS, SIZES, setup_of
from conformance.engines.themes import THEMES, Theme
from conformance.engines.vocabulary import Argument, Vocabulary
from conformance.interface import OPERATIONS

NAMES = tuple(OPERATIONS)
ROTATED = [(*NAMES[first:], *NAMES[:first]) for first in range(len(NAMES))]
"""All operations, beginning with any of them."""
AGAIN = 3
"""Where in the header the byte for using again stands, behind those for the setup."""
THEME_BYTES = 2
LEFT_OUT_BYTES = 8
SPREAD = 37
"""Makes bytes that are near each other mean operations that are not."""
TASTES_BYTES = AGAIN + 1
HEADER_BYTES = TASTES_BYTES + THEME_BYTES + LEFT_OUT_BYTES
FIELDS_BYTES = 5
SLOT_BYTES = 1 + FIELDS_BYTES
SCOPES = one_of(1, 2, 2, 4, 8)
"""Bugs show among few things, mostly."""
ALWAYS = frozenset({"get_user_pages", "hold", "mmap", "mount"})
"""Never left out by a bit: too much would be left out with them."""
UNTHEMED = len(THEMES)
"""So many numbers, one in two, mean no theme."""
AGAIN_PARTS = 16
AGAIN_MAX = 11
"""The highest share, of so many parts, of things that are used again; not reached."""


def numbers_of(name: str, drawing: Drawing) -> int:
    """Return how many different numbers the fields of an operation make."""
    parts = (
        len(choice.among) * (AGAIN_PARTS if choice.names else 1)
        for choice in drawing.arguments.values()
    )
    return prod(parts) * (len(PARKS[name].among) if name in PARKS else 1)


assert len(NAMES) <= LEFT_OUT_BYTES * 8
assert max(starmap(numbers_of, DRAWINGS.items())) <= BYTE_VALUES**FIELDS_BYTES


def size_of(operations: int) -> int:
    """Return the length in bytes of a program with so many slots."""
    return HEADER_BYTES + operations * SLOT_BYTES


def theme_of(number: int) -> Theme | None:
    """Return the theme that a number means; none for zero and half of them."""
    which = number % (UNTHEMED + len(THEMES)) - UNTHEMED
    return None if which < 0 else THEMES[which]


class PackedMachine(Vocabulary):
    """Decodes programs, and runs them."""

    again = 0
    """The share, of `AGAIN_PARTS`, of fields that get the thing that was used last."""
    scope = 1
    """Among how many things there is a choice, where one is named."""
    theme: Theme | None = None
    last: dict[str, Any]
    """By field: what it was last."""

    def run(self, packed: bytes) -> None:
        """Decode a program and run it; hand over its history."""
        self.begin_packed(packed[:HEADER_BYTES])
        for start in range(HEADER_BYTES, len(packed), SLOT_BYTES):
            slot = packed[start : start + SLOT_BYTES]
            self.take(slot[0], int.from_bytes(slot[1:], "little"))
        self.end()

    def begin_packed(self, header: bytes) -> None:
        """Boot the stack that a header asks for, as its theme has it or not."""
        features, sizes, limits = header[:AGAIN]
        self.take_tastes(header)
        setup = setup_of(FEATURE_SETS.at(features), SIZES.at(sizes), LIMITS.at(limits))
        if self.theme is not None and limits % 2 == 0:
            setup = self.theme.setup
        self.begin(setup, self.left_out)

    def take_tastes(self, header: bytes) -> None:
        """Take from a header what does not concern the stack."""
        self.last = {}
        scope, again = divmod(header[AGAIN], AGAIN_MAX)
        self.again = again
        self.scope = SCOPES.at(scope)
        theme = header[TASTES_BYTES:-LEFT_OUT_BYTES]
        self.theme = theme_of(int.from_bytes(theme, "little"))
        if self.theme is not None:
            self.left_out = frozenset(NAMES).difference(self.theme.names)
            return
        bits = int.from_bytes(header[-LEFT_OUT_BYTES:], "little")
        self.left_out = frozenset(
            name for i, name in enumerate(NAMES) if bits >> i & 1
        ).difference(ALWAYS)

    def take(self, byte: int, fields: int) -> None:
        """Perform the operation that a byte asks for, or one that is unused yet."""
        if byte == 0:
            return
        argument = self.argument_of(fields)
        if byte <= len(NAMES):
            self.reach(NAMES[byte - 1], argument)
            return
        first = (byte * SPREAD) % len(NAMES)
        order = ROTATED[first]
        unused = filterfalse(self.used.__contains__, order)
        self.reach_first(chain(unused, order), argument)

    def argument_of(self, number: int) -> Argument:
        """Return what gives values for fields: the digits of a number."""

        def argument(field: str, choice: Choice) -> object:
            nonlocal number
            if choice.names:
                number, again = divmod(number, AGAIN_PARTS)
                if again < self.again and field in self.last:
                    return self.last[field]
            number, digit = divmod(number, len(choice.among))
            value = choice.among[digit % self.scope if choice.names else digit]
            if choice.names:
                self.last[field] = value
            return value

        return argument
