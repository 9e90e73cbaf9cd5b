"""The gate of the filesystem: who writes goes through it, and a freeze closes it.

Interface:
  * `enter` waits until the filesystem is thawed; `leave` follows it.
  * `close` waits until all who have entered have left.
"""

import attrs

from reference_impl.stepping import Stepped, wait_until


@attrs.define(eq=False)
class Gate:
    """Lets writers in until the filesystem comes to rest."""

    is_closed: bool = False
    is_frozen: bool = False
    """It has come to rest: no writeback starts."""
    writers: int = 0
    """Write accesses that have begun and not ended."""

    def is_open(self) -> bool:
        """Whether a write access may begin."""
        return not self.is_closed

    def is_thawed(self) -> bool:
        """Whether writeback may start."""
        return not self.is_frozen

    def is_idle(self) -> bool:
        """Whether no write access is in progress."""
        return self.writers == 0

    def enter(self) -> Stepped[None]:
        """Begin a write access, waiting until the filesystem is thawed."""
        yield from wait_until("thaw", self.is_open)
        self.writers += 1

    def leave(self) -> None:
        """End a write access."""
        assert self.writers > 0, "no write access is in progress"
        self.writers -= 1

    def close(self) -> Stepped[None]:
        """Let nobody in any more, and wait for those who are in."""
        self.is_closed = True
        yield from wait_until("writers", self.is_idle)
