"""Encryption of blocks: a toy, but one that no plain word survives.

Interface:
  * `encrypt` makes of the words of a page what the disk gets to see; `decrypt`
    undoes it. Both depend on the block, so no two blocks look alike.
"""

STAMPS = 256
"""How many different stamps a word can hold."""

Words = tuple[int, ...]
"""The content of a block."""


def encrypt(block: int, words: Words) -> Words:
    """Encrypt the content of a block."""
    return tuple(
        (word + key(block, position)) % STAMPS for position, word in enumerate(words)
    )


def decrypt(block: int, words: Words) -> Words:
    """Decrypt the content of a block."""
    return tuple(
        (word - key(block, position)) % STAMPS for position, word in enumerate(words)
    )


def key(block: int, position: int) -> int:
    """Return the key of one word of a block."""
    return 101 + 7 * block + 3 * position
