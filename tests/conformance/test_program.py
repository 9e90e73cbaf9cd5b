"""Programs are data: stored, printed, cut, and made again."""

import json
from typing import Any

import attrs
import pytest

from conformance.engines.timeline import LANE_OF
from conformance.interface import (
    OPERATIONS,
    Feature,
    Fsync,
    Geometry,
    Hold,
    HoldPoint,
    Load,
    Setup,
    Store,
)
from conformance.program import Preempt, Program, as_python, from_json, to_json

PROGRAM = Program(
    operations=(Store(page=1, value=7), Hold(at=HoldPoint.BEFORE_CAPTURE), Fsync()),
    setup=Setup(Geometry(pin_bias=4), {Feature.CHECKSUMS}),
    schedule=(Preempt(call=2, at="mkclean.pte", until=None),),
    misuse=True,
)


def test_a_stored_program_is_the_same_program() -> None:
    """It goes through real JSON text and comes back equal."""
    stored = json.dumps(to_json(PROGRAM))

    assert from_json(json.loads(stored)) == PROGRAM


def test_every_operation_can_be_stored() -> None:
    """No operation has a field that JSON cannot hold."""
    required: dict[str, Any] = {"file": 1}
    operations = [
        kind(
            **{
                field.name: required[field.name]
                for field in attrs.fields(kind)
                if field.default is attrs.NOTHING
            }
        )
        for kind in OPERATIONS.values()
    ]
    program = Program(operations)

    assert from_json(json.loads(json.dumps(to_json(program)))) == program


def other(field: Any) -> Any:
    """Return a value of a field that is not its default."""
    if field.type is bool:
        return not field.default
    if isinstance(field.default, HoldPoint):
        return next(point for point in HoldPoint if point is not field.default)
    return 3 if field.default != 3 else 4


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_field_of_an_operation_survives(name: str) -> None:
    """None is left out although it was set."""
    kind = OPERATIONS[name]
    operation = kind(**{field.name: other(field) for field in attrs.fields(kind)})
    program = Program((operation,))

    stored = to_json(program)

    assert from_json(json.loads(json.dumps(stored))) == program
    fields = {field.name for field in attrs.fields(kind)}
    assert set(stored["operations"][0]) == {"op", *fields}


def test_every_field_of_a_setup_survives() -> None:
    """All features, and a geometry with nothing as it is by default."""
    geometry = {field.name: other(field) for field in attrs.fields(Geometry)}
    program = Program((), Setup(Geometry(**geometry), Feature))

    assert from_json(json.loads(json.dumps(to_json(program)))) == program


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"format": 3}, "has format 3"),
        ({}, "has format None"),
        ({"format": 1}, "not a stored program"),
        (
            {**to_json(PROGRAM), "operations": [{"op": "fly"}]},
            "not a stored program",
        ),
        (
            {**to_json(PROGRAM), "operations": [{"op": "load", "page": "1"}]},
            "not a stored program: Load.page is '1'",
        ),
        (
            {**to_json(PROGRAM), "operations": [{"op": "load", "page": True}]},
            "not a stored program: Load.page is True",
        ),
        ({**to_json(PROGRAM), "operations": ["load"]}, "not a stored program"),
        ({**to_json(PROGRAM), "features": ["wings"]}, "not a stored program"),
        (
            {**to_json(PROGRAM), "operations": [{"op": "load", "depth": 1}]},
            "not a stored program",
        ),
    ],
)
def test_what_is_no_program_is_refused(
    record: dict[str, object], complaint: str
) -> None:
    """The sentence says what is wrong with the record."""
    with pytest.raises(ValueError, match=complaint):
        from_json(record)


def test_printed_python_makes_the_program_again() -> None:
    """What a failure prints can be run."""
    names: dict[str, object] = {}
    exec(  # noqa: S102 - that is what a user does with it
        "from conformance.interface import *\n"
        "from conformance.program import Preempt, Program\n"
        f"program = {as_python(PROGRAM)}",
        names,
    )

    assert names["program"] == PROGRAM


def test_defaults_are_not_printed() -> None:
    """Minimal programs are short."""
    assert as_python(Program((Load(),))) == (
        "Program(\n    operations=(\n        Load(),\n    ),\n)"
    )


def test_a_cut_program_keeps_its_schedule_in_step() -> None:
    """Indexes after the operation that was taken out move by one."""
    program = Program(
        (Store(), Load(), Fsync(), Load()),
        schedule=(Preempt(call=2, at="mkclean.pte", until=3),),
    )

    cut = program.without(0)
    gone = program.without(2)

    assert cut.schedule == (Preempt(call=1, at="mkclean.pte", until=2),)
    assert cut.operations == (Load(), Fsync(), Load())
    assert gone.schedule == ()


def test_every_operation_has_a_lane() -> None:
    """The timeline can draw every operation."""
    assert set(LANE_OF) == set(OPERATIONS)
