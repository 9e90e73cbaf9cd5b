"""Histories written down by hand, for the tests of the oracle.

now = Happenings()
store = now.ask(Store(value=7))     # under way
now.answer(store)                   # and done
now.do(Fsync())                     # both in one
"""

from conformance.interface import (
    Feature,
    Geometry,
    GetUserPages,
    KernelError,
    Load,
    Operation,
    PowerCut,
    Read,
    Signal,
)
from conformance.oracle.admissible import DurableFile, Oracle, ReadValues
from conformance.oracle.history import Call, History
from conformance.program import Program


def one_of(*values: int) -> frozenset[int]:
    """Return the set of these values."""
    return frozenset(values)


class Happenings:
    """A history that grows; two words in a page, file 0 of two pages."""

    def __init__(self, *features: Feature) -> None:
        geometry = Geometry(file_pages=2)
        self.history = History(Program(), geometry, frozenset(features))

    def ask(self, operation: Operation) -> Call:
        """Begin a call."""
        call = Call(len(self.history.calls), operation, self.history.tick())
        self.history.calls.append(call)
        return call

    def answer(
        self,
        call: Call,
        result: object = None,
        error: KernelError | Signal | None = None,
    ) -> Call:
        """End a call."""
        call.answered = self.history.tick()
        call.result, call.error = result, error
        return call

    def do(
        self,
        operation: Operation,
        result: object = None,
        error: KernelError | Signal | None = None,
    ) -> Call:
        """Begin and end a call."""
        return self.answer(self.ask(operation), result, error)

    def pin(self, page: int = 0, *, pin: int = 0, tracked: bool = True) -> Call:
        """Pin one page of mapping 0 of process 0 for writing."""
        return self.do(GetUserPages(page=page, pin=pin, tracked=tracked), 1)

    # --- what the oracle says -----------------------------------------------------

    @property
    def oracle(self) -> Oracle:
        """An oracle for what has happened until now."""
        return Oracle(self.history)

    def load(
        self, page: int = 0, word: int = 0, *, process: int = 0, mapping: int = 0
    ) -> frozenset[int] | None:
        """Load now, and return what that may answer."""
        call = self.do(Load(process=process, mapping=mapping, page=page, word=word))
        return self.oracle.load_values(call)

    def read(self, page: int = 0, file: int = 0) -> ReadValues:
        """Read now, and return what that may answer."""
        values = self.oracle.read_values(self.do(Read(file=file, page=page)))
        assert values is not None
        return values

    def durable(self, file: int = 0) -> DurableFile:
        """Cut the power now, and return what that may leave of a file."""
        image = self.oracle.durable(file, self.do(PowerCut()))
        assert image is not None
        return image

    def durable_word(self, word: int = 0, file: int = 0) -> frozenset[int]:
        """Return the same for one word, counted from the beginning of the file."""
        return self.durable(file).words[word]
