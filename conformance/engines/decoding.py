"""Packed programs: one byte string of a fixed length, decoded while it runs.

What a byte means depends on what exists when its turn comes, so that few operations
are skipped.

    header   2 bytes  features, a bit for each
             1 byte   pages of a folio, movable pages
             1 byte   how often the thing that was used last is used again
             8 bytes  operations left out, one each; half of the bytes leave none out
    slot     1 byte   operation; 0: none, so that what shrinks to zero is gone
             7 bytes  its fields, in order

Interface:
  * `PackedMachine(...).run(packed)` decodes, runs, and hands over the history.
  * `size_of(operations)` is the length of a program with so many slots.
"""

from typing import Any

from conformance.engines.drawing import BYTE_VALUES, DRAWINGS, Choice, one_of
from conformance.engines.vocabulary import Argument, Vocabulary
from conformance.interface import OPERATIONS, Feature

FEATURES = tuple(Feature)
NAMES = tuple(OPERATIONS)
FEATURE_BYTES = 2
SIZES, AGAIN = FEATURE_BYTES, FEATURE_BYTES + 1
"""Where in the header the byte for the sizes stands, and that for using again."""
LEFT_OUT_BYTES = 8
SPREAD = 37
"""Makes bytes that are near each other mean operations that are not."""
HEADER_BYTES = AGAIN + 1 + LEFT_OUT_BYTES
FIELDS_MAX = max(len(drawing.arguments) for drawing in DRAWINGS.values())
SLOT_BYTES = 1 + FIELDS_MAX
AGAIN_MAX = 160
"""The highest share, of 256, of things that are used again."""
FOLIO_PAGES = one_of(1, 1, 1, 2)
MOVABLE_PAGES = one_of(0, 0, 16)
assert len(FEATURES) <= FEATURE_BYTES * 8


def size_of(operations: int) -> int:
    """Return the length in bytes of a program with so many slots."""
    return HEADER_BYTES + operations * SLOT_BYTES


class PackedMachine(Vocabulary):
    """Decodes programs, and runs them."""

    again = 0
    """The share, of 256, of fields that get the thing that was used last."""
    last: dict[str, Any]
    """By field: what it was last."""

    def run(self, packed: bytes) -> None:
        """Decode a program and run it; hand over its history."""
        self.begin_packed(packed[:HEADER_BYTES])
        for start in range(HEADER_BYTES, len(packed), SLOT_BYTES):
            slot = packed[start : start + SLOT_BYTES]
            self.take(slot[0], slot[1:])
        self.end()

    def begin_packed(self, header: bytes) -> None:
        """Boot the stack that a header asks for."""
        bits = int.from_bytes(header[:FEATURE_BYTES], "little")
        sizes = header[SIZES]
        self.begin(
            wanted={feature for i, feature in enumerate(FEATURES) if bits >> i & 1},
            folio_pages=FOLIO_PAGES.at(sizes),
            movable_pages=MOVABLE_PAGES.at(sizes // len(FOLIO_PAGES.among)),
        )
        self.take_tastes(header)

    def take_tastes(self, header: bytes) -> None:
        """Take from a header what does not concern the stack."""
        self.last = {}
        self.again = header[AGAIN] * AGAIN_MAX // BYTE_VALUES
        self.left_out = frozenset(
            NAMES[byte % len(NAMES)]
            for byte in header[HEADER_BYTES - LEFT_OUT_BYTES :]
            if byte >= BYTE_VALUES // 2
        )

    def take(self, byte: int, fields: bytes) -> None:
        """Perform the operation that a byte asks for, or one that is unused yet."""
        if byte == 0:
            return
        argument = self.argument_of(fields)
        if byte <= len(NAMES):
            self.reach(NAMES[byte - 1], argument)
            return
        first = (byte * SPREAD) % len(NAMES)
        order = (*NAMES[first:], *NAMES[:first])
        unused = [name for name in order if name not in self.used]
        self.reach_first((*unused, *order), argument)

    def argument_of(self, fields: bytes) -> Argument:
        """Return what gives values for fields, from bytes in order."""
        left = iter(fields * 2)

        def argument(field: str, choice: Choice) -> object:
            byte = next(left)
            if not choice.names:
                return choice.at(byte)
            if byte < self.again and field in self.last:
                return self.last[field]
            self.last[field] = value = choice.at(byte - self.again)
            return value

        return argument
