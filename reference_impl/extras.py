"""What a variant keeps beside what the layer that it replaces keeps.

A fingerprint that is written down layer by layer knows nothing of the fields that a
variant adds. States that differ in them act differently, so they are printed here.

Interface:
  * `print_extras(layers, standard, name_of)`: nothing, for the standard layers.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping

import attrs


def print_extras(
    layers: Iterable[object],
    standard: frozenset[type],
    name_of: Callable[[object], Hashable | None],
) -> Hashable:
    """Print the fields that the classes of variants have added."""
    return tuple(
        (type(layer).__name__, field, _print(getattr(layer, field, None), name_of))
        for layer in layers
        for base in _standard_of(type(layer), standard)
        for field in _added(layer, base)
    )


def _standard_of(kind: type, standard: frozenset[type]) -> list[type]:
    """Return the standard class that a class is a variant of, if it is one."""
    return [] if kind in standard else [k for k in kind.__mro__ if k in standard][:1]


def _added(layer: object, base: type) -> list[str]:
    """Return the fields of a layer that its standard class does not have."""
    known = set(_declared(base))
    declared = _declared(type(layer))
    others = sorted(set(getattr(layer, "__dict__", ())) - set(declared))
    return [name for name in (*declared, *others) if name not in known]


def _declared(kind: type) -> list[str]:
    return [each.name for each in attrs.fields(kind)] if attrs.has(kind) else []


def _print(value: object, name_of: Callable[[object], Hashable | None]) -> Hashable:
    """Print a value by its content, a thing of the stack by its name."""
    if isinstance(value, Mapping):
        items = ((_print(k, name_of), _print(v, name_of)) for k, v in value.items())
        return ("mapping", tuple(items))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(_print(each, name_of) for each in value))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(_print(each, name_of) for each in value))
    name = name_of(value)
    return repr(value) if name is None else name
