"""Packed programs: bytes mean operations, and Hypothesis makes them."""

import re

import pytest
from hypothesis import HealthCheck, Phase, settings

from conformance.engines import packed
from conformance.engines.budget import Budget
from conformance.engines.decoding import (
    AGAIN_MAX,
    HEADER_BYTES,
    LEFT_OUT_BYTES,
    NAMES,
    SLOT_BYTES,
    THEME_BYTES,
    UNTHEMED,
    PackedMachine,
    size_of,
)
from conformance.engines.packed import packed_test, run_packed
from conformance.engines.parks import PARKS
from conformance.engines.scenario_run import probe
from conformance.engines.setups import FEATURE_SETS
from conformance.engines.themes import THEMES
from conformance.interface import Feature, GetUserPages, Setup, Store
from conformance.oracle.history import History
from conformance.program import Preempt, Program
from reference_impl import boot
from reference_impl.mutants.catalogue import BY_NAME
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot as boot_good


def decoded(packed: bytes) -> Program:
    """Run a packed program on the reference; return what was drawn of it."""
    histories: list[History] = []
    PackedMachine(boot, probe(boot), histories.append).run(packed)
    (history,) = histories
    operations = history.program.operations[: history.drawn]
    return Program(operations, history.program.setup, history.program.schedule)


WIDE = bytes([0, 0, 0, 4 * AGAIN_MAX]).ljust(HEADER_BYTES, b"\0")
"""The header of a program in which every thing may be named."""


def slot(name: str, *fields: tuple[int, int]) -> bytes:
    """Return the slot of one operation: its fields, each out of so many."""
    number, unit = 0, 1
    for field, among in fields:
        number += field * unit
        unit *= among
    return bytes([NAMES.index(name) + 1]) + number.to_bytes(SLOT_BYTES - 1, "little")


def which(number: int, among: int, again: int = 15) -> tuple[int, int]:
    """Return a field that names something; 15: not what was used last."""
    return number * 16 + again, among * 16


def test_zeros_are_the_empty_program() -> None:
    """What shrinks to zero is gone."""
    assert decoded(bytes(size_of(5))) == Program()


def test_a_slot_is_an_operation_and_its_fields() -> None:
    """Fields are the digits of a number, in order."""
    store = slot("store", which(0, 8), which(1, 4), (1, 2), (6, 250))

    assert decoded(WIDE + store).operations == (Store(page=1, word=1, value=7),)


def test_a_slot_between_others_can_be_taken_out() -> None:
    """Zeros in its place leave the others as they are."""
    one, two = slot("store"), slot("load")
    program = decoded(bytes(HEADER_BYTES) + one + bytes(SLOT_BYTES) + two)

    assert [operation.name for operation in program.operations] == ["store", "load"]


def test_what_it_takes_is_done_first() -> None:
    """A device can write only to what is pinned."""
    program = decoded(bytes(HEADER_BYTES) + slot("device_write"))

    assert [operation.name for operation in program.operations] == [
        "get_user_pages",
        "device_write",
    ]
    assert isinstance(program.operations[0], GetUserPages)
    assert program.operations[0].write


def test_the_header_names_features_and_what_is_left_out() -> None:
    """The features by their place among the choices; a bit for each operation."""
    bit = 1 << NAMES.index("store")
    features = FEATURE_SETS.among.index(frozenset({Feature.PARITY}))
    left_out = bit.to_bytes(LEFT_OUT_BYTES, "little")
    header = bytes([features, 0, 0, 0]) + bytes(THEME_BYTES) + left_out

    program = decoded(header + slot("store"))

    assert program.setup.features == {Feature.PARITY}
    assert program.operations == ()


def test_a_theme_leaves_the_other_operations_out() -> None:
    """And is set up as the scenario that it was taken from, if the header says so."""
    number = next(i for i, t in enumerate(THEMES) if t.setup.features)
    theme = THEMES[number]
    other = next(name for name in NAMES if name not in theme.names)
    header = bytes(4) + (UNTHEMED + number).to_bytes(THEME_BYTES, "little")
    header += bytes([255] * LEFT_OUT_BYTES)

    program = decoded(header + slot(other) + slot(theme.names[0]))

    assert program.setup == theme.setup
    assert other not in {operation.name for operation in program.operations}
    assert program.operations


