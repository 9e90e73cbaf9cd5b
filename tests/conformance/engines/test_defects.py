"""Which crashes are of one sort."""

from collections.abc import Callable

import pytest

from conformance.engines.running import run
from conformance.interface import (
    Errno,
    GetUserPages,
    KernelError,
    Load,
    Operation,
    Store,
)
from conformance.oracle.history import Crash
from conformance.program import Program
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot as boot_good


def _here() -> object:
    raise RuntimeError(f"not here, for the {len(Program().operations)}th time")


def _there() -> object:
    raise RuntimeError("not there")


def _deep(frames: int) -> object:
    return _deep(frames + 1)


def crash_in(operation: Operation, act: Callable[[], object]) -> Crash:
    """Return how a stack crashes in which one operation is broken."""

    def boot(setup: object) -> object:
        return but(boot_good(setup), operation.name, lambda _, **__: act())  # type: ignore[arg-type]

    crash = run(boot, Program([operation])).crash
    assert crash is not None
    return crash


def test_what_was_raised_and_where_is_the_sort() -> None:
    """Whoever called, and with whatever."""
    first, other = crash_in(Load(), _here), crash_in(Store(value=3), _here)

    assert first.message != other.message
    assert first.sort == other.sort
    assert first.sort.startswith(f"RuntimeError in {__name__}._here, line ")


@pytest.mark.parametrize(
    "act",
    [
        _there,
        lambda: int("no number"),
        lambda: "no number",
        lambda: _deep(0),
        lambda: (_ for _ in ()).throw(KernelError(Errno.EEXIST)),
    ],
)
def test_another_line_or_error_is_another_sort(act: Callable[[], object]) -> None:
    """And so is an answer that is none, or a refusal that the contract forbids."""
    assert crash_in(Load(), act).sort != crash_in(Load(), _here).sort


def test_how_deep_it_was_is_no_part_of_it() -> None:
    """The stack ends wherever it ends."""
    assert crash_in(Load(), lambda: _deep(0)).sort == "RecursionError in load"


def test_what_is_answered_is_no_part_of_it() -> None:
    """Which operation answers is."""
    one, two = crash_in(Load(), lambda: "1"), crash_in(Load(), lambda: 2.0)
    other = crash_in(GetUserPages(), lambda: "1")

    assert one.sort == two.sort != other.sort
