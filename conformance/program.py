"""A program: what is run, printed, stored, replayed and shrunk.

A program is a setup, a list of operations, and a schedule. The schedule is empty
for most: operations are then asked one after the other, each being let run until it
has answered or is known to be blocked. A `Preempt` parks a stepped call at a point
in its middle, while the operations after it run. Where that is not enough, *turns* say
of a few calls, and of the stack's actors, who runs how far before who else does.

Interface:
  * `Program.without(i)` is the program without an operation, schedule adjusted: any
    sub-list of a program is a program.
  * `to_json` and `from_json` store it; the format is versioned. `digest` is a short
    name of the content.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from conformance.interface import (
    OPERATIONS,
    Feature,
    Geometry,
    HoldPoint,
    Operation,
    Setup,
)

FORMAT = 1
"""Version of the stored form; raised when an old reader would misread a new file."""
FORMAT_WITH_TURNS = 2
"""Of a program that has turns; all others are stored as before."""
WAITING = "waiting"
"""Where a turn ends that lasts until its call cannot go on by itself."""

DIGEST_DIGITS = 12


@attrs.frozen
class Preempt:
    """Park a call where it reaches a point, until a later operation has settled."""

    call: int
    """Index of the operation whose call is parked."""
    at: str
    """The point, one of `conformance.interface.points.POINTS`."""
    nth: int = 1
    """Which arrival at the point, from 1."""
    until: int | None = None
    """Index of the operation after which it goes on; None: the end of the program."""


@attrs.frozen
class Turn:
    """Let one call run, and nobody else but the actors that it waits for."""

    call: int
    """Index of the operation, asked with its first turn; -1, -2: an actor."""
    at: str | None = None
    """The point at which it stops; `WAITING`; None: when it has answered.

    An actor stops when it has nothing to do.
    """
    nth: int = 1
    """Which arrival at the point, from 1."""


def _turns(given: Iterable[Turn]) -> tuple[Turn, ...]:
    return tuple(given)


def _operations(given: Iterable[Operation]) -> tuple[Operation, ...]:
    return tuple(given)


def _preempts(given: Iterable[Preempt]) -> tuple[Preempt, ...]:
    return tuple(given)


@attrs.frozen
class Program:
    """Operations to be asked, in this order."""

    operations: tuple[Operation, ...] = attrs.field(default=(), converter=_operations)
    setup: Setup = attrs.field(factory=Setup)
    schedule: tuple[Preempt, ...] = attrs.field(default=(), converter=_preempts)
    misuse: bool = False
    """The callers in this program break their obligations on purpose."""
    turns: tuple[Turn, ...] = attrs.field(default=(), converter=_turns)
    """Of the calls that run at once; when these are over everything settles.

    The operations before the first of them are asked one after the other, and so are
    those after the last. A program with turns has no other schedule.
    """

    def without(self, index: int) -> "Program":
        """Return the program without one operation."""
        operations = self.operations[:index] + self.operations[index + 1 :]
        schedule = [
            attrs.evolve(
                preempt,
                call=_shifted(preempt.call, index),
                until=None if preempt.until is None else _shifted(preempt.until, index),
            )
            for preempt in self.schedule
            if preempt.call != index
        ]
        turns = [
            attrs.evolve(turn, call=_shifted(turn.call, index))
            for turn in self.turns
            if turn.call != index
        ]
        return attrs.evolve(self, operations=operations, schedule=schedule, turns=turns)


def _shifted(position: int, removed: int) -> int:
    return position - 1 if position > removed else position


def to_json(program: Program) -> dict[str, Any]:
    """Return the program as plain dicts and lists; default fields are left out."""
    record = {
        "format": FORMAT_WITH_TURNS if program.turns else FORMAT,
        "geometry": _changed_fields(program.setup.geometry),
        "features": sorted(feature.value for feature in program.setup.features),
        "operations": [
            {"op": operation.name, **_changed_fields(operation)}
            for operation in program.operations
        ],
        "schedule": [_changed_fields(preempt) for preempt in program.schedule],
        "misuse": program.misuse,
    }
    if program.turns:
        record["turns"] = [_changed_fields(turn) for turn in program.turns]
    return record


def digest(program: Program) -> str:
    """Return a short name of the content, the same on every machine."""
    text = json.dumps(to_json(program), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def from_json(record: Mapping[str, Any]) -> Program:
    """Return the program that was stored.

    Raises:
        ValueError: the record is of another format, or not a program.
    """
    if record.get("format") not in (FORMAT, FORMAT_WITH_TURNS):
        raise ValueError(
            f"stored program has format {record.get('format')!r} (should be {FORMAT})"
        )
    try:
        return Program(
            operations=[_operation(entry) for entry in record["operations"]],
            setup=Setup(
                geometry=_checked(Geometry(**record["geometry"])),
                features=frozenset(Feature(name) for name in record["features"]),
            ),
            schedule=[_checked(Preempt(**entry)) for entry in record["schedule"]],
            misuse=bool(record["misuse"]),
            turns=[_checked(Turn(**entry)) for entry in record.get("turns", ())],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a stored program: {error}") from error


def _operation(entry: Mapping[str, Any]) -> Operation:
    fields = {name: value for name, value in entry.items() if name != "op"}
    if "at" in fields:
        fields["at"] = HoldPoint(fields["at"])
    return _checked(OPERATIONS[entry["op"]](**fields))


_Value = TypeVar("_Value", bound=attrs.AttrsInstance)


def _checked(value: _Value) -> _Value:
    """Return a value whose fields are of their types: a file may hold anything."""
    for field in attrs.fields(type(value)):
        given = getattr(value, field.name)
        assert field.type is not None
        is_number = field.type is not bool and isinstance(given, bool)
        if is_number or not isinstance(given, field.type):
            raise TypeError(f"{type(value).__name__}.{field.name} is {given!r}")
    return value


def _changed_fields(value: attrs.AttrsInstance) -> dict[str, Any]:
    changed = {}
    for field in attrs.fields(type(value)):
        now = getattr(value, field.name)
        if now != field.default:
            changed[field.name] = now.value if isinstance(now, HoldPoint) else now
    return changed


def as_python(program: Program) -> str:
    """Return the program as Python that makes it again, one operation on a line."""
    lines = ["Program(", "    operations=("]
    lines += [f"        {_call(operation)}," for operation in program.operations]
    lines.append("    ),")
    lines += _setup_lines(program.setup)
    if program.schedule:
        parks: Sequence[str] = [_call(preempt) for preempt in program.schedule]
        lines.append(f"    schedule=({', '.join(parks)},),")
    if program.turns:
        turns = [f"        {_call(turn)}," for turn in program.turns]
        lines += ["    turns=(", *turns, "    ),"]
    if program.misuse:
        lines.append("    misuse=True,")
    return "\n".join([*lines, ")"])


def _setup_lines(setup: Setup) -> list[str]:
    arguments = []
    if setup.geometry != Geometry():
        arguments.append(f"geometry={_call(setup.geometry)}")
    if setup.features:
        names = sorted(f"Feature.{feature.name}" for feature in setup.features)
        arguments.append(f"features={{{', '.join(names)}}}")
    return [f"    setup=Setup({', '.join(arguments)}),"] if arguments else []


def _call(value: attrs.AttrsInstance) -> str:
    arguments = []
    for field in attrs.fields(type(value)):
        now = getattr(value, field.name)
        if now != field.default:
            shown = f"HoldPoint.{now.name}" if isinstance(now, HoldPoint) else repr(now)
            arguments.append(f"{field.name}={shown}")
    return f"{type(value).__name__}({', '.join(arguments)})"
