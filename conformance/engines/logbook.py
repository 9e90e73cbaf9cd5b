"""What a child was at when it was lost: the program so far, kept where the parent sees.

A process that ends in the middle of a call tells nobody what it was asked. So each
operation is written down before it is asked, in memory that parent and child share.

Interface:
  * `Logbook()` is made by the parent before it forks; `Logged(boot, logbook)` is given
    to the child in the place of `boot`, and each execution on it writes there.
  * `program()` is what was written last; None: nothing was, or it did not fit.
"""

import mmap
import pickle
from collections.abc import Sequence
from io import BytesIO

import attrs

from conformance.interface import Boot, Operation, Setup
from conformance.program import Preempt, Program

SIZE = 1 << 20
"""Bytes; a program has a few thousand."""
HEAD_BYTES = 8
"""At the beginning: how many bytes of what follows are written."""


@attrs.define(eq=False)
class Logbook:
    """The program that is running, as far as it was asked."""

    _memory: mmap.mmap = attrs.field(factory=lambda: mmap.mmap(-1, SIZE), init=False)
    _written: int = 0

    def begin(self, program: Program) -> None:
        """Begin another program, none of whose operations was asked yet."""
        self._written = 0
        self._append(attrs.evolve(program, operations=()))

    def asks(self, operation: Operation, schedule: Sequence[Preempt]) -> None:
        """Write down what is asked next, and who is to be parked so far."""
        if self._written:
            self._append((operation, schedule))

    def _append(self, entry: object) -> None:
        data = pickle.dumps(entry)
        begin = HEAD_BYTES + self._written
        self._written += len(data)
        if begin + len(data) > SIZE:
            self._written = 0
        else:
            self._memory[begin : begin + len(data)] = data
        # Last: a process that ends before this has not asked yet, either.
        self._memory[:HEAD_BYTES] = self._written.to_bytes(HEAD_BYTES, "little")

    def program(self) -> Program | None:
        """Return what was written last."""
        written = int.from_bytes(self._memory[:HEAD_BYTES], "little")
        if not written:
            return None
        entries = BytesIO(self._memory[HEAD_BYTES : HEAD_BYTES + written])
        program: Program = pickle.load(entries)  # noqa: S301 - ours
        operations: list[Operation] = []
        while entries.tell() < written:
            operation, schedule = pickle.load(entries)  # noqa: S301 - ours
            operations.append(operation)
            program = attrs.evolve(program, schedule=schedule)
        return attrs.evolve(program, operations=operations)


@attrs.frozen
class Logged:
    """A factory on whose stacks everything that is asked is written down."""

    boot: Boot
    logbook: Logbook

    def __call__(self, setup: Setup) -> object:
        """Boot a stack."""
        return self.boot(setup)

    def close(self) -> None:
        """Tell a factory that keeps something between boots that it was the last."""
        close = getattr(self.boot, "close", None)
        if callable(close):
            close()
