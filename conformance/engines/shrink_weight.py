"""Which of two programs is the smaller one.

Fewer operations come first, whatever else; then fewer parked calls, fewer features,
a more usual geometry, and last how far the fields are from their defaults.

Interface:
  * `weight(program)` compares.
  * `default_of(field)` is what a field is lowered towards.
"""

from typing import Any

import attrs

from conformance.interface import Geometry
from conformance.interface.points import POINTS
from conformance.program import Preempt, Program, Turn

Weight = tuple[int, ...]

PLACE = {point: place for place, point in enumerate(POINTS)}
"""A point met earlier weighs less."""


def weight(program: Program) -> Weight:
    """Return what to compare programs by."""
    setup = program.setup
    return (
        len(program.operations),
        len(program.schedule) + len(program.turns),
        program.misuse + len(setup.features),
        _changed(setup.geometry),
        sum(map(_fields, program.operations))
        + sum(map(_preempt, program.schedule))
        + sum(map(_turn, program.turns)),
    )


def default_of(field: "attrs.Attribute[Any]") -> object:
    """Return the default of a field; 0 where there is none."""
    return 0 if field.default is attrs.NOTHING else field.default


def _fields(value: attrs.AttrsInstance) -> int:
    return sum(
        _distance(getattr(value, field.name), default_of(field))
        for field in attrs.fields(type(value))
    )


def _distance(now: object, default: object) -> int:
    if now == default:
        return 0
    if not isinstance(now, int):
        return 1
    nearest = default if isinstance(default, int) else 0
    return abs(now - nearest) + (default is None)


def _changed(geometry: Geometry) -> int:
    """Return how far a geometry is from the default: first in how many fields."""
    far = [
        _distance(getattr(geometry, field.name), field.default)
        for field in attrs.fields(Geometry)
    ]
    # The limit of the reference count is a number of ten digits.
    return len(list(filter(None, far))) * 2**40 + sum(far)


def _preempt(preempt: Preempt) -> int:
    until = 0 if preempt.until is None else 1 + max(0, preempt.until - preempt.call)
    return preempt.nth + until + PLACE.get(preempt.at, len(PLACE))


def _turn(turn: Turn) -> int:
    return 0 if turn.at is None else 1 + turn.nth
