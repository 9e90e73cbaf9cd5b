"""Printing where a stepped call stands, so that two such places can be compared.

A suspended generator goes on in the same way if it is the same code at the same
instruction with equal variables. Its variables are not all: a loop keeps its iterator
on the value stack. The garbage collector shows both, so that is what is read, from
the outermost generator inwards.

A value is printed by its content, a thing of the stack by the name that the stack
gives it (`name_of`). What has neither, a file or an iterator that cannot tell how far
it is, raises `UnprintableError`, and its state is then equal to no other.

Interface:
  * `Printer(name_of).print(value)` returns something hashable. One printer for each
    state: a container met a second time is printed as the same one.

Not verified: that a container in a variable is a copy in one state and the stack's own
in the other, with equal contents. The same code at the same instruction may in theory
differ in that.
"""

import gc
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
)

import attrs

Naming = Callable[[object], Hashable | None]
"""Returns the name of a thing of the stack; None: it has none."""

ATOMS = (type(None), bool, int, float, str, bytes, Enum, range, type, CodeType)
"""Kinds that are their own print; what a class or a code is does not change."""
_ITERATED: tuple[Iterable[object], ...] = (
    *([], (), range(0), range(1 << 70), "", b"", set[object]()),
    *({}, dict[object, object]().values(), dict[object, object]().items()),
    *(reversed([]), enumerate(()), zip(), reversed({})),
)
ITERATORS = tuple(type(iter(each)) for each in _ITERATED)
"""Kinds that tell by `__reduce__` how far they are."""


class UnprintableError(Exception):
    """Something can be told neither by its content nor by a name."""


def nameless(_thing: object) -> None:
    """Name nothing: for stacks that do not name their things."""


@attrs.define(eq=False)
class Printer:
    """Prints the values of one state."""

    name_of: Naming = nameless
    _met: dict[int, int] = attrs.field(factory=dict[int, int])
    """Containers printed before, by identity."""
    _kept: list[object] = attrs.field(factory=list[object])
    """Keeps them alive, so that no identity is used twice."""

    def print(self, value: object) -> Hashable:
        """Return what is equal for values that act alike.

        Raises:
            UnprintableError: that cannot be told.
        """
        if isinstance(value, ATOMS):
            return (type(value).__name__, value)
        name = self.name_of(value)
        if name is not None:
            return ("thing", name)
        if id(value) in self._met:
            return ("again", self._met[id(value)])
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        return (type(value).__qualname__, self._content(value))

    def _content(self, value: object) -> Hashable:
        if isinstance(value, Generator):
            return self._generator(value)
        if isinstance(value, (FunctionType, MethodType, BuiltinFunctionType, CellType)):
            return self._callable(value)
        if isinstance(value, BaseException):
            return (self._all(value.args), self._all(vars(value).values()))
        return self._container(value)

    def _container(self, value: object) -> Hashable:
        if isinstance(value, (list, tuple)):
            return self._all(value)
        if isinstance(value, Mapping):
            return self._all(item for pair in value.items() for item in pair)
        if isinstance(value, (set, frozenset)):
            return tuple(sorted(map(repr, map(self.print, value))))
        return self._fields(value)

    def _fields(self, value: object) -> Hashable:
        if isinstance(value, ITERATORS):
            return self._all(value.__reduce__()[1:])
        kind = type(value)
        if not attrs.has(kind) or kind.__eq__ is object.__eq__:
            raise UnprintableError(kind.__qualname__)
        return self._all(getattr(value, each.name) for each in attrs.fields(kind))

    def _all(self, values: Iterable[object]) -> Hashable:
        return tuple(map(self.print, values))

    def _callable(self, value: object) -> Hashable:
        match value:
            case FunctionType():
                cells = value.__closure__ or ()
                given = (*(value.__defaults__ or ()), *cells)
                return (value.__code__, self._all(given))
            case MethodType():
                return (value.__func__.__qualname__, self.print(value.__self__))
            case BuiltinFunctionType():
                return (value.__name__, self.print(value.__self__))
            case CellType():
                return self._all(gc.get_referents(value))
            case _:
                raise UnprintableError(type(value).__qualname__)

    def _generator(self, body: Generator[object, object, object]) -> Hashable:
        """Print where a generator stands, its variables and its value stack."""
        frame = getattr(body, "gi_frame", None)
        if frame is None:
            return ("ended",)
        held = [
            each
            for each in gc.get_referents(body)
            if not isinstance(each, (FrameType, CodeType))
            and getattr(each, "__code__", None) is not frame.f_code
        ]
        assigned = tuple(frame.f_locals)
        return (frame.f_code, frame.f_lasti, assigned, self._all(held))
