"""A snapshot tells what has changed, or that it cannot tell."""

from collections.abc import Callable, Iterator
from functools import partial

import attrs
import pytest

from conformance.engines.snapshot import ABSENT, Snapshot, fields


class Slotted:
    """A thing with a slot of its own, whose name is mangled."""

    __slots__ = ("__hidden", "shown")

    def __init__(self) -> None:
        self.__hidden = 1
        self.shown = 2

    def hide(self, value: int) -> None:
        """Change what is hidden."""
        self.__hidden = value


@attrs.define(eq=False)
class Thing:
    """A thing with one field, for whatever may stand there."""

    field: object = 0


def taken_of(thing: object) -> Snapshot:
    """Return a snapshot of a thing and of what stands in its fields."""
    snapshot = Snapshot()
    for name, value in snapshot.add_thing(thing):
        snapshot.add_value(value, name, {id(thing): thing})
    return snapshot


def test_slots_with_private_names_are_read() -> None:
    """Under the name by which the class can ask for them."""
    assert fields(Slotted()) == (("_Slotted__hidden", "shown"), (1, 2))


def test_a_slot_without_a_value_is_absent() -> None:
    """Which is not the same as having no such field."""
    thing = Slotted()
    del thing.shown

    assert fields(thing)[1] == (1, ABSENT)


def test_plain_values_that_changed_are_told() -> None:
    """Each of them once: the next look is compared with this one."""
    thing = Slotted()
    snapshot = taken_of(thing)

    assert snapshot.changed() == []
    thing.hide(5)
    assert snapshot.changed() == [(thing, "_Slotted__hidden", 5)]
    assert snapshot.changed() == []


def with_default(given: list[int]) -> Callable[[], object]:
    """Return a function that holds a list as a default."""

    def function(known: list[int] = given) -> list[int]:
        return known

    return function


def with_keyword(given: list[int]) -> Callable[[], object]:
    """Return a function that holds a list as the default of a keyword."""

    def function(*, known: list[int] = given) -> list[int]:
        return known

    return function


def with_variable(given: list[int]) -> Callable[[], object]:
    """Return a function that holds a list as a variable from outside."""

    def function() -> list[int]:
        return given

    return function


HOLDERS: tuple[Callable[[list[int]], object], ...] = (
    lambda given: given,
    lambda given: [given],
    lambda given: (0, given),
    lambda given: {"key": given},
    lambda given: partial(with_default, given),
    lambda given: partial(with_default, given=given),
    lambda given: given.append,
    Thing,
    with_default,
    with_keyword,
    with_variable,
)


@pytest.mark.parametrize("hold", HOLDERS)
def test_a_list_that_changed_is_noticed_wherever_it_is(
    hold: Callable[[list[int]], object],
) -> None:
    """More has changed than plain values of fields: everything is to be looked at."""
    inner = [1]
    snapshot = taken_of(Thing(hold(inner)))

    assert snapshot.changed() == []
    inner.append(2)
    assert snapshot.changed() is None


def test_an_equal_object_in_the_place_of_another_is_noticed() -> None:
    """Who holds the one that was there would see other changes."""
    thing = Thing([1])
    snapshot = taken_of(thing)

    thing.field = [1]
    assert snapshot.changed() is None


def endless() -> Iterator[int]:
    """Yield nothing that can be seen from outside."""
    while True:
        yield 0


@pytest.mark.parametrize("make", [lambda: iter([1]), endless])
def test_what_cannot_be_taken_apart_makes_it_blind(make: Callable[[], object]) -> None:
    """It does not say that nothing has changed."""
    snapshot = taken_of(Thing(make()))

    assert snapshot.is_blind
    assert snapshot.changed() is None


def test_a_list_in_two_fields_is_tangled() -> None:
    """A change of it would be a change of both."""
    inner = [1]
    snapshot = Snapshot()
    snapshot.add_value(inner, "one", {})
    assert not snapshot.is_tangled

    snapshot.add_value([inner], "other", {})
    assert snapshot.is_tangled


def test_other_fields_than_before_are_noticed() -> None:
    """An attribute that was not there when the snapshot was taken."""

    class Loose:
        pass

    thing = Loose()
    snapshot = taken_of(thing)

    thing.late = 1  # type: ignore[attr-defined]
    assert snapshot.changed() is None
