"""What a stack consists of, and which parts of it a step touches.

A stack that runs in this process is a graph of *things*: objects that are told apart by
identity and have fields. Its state is what stands in each field of each thing: numbers
and the like, containers by their content, other things by their names. A *part* is one
field of one thing.

What a step reads is not declared but seen: while it runs, every thing has a class that
notes which field is asked for. Who asks for a field that holds a container is taken to
have read all of it. What a step writes is seen by comparing all parts before and after.

A thing has the name that the stack gives it (`name_of`), or it is named by the way that
leads to it, which serves as well as long as no list is on the way.

Interface:
  * `Anatomy(stack)`: `look()` returns the value of each part; `names` and `is_loose`
    serve to print what threads hold; `reading(parts)` notes what is read in it.

Not verified: state that is in no field of a thing that can be reached from the stack,
such as a module's variable, a class's, or what a C library keeps.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from types import (
    BuiltinFunctionType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

import attrs

from conformance.engines.printing import ATOMS, Printer, UnprintableError, nameless

Part = tuple[Hashable, str]
"""Name of a thing, name of a field."""

WHOLE: Part = (("stack",), "whole")
"""The only part of a stack that cannot be taken apart."""

_NO_THINGS = (
    *(*ATOMS, BaseException, ModuleType, GeneratorType),
    *(FunctionType, BuiltinFunctionType, MethodType),
)
_CONTAINERS = (list, tuple, set, frozenset, deque)
_EMPTY = frozenset({list, dict, tuple, set})
_QUICK = frozenset({int, bool, str, type(None)})


@cache
def fields_of(kind: type) -> tuple[str, ...]:
    """Return the names of the fields that a class gives its objects."""
    slots: list[str] = []
    for each in reversed(kind.__mro__):
        own = each.__dict__.get("__slots__", ())
        slots += [own] if isinstance(own, str) else own
    return tuple(name for name in dict.fromkeys(slots) if not name.startswith("__"))


@cache
def is_thing(kind: Any) -> bool:  # noqa: ANN401 - a class, which can be hashed
    """Tell whether objects of a class are told apart by identity, and have fields."""
    if issubclass(kind, (*_NO_THINGS, *_CONTAINERS, Mapping)):
        return False
    has_fields = bool(fields_of(kind)) or hasattr(kind, "__dict__")
    is_ours = bool(kind.__flags__ & _HEAPTYPE)
    return is_ours and has_fields and kind.__eq__ is object.__eq__


_HEAPTYPE = 1 << 9
"""Flag of classes that are made by a class statement."""


@attrs.define(eq=False)
class Anatomy:
    """The things of one stack, and what stands in their fields."""

    stack: object
    name_of: Callable[[object], Hashable | None]
    listener: object = None
    """What the stack tells events to; it is no part of it."""
    is_apart: bool = False
    """Whether the last look could tell all parts."""
    names: dict[int, Hashable] = attrs.field(factory=dict[int, Hashable])
    """Of each thing, by its identity, as of the last look."""
    _things: list[object] = attrs.field(factory=list[object])
    _loose: set[int] = attrs.field(factory=set[int])
    """Things whose name depends on a place in a list."""

    @classmethod
    def of(cls, stack: object, listener: object) -> "Anatomy":
        """Return the anatomy of a stack that tells events to somebody."""
        name_of = getattr(stack, "name_of", nameless)
        name_of(stack)
        return cls(stack, name_of, listener)

    def fingerprint(self) -> Hashable:
        """Return what the stack says is equal for states that act alike."""
        return self.stack.fingerprint()  # type: ignore[attr-defined, no-any-return]  # optional

    def named(self, thing: object) -> Hashable | None:
        """Return the name of a thing as of the last look, or of one that is gone."""
        name = self.names.get(id(thing))
        return (
            self.name_of(thing) if name is None and is_thing(_kind_of(thing)) else name
        )

    def is_loose_in(self, printer: Printer) -> bool:
        """Tell whether names that were printed may change while no thing does."""
        return not self._loose.isdisjoint(printer.named)

    # --- looking ------------------------------------------------------------------

    def look(self) -> dict[Part, Hashable] | None:
        """Return what stands in every field; None: that cannot be told."""
        self.is_apart = False
        if not hasattr(self.stack, "fingerprint"):
            return None
        with suppress(UnprintableError):
            parts = self._look()
            self.is_apart = True
            return parts
        return None

    def _look(self) -> dict[Part, Hashable]:
        self._find()
        parts: dict[Part, Hashable] = {}
        for thing in self._things:
            name = self.names[id(thing)]
            for field, value in _fields(thing):
                is_quick = type(value) in _QUICK
                parts[name, field] = value if is_quick else self._print(value)
        return parts

    def _print(self, value: object) -> Hashable:
        name = self.names.get(id(value))
        if name is not None:
            return ("thing", name)
        if type(value) in _EMPTY and not value:
            return type(value).__name__
        return Printer(self.named).print(value)

    def _find(self) -> None:
        """Find every thing and name it."""
        self.names = {id(self.listener): ("listener",), id(self.stack): ("stack",)}
        self._things = [self.stack]
        self._loose = set()
        for thing in self._things:
            owner = self.names[id(thing)]
            is_loose = id(thing) in self._loose
            for field, value in _fields(thing):
                if type(value) not in _QUICK:
                    self._find_in(value, (owner, field), is_loose=is_loose)

    def _find_in(self, value: object, way: Hashable, *, is_loose: bool) -> None:
        if is_thing(_kind_of(value)):
            self._note(value, way, is_loose=is_loose)
        elif isinstance(value, MethodType):
            self._find_in(value.__self__, (way, "self"), is_loose=is_loose)
        elif not isinstance(value, _NO_THINGS):
            for step, each, is_placed in self._inside(value):
                self._find_in(each, (way, step), is_loose=is_loose or is_placed)

    def _inside(self, value: object) -> Iterator[tuple[Hashable, object, bool]]:
        """Yield what a value holds: where, what, and whether in a list or the like."""
        if isinstance(value, Mapping):
            yield from (("key", key, True) for key in value)
            for key, each in value.items():
                yield self.names.get(id(key), key), each, False
        elif isinstance(value, _CONTAINERS):
            yield from ((place, each, True) for place, each in enumerate(value))
        else:
            yield from ((field, each, False) for field, each in _fields(value))

    def _note(self, thing: object, way: Hashable, *, is_loose: bool) -> None:
        if id(thing) in self.names:
            return
        name = self.name_of(thing)
        self.names[id(thing)] = way if name is None else name
        self._things.append(thing)
        if is_loose and name is None:
            self._loose.add(id(thing))

    # --- touching -----------------------------------------------------------------

    @contextmanager
    def reading(self, parts: set[Part]) -> Iterator[None]:
        """Note which parts of the stack, as of the last look, are read meanwhile."""
        if not self.is_apart:
            parts.add(WHOLE)
            yield
            return
        read: set[tuple[int, str]] = set()
        changed = []
        for thing in self._things:
            kind = _kind_of(thing)
            changed.append((thing, kind))
            object.__setattr__(thing, "__class__", _noting(kind))
        _READS.append(read)
        try:
            yield
        finally:
            _READS.pop()
            for thing, kind in changed:
                object.__setattr__(thing, "__class__", kind)
            parts.update((self.names[number], field) for number, field in read)


_READS: list[set[tuple[int, str]]] = []
"""Where what is read is noted, innermost last."""


@cache
def _noting(kind: type) -> type:
    """Return a class like another that notes which of its fields are read."""
    get_as_before: Any = kind.__getattribute__
    methods = frozenset(
        name
        for each in kind.__mro__
        for name, value in each.__dict__.items()
        if isinstance(value, _METHODS)
    )

    def get(thing: object, field: str) -> object:
        if field not in methods:
            _READS[-1].add((id(thing), field))
        return get_as_before(thing, field)

    return type(kind.__name__, (kind,), {"__slots__": (), "__getattribute__": get})


_METHODS = (FunctionType, property, classmethod, staticmethod)


def _kind_of(thing: object) -> Any:  # noqa: ANN401 - a class, which can be hashed
    return type(thing)


def _fields(thing: object) -> Iterator[tuple[str, object]]:
    """Yield the fields of an object that have a value."""
    for name in fields_of(_kind_of(thing)):
        value = getattr(thing, name, _NOTHING)
        if value is not _NOTHING:
            yield name, value
    own = getattr(thing, "__dict__", None)
    if own:
        yield from tuple(own.items())


_NOTHING = object()
