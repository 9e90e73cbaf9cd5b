"""What a stack consists of, and which parts of it a step touches.

A stack that runs in this process is a graph of *things*: objects that are told apart by
identity and have fields. Its state is what stands in each field of each thing: numbers
and the like, containers by their content, other things by their names. A *part* is one
field of one thing.

What a step touches is not declared but seen: while it runs, every thing has a class
that notes which field is asked for and which is set. Who asks for a field that holds a
container is taken to have read all of it. What a step writes is what it set, whether or
not it was different before, and what is different by comparing all parts before and
after (see `snapshot.py`): a container may be changed by who got hold of it earlier.

A thing has the name that the stack gives it (`name_of`), or it is named by the way that
leads to it, which serves as well as long as no list is on the way.

Interface:
  * `Anatomy.of(stack, listener)`: `look()` returns the value of each part; `names` and
    `is_loose_in` serve to print what threads hold; `noting()` notes what is touched,
    and `writes(assigned)` returns what has been written since the last look.

Not verified: state that is in no field of a thing that can be reached from the stack,
such as a module's variable, a class's, or what a C library keeps.
"""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
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
from conformance.engines.snapshot import (
    ABSENT,
    CONTAINERS,
    QUICK,
    Snapshot,
    fields,
    fields_of,
)

Part = tuple[Hashable, str]
"""Name of a thing, name of a field."""

WHOLE: Part = (("stack",), "whole")
"""The only part of a stack that cannot be taken apart; others do without it."""

_NO_THINGS = (
    *(*ATOMS, BaseException, ModuleType, GeneratorType),
    *(FunctionType, BuiltinFunctionType, MethodType),
)


_EMPTY = frozenset({list, dict, tuple, set})


@cache
def is_thing(kind: Any) -> bool:  # noqa: ANN401 - a class, which can be hashed
    """Tell whether objects of a class are told apart by identity, and have fields."""
    if issubclass(kind, (*_NO_THINGS, *CONTAINERS, Mapping)):
        return False
    has_fields = bool(fields_of(kind)) or hasattr(kind, "__dict__")
    is_ours = bool(kind.__flags__ & _HEAPTYPE)
    return is_ours and has_fields and kind.__eq__ is object.__eq__


_HEAPTYPE = 1 << 9
"""Flag of classes that are made by a class statement."""


@attrs.frozen
class Touched:
    """Parts of a stack that were touched."""

    read: set[Part] = attrs.field(factory=set[Part])
    assigned: set[Part] = attrs.field(factory=set[Part])
    """Fields that got a value, or lost it."""


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
    _given: dict[int, tuple[object, Hashable | None]] = attrs.field(
        factory=dict[int, tuple[object, Hashable | None]]
    )
    """The names that the stack gave in the last look, by identity; None: none."""
    _parts: dict[Part, Hashable] = attrs.field(factory=dict[Part, Hashable])
    """As of the last look."""
    _snapshot: Snapshot = attrs.field(factory=Snapshot)

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

    def holder_of(self, value: object) -> Hashable | None:
        """Return the part in which a list or the like is; None: it is in none."""
        return self._snapshot.holders.get(id(value))

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
            self._parts = self._look()
            self.is_apart = True
            return self._parts
        return None

    def writes(self, assigned: Iterable[Part] = ()) -> dict[Part, Hashable] | None:
        """Return what was written since the last look; None: it cannot be told.

        What was set is written, even if nothing is different for it, and so is all of
        a thing that is new. A part that is no more is `ABSENT`. Where plain values
        stand in other fields than before, and all else is the same, only these are
        looked at.
        """
        changed = self._snapshot.changed() if self.is_apart else None
        if changed is None or (changed and not self._are_named_alike()):
            writes = self._difference()
        else:
            writes = {
                (self.names[id(thing)], field): self._print(value)
                for thing, field, value in changed
            }
            self._parts.update(writes)
        if writes is not None:
            for part in assigned:
                writes.setdefault(part, self._parts.get(part, ABSENT))
        return writes

    def _are_named_alike(self) -> bool:
        """Tell whether the stack gives things the names that it gave them."""
        return all(self.name_of(thing) == name for thing, name in self._given.values())

    def _difference(self) -> dict[Part, Hashable] | None:
        """Look at everything, and return what is not as in the look before."""
        before, names, things = self._parts, self.names, self._things
        was_apart, after = self.is_apart, self.look()
        if after is None or not was_apart:
            return None
        # Those of before are still alive, so none of the new ones has their identity.
        new = {self.names[id(thing)] for thing in self._things} - {
            self.names[id(thing)]
            for thing in things
            if names[id(thing)] == self.names.get(id(thing))
        }
        writes: dict[Part, Hashable] = {
            part: value
            for part, value in after.items()
            if part[0] in new or before.get(part, ABSENT) != value
        }
        gone = {part: ABSENT for part in before if part not in after}
        return {**writes, **gone}

    def _look(self) -> dict[Part, Hashable]:
        values = self._find()
        parts: dict[Part, Hashable] = {}
        for owner, field, value in values:
            part = owner, field
            if type(value) not in QUICK and id(value) not in self.names:
                self._snapshot.add_value(value, part, self.names)
            parts[part] = self._print(value)
        if len(parts) != len(values):
            raise UnprintableError("things of one name")
        if self._snapshot.is_tangled:
            raise UnprintableError("a list or the like in two fields")
        return parts

    def _print(self, value: object) -> Hashable:
        kind: Any = type(value)
        if kind in QUICK:
            return ("bool", value) if kind is bool else value
        if id(value) in self.names:
            return ("thing", self.names[id(value)])
        if isinstance(value, MethodType) and id(value.__self__) in self.names:
            return ("method", value.__func__.__qualname__, self._print(value.__self__))
        is_empty = kind in _EMPTY and not value
        return (kind.__name__, ()) if is_empty else Printer(self.named).print(value)

    def _find(self) -> list[tuple[Hashable, str, object]]:
        """Find every thing and name it; return owner, field and value of each part."""
        self.names = {id(self.listener): ("listener",), id(self.stack): ("stack",)}
        self._things = [self.stack]
        self._loose, self._given, self._snapshot = set(), {}, Snapshot()
        values: list[tuple[Hashable, str, object]] = []
        for thing in self._things:
            owner = self.names[id(thing)]
            is_loose = id(thing) in self._loose
            for field, value in self._snapshot.add_thing(thing):
                if value is ABSENT:
                    continue
                values.append((owner, field, value))
                if type(value) not in QUICK:
                    self._find_in(value, (owner, field), is_loose=is_loose)
            if type(thing).__dictoffset__:
                values.append((owner, "__dict__", tuple(vars(thing))))
        return values

    def _find_in(self, value: object, way: Hashable, *, is_loose: bool) -> None:
        if type(value) in QUICK or id(value) in self.names:
            return
        if is_thing(_kind_of(value)):
            self._note(value, way, is_loose=is_loose)
        elif isinstance(value, MethodType):
            self._find_in(value.__self__, (way, "self"), is_loose=is_loose)
        elif not isinstance(value, _NO_THINGS):
            for step, each, is_placed in self._inside(value):
                self._find_in(each, (way, step), is_loose=is_loose or is_placed)

    def _inside(self, value: object) -> Iterator[tuple[Hashable, object, bool]]:
        """Yield what a value holds: where, what, and whether in a list or the like."""
        if isinstance(value, CONTAINERS):
            yield from ((place, each, True) for place, each in enumerate(value))
        elif isinstance(value, Mapping):
            yield from (("key", key, True) for key in value)
            for key, each in value.items():
                yield self.names.get(id(key), key), each, False
        else:
            yield from ((field, each, False) for field, each in _fields(value))

    def _note(self, thing: object, way: Hashable, *, is_loose: bool) -> None:
        name = self.name_of(thing)
        self._given[id(thing)] = thing, name
        self.names[id(thing)] = way if name is None else name
        self._things.append(thing)
        if is_loose and name is None:
            self._loose.add(id(thing))

    # --- touching -----------------------------------------------------------------

    @contextmanager
    def noting(self) -> Iterator[Touched]:
        """Note which parts of the stack, as of the last look, are touched meanwhile."""
        touched = Touched({WHOLE})
        if not self.is_apart:
            yield touched
            return
        notes, names = _Notes(), self.names
        changed = []
        for thing in self._things:
            kind = _kind_of(thing)
            changed.append((thing, kind))
            object.__setattr__(thing, "__class__", _noting(kind))
        _NOTES.append(notes)
        try:
            yield touched
        finally:
            _NOTES.pop()
            for thing, kind in changed:
                object.__setattr__(thing, "__class__", kind)
            touched.read.update((names[n], field) for n, field in notes.read)
            touched.assigned.update((names[n], field) for n, field in notes.assigned)


