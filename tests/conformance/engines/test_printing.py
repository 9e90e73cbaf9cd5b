"""Suspended calls are told apart exactly if they go on differently."""

from collections.abc import Generator, Iterator

import attrs
import pytest

from conformance.engines.printing import Printer, UnprintableError


@attrs.define(eq=False)
class Thing:
    """A thing of a stack."""

    name: str | None


def _name(thing: object) -> str | None:
    return thing.name if isinstance(thing, Thing) else None


class Opaque:
    """A thing of which nobody knows what it holds."""


def _printed(value: object) -> object:
    return Printer(_name).print(value)


def _walk(items: list[int]) -> Iterator[None]:
    for item in list(items):
        if item > 0:
            yield
        del item


def _outer(items: list[int]) -> Iterator[None]:
    yield from _walk(items)


def _stopped(body: Iterator[None], steps: int = 1) -> Iterator[None]:
    for _ in range(steps):
        next(body)
    return body


def test_equal_places_print_alike() -> None:
    """Two runs of the same code that stand at the same point are not told apart."""
    assert _printed(_stopped(_outer([1, 2]))) == _printed(_stopped(_outer([1, 2])))


@pytest.mark.parametrize(
    ("items", "steps"), [([1, 1], 2), ([1, 2], 1), ([1, 1, 1], 1)], ids=str
)
def test_what_a_loop_has_left_counts(items: list[int], steps: int) -> None:
    """The iterator of a loop is in no variable, and yet decides what comes."""
    here = _stopped(_outer([1, 1]))

    assert _printed(here) != _printed(_stopped(_outer(items), steps))


def test_things_are_told_by_their_names() -> None:
    """Two runs have two objects for the same page."""
    assert _printed([Thing("page 1")]) == _printed([Thing("page 1")])
    assert _printed([Thing("page 1")]) != _printed([Thing("page 2")])


def test_a_thing_without_a_name_is_told_by_its_fields() -> None:
    """Where only a call holds it; the same thing is not two equal ones."""
    one, other = Thing(None), Thing(None)

    assert _printed((one, one)) == _printed((other, other))
    assert _printed((one, one)) != _printed((one, other))


def test_what_shows_no_fields_is_not_printed() -> None:
    """Nothing is taken for equal that cannot be compared."""
    with pytest.raises(UnprintableError, match=r"^Opaque$"):
        _printed(Opaque())


def test_the_same_list_is_not_an_equal_one() -> None:
    """A list that two variables share is changed through both."""
    shared: list[int] = []

    assert _printed((shared, shared)) != _printed(([], []))


def test_closures_count() -> None:
    """What a function was made with is part of it."""

    def made(value: int) -> object:
        return lambda: value

    assert _printed(made(1)) == _printed(made(1))
    assert _printed(made(1)) != _printed(made(2))


def test_a_refusal_on_its_way_counts() -> None:
    """A call that is cleaning up after one error is not as after another."""

    def refused(error: Exception) -> Generator[None]:
        try:
            raise error
        except ValueError:
            yield

    one, other = refused(ValueError("one")), refused(ValueError("other"))

    assert _printed(_stopped(one)) != _printed(_stopped(other))