def test_a_call_is_parked_where_its_last_digit_says() -> None:
    """For as many operations as that says; one that is never parked has no digit."""
    among = PARKS["fsync"].among
    park = next(p for p in among if p is not None and p.operations == 2)
    fsync = slot("fsync", which(0, 8), (among.index(park), len(among)))

    program = decoded(bytes(HEADER_BYTES) + slot("load") + fsync + 3 * slot("load"))

    assert program.schedule == (Preempt(call=1, at=park.at, nth=park.nth, until=3),)
    assert "power_cut" not in PARKS


def test_the_thing_used_last_is_used_again_as_the_header_says() -> None:
    """Locality: a low number means the page that was meant before."""
    again = 5 * AGAIN_MAX - 1
    header = bytes([0, 0, 0, again]).ljust(HEADER_BYTES, b"\0")
    first = slot("store", which(0, 8), which(2, 4))
    same = slot("store", which(0, 8), which(0, 4, again=0))

    pages = [
        operation.page
        for operation in decoded(header + first + same).operations
        if isinstance(operation, Store)
    ]

    assert pages[0] == pages[1] != 0


def test_the_same_seed_draws_the_same_programs() -> None:
    """A run can be repeated."""

    def drawn(seed: int) -> list[Program]:
        histories: list[History] = []
        run_packed(boot, probe(boot), histories.append, Budget(5, 10), seed)
        return [history.program for history in histories]

    assert drawn(7) == drawn(7) != drawn(8)


def test_a_test_of_a_correct_stack_passes() -> None:
    """It is an ordinary Hypothesis test."""
    how = settings(max_examples=5, database=None, deadline=None)

    packed_test(boot, how=how)()


SHOWN = re.compile(
    r"^CNT-BAL: requested less returned changed .*\n\nprogram = Program\(\n"
    r"    operations=\(\n        GetUserPages(Fast)?\(.*\),\n    \),\n\)\n"
)


@pytest.mark.slow
def test_by_default_a_violation_is_shown_small_and_soon() -> None:
    """Nobody shrinks the bytes, which would take many times as many runs."""
    booted: list[Setup] = []
    mutant = BY_NAME["counters.references_count"].boot

    def counting(setup: Setup) -> object:
        booted.append(setup)
        return mutant(setup)

    with pytest.raises(AssertionError, match=SHOWN):
        packed_test(counting)()

    assert len(booted) < 300


def test_a_crash_is_shown_small() -> None:
    """It is no violation, and a failure all the same."""

    def breaking(setup: Setup) -> object:
        return but(boot_good(setup), "load", lambda *_, **__: 1 / 0)

    shown = r"raised ZeroDivisionError: [^\n]*\n\nprogram = (.*\n){4}\)\n"
    with pytest.raises(AssertionError, match=shown):
        packed_test(breaking)()


def test_whoever_shrinks_the_bytes_makes_the_program_small_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each rule; Hypothesis fails hundreds of times while it shrinks."""
    asked: list[str] = []

    def smallest(*args: object) -> str:
        asked.append(str(args[2]))
        return "small"

    monkeypatch.setattr(packed, "_smallest", smallest)
    tested = packed_test(BY_NAME["counters.references_count"].boot)
    for _ in range(2):
        with pytest.raises(AssertionError, match=r"^small\n"):
            tested()

    assert asked == ["CNT-BAL"]


@pytest.mark.slow
def test_a_test_of_a_faulty_stack_shows_the_program() -> None:
    """The first MUST that is violated, and the smallest program that there is."""
    mutant = BY_NAME["dirty.dirties_orphans"].boot
    how = settings(
        max_examples=300,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )

    with pytest.raises(AssertionError, match=r"^[A-Z]+-[A-Z-]+: .*\n\nprogram = Prog"):
        packed_test(mutant, how=how)()