@attrs.frozen
class _Notes:
    """What is touched, by identity of the thing and name of the field."""

    read: set[tuple[int, str]] = attrs.field(factory=set[tuple[int, str]])
    assigned: set[tuple[int, str]] = attrs.field(factory=set[tuple[int, str]])


_NOTES: list[_Notes] = []
"""Where what is touched is noted, innermost last."""


@cache
def _noting(kind: type) -> type:
    """Return a class like another that notes which of its fields are touched."""
    get_as_before: Any = kind.__getattribute__
    set_as_before: Any = kind.__setattr__
    delete_as_before: Any = kind.__delattr__
    of_the_class, slots = _of_the_class(kind), fields_of(kind)

    def get(thing: object, field: str) -> object:
        if field not in of_the_class:
            _NOTES[-1].read.add((id(thing), field))
        found = get_as_before(thing, field)
        if field == "__dict__":
            _NOTES[-1].read.update((id(thing), each) for each in found)
        return found

    def set_(thing: object, field: str, value: object) -> None:
        with suppress(AttributeError):
            # What becomes of a thing that was there depends on which it was.
            if type(get_as_before(thing, field)) not in QUICK:
                _NOTES[-1].read.add((id(thing), field))
        _note_assigned(thing, field, slots)
        set_as_before(thing, field, value)

    def delete(thing: object, field: str) -> None:
        _note_assigned(thing, field, slots)
        delete_as_before(thing, field)

    body = {
        "__slots__": (),
        "__getattribute__": get,
        "__setattr__": set_,
        "__delattr__": delete,
    }
    return type(kind.__name__, (kind,), body)


def _note_assigned(thing: object, field: str, slots: Container[str]) -> None:
    _NOTES[-1].assigned.add((id(thing), field))
    if field not in slots:  # what else is in the dict matters to what it becomes
        _NOTES[-1].read.add((id(thing), "__dict__"))


def _of_the_class(kind: type) -> frozenset[str]:
    """Return the names by which no field of an object is ever read."""
    kinds: tuple[type, ...] = (property,)
    if not kind.__dictoffset__:
        kinds = (property, FunctionType, classmethod, staticmethod)
    return frozenset(
        name
        for each in kind.__mro__
        for name, value in each.__dict__.items()
        if isinstance(value, kinds)
    )


def _kind_of(thing: object) -> Any:  # noqa: ANN401 - a class, which can be hashed
    return type(thing)


def _fields(thing: object) -> Iterator[tuple[str, object]]:
    """Yield the fields of an object that have a value."""
    for name, value in zip(*fields(thing), strict=True):
        if value is not ABSENT:
            yield name, value
