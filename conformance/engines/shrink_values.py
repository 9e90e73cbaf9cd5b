"""Passes that lower what is left: names of things, and single fields.

See `shrink.py` for what a pass is.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from conformance.engines.shrink_weight import default_of
from conformance.interface import Operation
from conformance.program import Program

Steps = Generator[Program, bool, None]
Value = TypeVar("Value", bound=attrs.AttrsInstance)

NAMES: Sequence[tuple[str, ...]] = (
    ("process", "child"),
    ("file", "clone", "other"),
    ("mapping",),
    ("pin",),
    ("device",),
    ("page", "file_page", "other_page"),
    ("word",),
    ("value",),
)
"""Fields that hold names of the same kind: one is changed everywhere, or nowhere."""


def lower_names(program: Program) -> Steps:
    """Give a thing a lower number, wherever it is named; another changes with it."""
    for fields in NAMES:
        for high in sorted(_numbers(program, fields), reverse=True):
            for low in range(min(high, 1 + len(_numbers(program, fields)))):
                smaller = _swapped(program, fields, high, low)
                if (yield smaller):
                    program = smaller
                    break


def _numbers(program: Program, fields: Sequence[str]) -> set[int]:
    return {
        number
        for operation in program.operations
        for field in fields
        if isinstance(number := getattr(operation, field, None), int)
    }


def _swapped(program: Program, fields: Sequence[str], one: int, other: int) -> Program:
    swap = {one: other, other: one}
    operations = [_renamed(each, fields, swap) for each in program.operations]
    return attrs.evolve(program, operations=operations)


def _renamed(
    operation: Operation, fields: Sequence[str], swap: dict[int, int]
) -> Operation:
    changes = {
        field: swap[number]
        for field in fields
        if (number := getattr(operation, field, None)) in swap
    }
    return _evolved(operation, changes) if changes else operation


def lower_fields(program: Program) -> Steps:
    """Lower each field of each operation towards its default."""
    for index in range(len(program.operations)):
        smaller = _lower_operation(program, index)
        program = yield from smaller


def _lower_operation(program: Program, index: int) -> Generator[Program, bool, Program]:
    operation = program.operations[index]
    before, after = program.operations[:index], program.operations[index + 1 :]

    def place(operation: Operation) -> Program:
        return attrs.evolve(program, operations=(*before, operation, *after))

    return place((yield from lower_all(operation, place)))


def lower_all(
    value: Value, place: Callable[[Value], Program]
) -> Generator[Program, bool, Value]:
    """Lower the fields of a value: all at once, or one after the other.

    Args:
        value: What is in the program now.
        place: Returns the program with another value in its place.
    """
    fields = attrs.fields(type(value))
    plain = _evolved(value, {field.name: default_of(field) for field in fields})
    if (yield place(plain)):
        return plain
    for field in fields:
        value = yield from _lower(value, field, place)
    return value


def _lower(
    value: Value, field: "attrs.Attribute[Any]", place: Callable[[Value], Program]
) -> Generator[Program, bool, Value]:
    untried = _lower_than(getattr(value, field.name), default_of(field))
    while untried:
        smaller = _evolved(value, {field.name: untried.pop(0)})
        if (yield place(smaller)):
            value = smaller
            untried = _lower_than(getattr(value, field.name), default_of(field))
    return value


def _lower_than(now: object, default: object) -> list[object]:
    """Return what to try instead of a value: the default, half way, one less."""
    if now == default:
        return []
    if isinstance(now, bool) or not isinstance(now, int):
        return [default]
    nearest = default if isinstance(default, int) else 0
    far = now - nearest
    less = [nearest + int(far / 2), now - (1 if far > 0 else -1)]
    return list(dict.fromkeys([default, *(each for each in less if each != now)]))


def _evolved(value: Value, changes: Mapping[str, object]) -> Value:
    return attrs.evolve(value, **changes)  # type: ignore[misc]  # any of our values
