"""What stood in the fields of things at one moment, kept to see what has changed.

A field is as it was if the same object stands in it, and if that is one which cannot
change, or is a thing whose fields are looked at, too, or was taken apart: then what is
in it must be the same objects. All that is compared is kept alive, so that no identity
is used twice. What cannot be taken apart like this, an iterator for instance, makes the
snapshot *blind*: it cannot tell that something is as it was.

Interface:
  * `fields(thing)` returns the names of its fields, and what stands in them.
  * `Snapshot()`, `add_thing` for each thing, `add_value` for each value; `changed()`.
"""

import gc
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache, partial
from itertools import chain
from operator import attrgetter, is_
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import attrs

from conformance.engines.printing import ATOMS, is_fixed

Names = tuple[str, ...]
Values = tuple[object, ...]

ABSENT = object()
"""Stands in a field that has no value."""
CONTAINERS = (list, tuple, set, frozenset, deque)
QUICK = frozenset({int, bool, str, type(None)})
"""Kinds that hold nothing, and are found in most of the fields."""
_NO_FIELDS = ("__dict__", "__weakref__")


@cache
def fields_of(kind: type) -> Names:
    """Return the names of the slots of a class, as they are asked for."""
    slots: list[str] = []
    for each in reversed(kind.__mro__):
        own = each.__dict__.get("__slots__", ())
        names = [own] if isinstance(own, str) else own
        slots += [_mangled(each, name) for name in names if name not in _NO_FIELDS]
    return tuple(dict.fromkeys(slots))


def _mangled(kind: type, name: str) -> str:
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{kind.__name__.lstrip('_')}{name}" if is_private else name


@cache
def _reader(kind: type) -> Callable[[object], Values]:
    """Return what reads all slots of an object at once."""
    names = fields_of(kind)
    several = 2
    get: Callable[[object], Any] | None = None
    if len(names) >= several:
        get = attrgetter(*names)

    def read(thing: object) -> Values:
        if get is not None:
            try:
                return get(thing)  # type: ignore[no-any-return]  # a tuple, of several
            except AttributeError:
                pass
        return tuple(getattr(thing, name, ABSENT) for name in names)

    return read


def fields(thing: object) -> tuple[Names, Values]:
    """Return the names of all fields of an object, and what stands in them."""
    kind: Any = type(thing)  # it can be hashed
    names, values = fields_of(kind), _reader(kind)(thing)
    if kind.__dictoffset__:
        own = vars(thing)
        return (*names, *own), (*values, *own.values())
    return names, values


@cache
def _opener(kind: Any) -> Callable[[Any], Values] | None:  # noqa: ANN401 - a class
    """Return what takes values of a class apart; None: nothing does."""
    if attrs.has(kind):
        return lambda value: tuple(chain.from_iterable(fields(value)))
    return next((opener for each, opener in _OPENERS if issubclass(kind, each)), None)


def _items_of(mapping: Mapping[object, object]) -> Values:
    return tuple(chain.from_iterable(mapping.items()))


def _bound_by(call: partial[object]) -> Values:
    return call.func, *call.args, *call.keywords.values()


def _given_to(function: FunctionType) -> Values:
    """Return the defaults of a function, and what its variables from outside are."""
    by_name = function.__kwdefaults__ or {}
    cells = gc.get_referents(*function.__closure__ or ())
    return *(function.__defaults__ or ()), *by_name.values(), *cells


_OPENERS: tuple[tuple[Any, Callable[[Any], Values]], ...] = (
    (Mapping, _items_of),
    *((kind, tuple) for kind in CONTAINERS),
    (FunctionType, _given_to),
    (partial, _bound_by),
)


def _are_same(some: Values, others: Values) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


_Held = tuple[object, Callable[[Any], Values], Values]
"""A value, what takes it apart, and what was in it."""


@attrs.define(eq=False)
class Snapshot:
    """Fields of things, and what is in their values."""

    is_blind: bool = False
    """It holds something of which it cannot be told whether it has changed."""
    is_tangled: bool = False
    """Something that can be changed is held in two fields."""
    holders: dict[int, Hashable] = attrs.field(factory=dict[int, Hashable])
    """In which field a value that can be changed is, by identity of the value."""
    _things: list[tuple[object, Names, Values]] = attrs.field(
        factory=list[tuple[object, Names, Values]]
    )
    _held: dict[int, _Held] = attrs.field(factory=dict[int, _Held])
    """What was taken apart, by identity."""

    def add_thing(self, thing: object) -> Iterable[tuple[str, object]]:
        """Keep what stands in the fields of a thing, and return it."""
        names, values = fields(thing)
        self._things.append((thing, names, values))
        return zip(names, values, strict=True)

    def add_value(
        self, value: object, part: Hashable, things: Mapping[int, object]
    ) -> None:
        """Keep what a value is made of, down to what cannot change, and to things.

        Args:
            value: what stands in a field.
            part: the field.
            things: the things, by identity.
        """
        if type(value) in QUICK or id(value) in things or isinstance(value, ATOMS):
            return
        if id(value) in self._held:
            self.is_tangled |= self.holders.get(id(value), part) != part
            return
        if isinstance(value, (MethodType, BuiltinFunctionType)):
            self.add_value(value.__self__, part, things)
            return
        kind: Any = type(value)  # it can be hashed
        take_apart = _opener(kind)
        if take_apart is None:
            self.is_blind = True
            return
        contents = take_apart(value)
        self._held[id(value)] = value, take_apart, contents
        if not is_fixed(value):
            self.holders[id(value)] = part
        for each in contents:
            self.add_value(each, part, things)

    def changed(self) -> list[tuple[object, str, object]] | None:
        """Return each field whose value is another now: thing, field, value.

        Returns:
            None: more than plain values of fields has changed, or may have.
        """
        if self.is_blind or not self._holds_the_same():
            return None
        changes: list[tuple[object, str, object]] = []
        for place, (thing, names, before) in enumerate(self._things):
            now_names, now = fields(thing)
            if names != now_names:
                return None
            if not _are_same(before, now):
                triples = zip(names, before, now, strict=True)
                others = [each for each in triples if each[1] is not each[2]]
                if not all(type(o) in QUICK and type(n) in QUICK for _, o, n in others):
                    return None
                changes += [(thing, name, new) for name, _, new in others]
                self._things[place] = thing, names, now
        return changes

    def _holds_the_same(self) -> bool:
        return all(
            _are_same(contents, take_apart(value))
            for value, take_apart, contents in self._held.values()
        )
