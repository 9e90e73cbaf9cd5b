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
    call: a container met a second time is printed as the same one. One that the stack
    holds, too, is printed with its place there (`holder_of`).
  * `is_shared` tells afterwards whether something that can change is held by others,
    too: then the print may change while the call stands still. It is told from counts
    of references, and may be a false yes.
"""

import gc
import sys
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from enum import Enum
from functools import partial
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
_VIEWED: tuple[Iterable[object], ...] = (
    *(set[object](), dict[object, object]()),
    *(dict[object, object]().values(), dict[object, object]().items()),
)
VIEWS = tuple(type(iter(each)) for each in _VIEWED)
"""Those of them that do not tell what they iterate over, only what is left of it."""
FIXED = (
    *(tuple, frozenset, range, BaseException, Generator),
    *(FunctionType, MethodType, BuiltinFunctionType),
)
"""Kinds that are changed by nobody but the call that holds them."""
COUNTED_BY_US = 3
"""References to what is kept that are the printer's own while it counts."""


class UnprintableError(Exception):
    """Something can be told neither by its content nor by a name."""


def nameless(_thing: object) -> None:
    """Name nothing: for stacks that do not name their things."""


@attrs.define(eq=False)
class Printer:
    """Prints the values of one state."""

    name_of: Naming = nameless
    holder_of: Naming = nameless
    """Returns where the stack holds a value that can be changed; None: nowhere."""
    named: set[int] = attrs.field(factory=set[int])
    """The things printed by their names, by identity."""
    _met: dict[int, int] = attrs.field(factory=dict[int, int])
    """Number of each container, in the order in which they are met, by identity."""
    _times: dict[int, int] = attrs.field(factory=dict[int, int])
    """How often each is referred to from what was printed."""
    _kept: list[object] = attrs.field(factory=list[object])
    """Keeps them alive, so that no identity is used twice."""
    _is_view: bool = False
    """A dict or a set is being iterated over: no telling whose it is."""

    def print(self, value: object) -> Hashable:
        """Return what is equal for values that act alike.

        Raises:
            UnprintableError: that cannot be told.
        """
        if isinstance(value, ATOMS):
            return (type(value).__name__, value)
        name = self.name_of(value)
        if name is not None:
            self.named.add(id(value))
            return ("thing", name)
        self._times[id(value)] = self._times.get(id(value), 0) + 1
        if id(value) in self._met:
            return ("again", self._met[id(value)])
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        kind, holder = type(value).__qualname__, self.holder_of(value)
        content = self._content(value)
        return (kind, content) if holder is None else (kind, content, holder)

    def is_shared(self) -> bool:
        """Tell whether others may hold something printed that can be changed."""
        if self._is_view:
            return True
        for value in self._kept:
            if not is_fixed(value):
                held = sys.getrefcount(value) - COUNTED_BY_US
                if held > self._times[id(value)]:
                    return True
        return False

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
            self._is_view |= isinstance(value, VIEWS)
            return self._iterator(tuple(value.__reduce__()[1:]))
        if isinstance(value, partial):
            return self._all((value.func, value.args, *value.keywords.items()))
        kind = type(value)
        if not attrs.has(kind):
            raise UnprintableError(kind.__qualname__)
        # One that is told apart by identity is met again as the same one.
        own = [getattr(value, each.name) for each in attrs.fields(kind)]
        return self._all([*own, *getattr(value, "__dict__", {}).items()])

    def _iterator(self, told: tuple[object, ...]) -> Hashable:
        """Print what an iterator tells; the tuple that tells it is ours."""
        return tuple(
            self._iterator(each) if type(each) is tuple else self.print(each)
            for each in told
        )

    def _all(self, values: Iterable[object]) -> Hashable:
        return tuple(map(self.print, values))

    def _callable(self, value: object) -> Hashable:
        match value:
            case FunctionType():
                by_name = (value.__kwdefaults__ or {}).values()
                cells = value.__closure__ or ()
                given = (*(value.__defaults__ or ()), *by_name, *cells)
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
        # Up to Python 3.12 the frame keeps the dict that it was once asked for.
        by_name = frame.f_locals
        held = [
            each
            for each in gc.get_referents(body)
            if not isinstance(each, (FrameType, CodeType))
            and getattr(each, "__code__", None) is not frame.f_code
            and each is not by_name
        ]
        # Such a dict keeps its order from one look to the next.
        assigned = tuple(sorted(by_name))
        if isinstance(by_name, dict):
            for each in by_name.values():
                self._times[id(each)] = self._times.get(id(each), 0) + 1
        return (frame.f_code, frame.f_lasti, assigned, self._all(held))


def is_fixed(value: object) -> bool:
    """Tell whether something cannot be changed by others than who holds it."""
    return isinstance(value, FIXED) or _is_value(value)


def _is_value(value: object) -> bool:
    """Tell whether something stays what it is: then it can be hashed."""
    if isinstance(value, CellType):
        # What `super()` refers to is one cell for all methods of a class.
        return all(isinstance(each, type) for each in gc.get_referents(value))
    kind = type(value)
    return attrs.has(kind) and kind.__hash__ not in (None, object.__hash__)
