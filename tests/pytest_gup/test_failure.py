"""The text of a failing node."""

import attrs
import pytest

from conformance.engines.repetition import NO_REPETITION
from conformance.interface import Load
from conformance.program import Preempt, Program, Turn
from conformance.rules.catalogue import BY_ID
from pytest_gup import failure
from tests.pytest_gup.verdicts import VIOLATION

RULE = BY_ID["REF-FREE"]


def test_what_is_not_known_is_not_printed() -> None:
    """A drawn program has no scenario; some violations show at no single call."""
    drawn = attrs.evolve(
        VIOLATION, scenario=None, call=None, program=Program((Load(),))
    )

    text = failure.violated(RULE, drawn, "1a2b3c4d", "pytest")

    assert "scenario" not in text
    assert "it shows at" not in text
    assert text.startswith("REF-FREE: page 0 was lost\n")
    assert ", 1 operation\n" in text


@pytest.mark.parametrize(
    ("sentence", "is_minimal", "says_so"),
    [
        ("it was lost", False, True),
        ("it was lost", True, False),
        (f"it was lost ({NO_REPETITION})", False, False),
    ],
)
def test_what_can_be_smaller_says_so(
    sentence: str, *, is_minimal: bool, says_so: bool
) -> None:
    """What was seen only once cannot be shrunk at all."""
    reached = attrs.evolve(VIOLATION, sentence=sentence, is_minimal=is_minimal)

    text = failure.violated(RULE, reached, "1a2b3c4d", "pytest")

    words = "1a2b3c4d, 3 operations; not minimal yet, the next run goes on\n"
    assert (words in text) is says_so


@pytest.mark.parametrize(
    "program",
    [
        VIOLATION.program,
        Program((Load(), Load()), schedule=[Preempt(0, "fault.begin")]),
        Program((Load(), Load()), turns=[Turn(0, "fault.begin"), Turn(1)]),
    ],
)
def test_the_program_can_be_run(program: Program) -> None:
    """What is printed between the imports and the timeline is Python."""
    violation = attrs.evolve(VIOLATION, program=program)
    lines = failure.violated(RULE, violation, "1a2b3c4d", "pytest").splitlines()
    first = lines.index("from conformance.interface import *")
    names: dict[str, object] = {}

    exec("\n".join(lines[first : lines.index(")") + 1]), names)  # noqa: S102 - a user would

    assert names["program"] == program
