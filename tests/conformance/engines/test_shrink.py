"""The shrinker: what it returns cannot lose one thing more."""

from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import attrs
import pytest
from hypothesis import given, strategies as st

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.engines.shrink import PASSES, Bound, Result, shrink
from conformance.engines.shrink_weight import default_of, weight
from conformance.interface import (
    Create,
    DeviceWrite,
    Feature,
    Fsync,
    Geometry,
    GetUserPages,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Operation,
    PutUserPages,
    Setup,
    Store,
)
from conformance.interface.points import POINTS
from conformance.program import Preempt, Program
from conformance.rules.catalogue import BY_ID
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl.mutants.catalogue import BY_NAME

Value = TypeVar("Value", bound=attrs.AttrsInstance)
Fails = Callable[[Program], bool]

SMALL = st.integers(0, 3)
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Store, page=SMALL, word=SMALL, value=st.integers(0, 250)),
    st.builds(Load, page=SMALL, process=SMALL),
    st.builds(GetUserPages, page=SMALL, pin=SMALL, write=st.booleans()),
    st.builds(PutUserPages, pin=SMALL, pages=st.none() | st.integers(-3, 3)),
    st.builds(Mmap, file=st.none() | SMALL, mapping=SMALL, shared=st.booleans()),
    st.builds(Hold, at=st.sampled_from(HoldPoint)),
    st.builds(Create, file=SMALL),
)
PREEMPTS = st.builds(
    Preempt,
    call=st.integers(0, 9),
    at=st.sampled_from(POINTS),
    nth=st.integers(1, 4),
    until=st.none() | st.integers(0, 12),
)
PROGRAMS = st.builds(
    Program,
    operations=st.lists(OPERATIONS, max_size=12),
    setup=st.builds(
        Setup,
        geometry=st.builds(
            Geometry, folio_pages=st.integers(1, 4), pin_bias=st.integers(1, 2048)
        ),
        features=st.frozensets(st.sampled_from(Feature), max_size=3),
    ),
    schedule=st.lists(PREEMPTS, max_size=3),
    misuse=st.booleans(),
)

WANTED: dict[str, Fails] = {
    "a store that is not to page 0": lambda program: any(
        isinstance(each, Store) and each.page for each in program.operations
    ),
    "a page that is pinned twice": lambda program: any(
        isinstance(one, GetUserPages)
        and isinstance(other, GetUserPages)
        and one.page == other.page
        and one.pin != other.pin
        for one in program.operations
        for other in program.operations
    ),
    "a parked call, the second time": lambda program: any(
        preempt.nth > 1 and preempt.call < len(program.operations)
        for preempt in program.schedule
    ),
    "stamps that add up": lambda program: (
        sum(each.value for each in program.operations if isinstance(each, Store)) > 100
    ),
    "a folio, with checksums or with misuse": lambda program: (
        program.setup.geometry.folio_pages > 1
        and (program.misuse or Feature.CHECKSUMS in program.setup.features)
    ),
    "as many operations as features": lambda program: (
        len(program.operations) == len(program.setup.features) + 1
    ),
}


def less(program: Program) -> Iterator[Program]:
    """Yield the program with one thing less, in every way that there is."""
    for index in range(len(program.operations)):
        yield program.without(index)
    for index in range(len(program.schedule)):
        schedule = program.schedule[:index] + program.schedule[index + 1 :]
        yield attrs.evolve(program, schedule=schedule)
    for feature in program.setup.features:
        rest = Setup(program.setup.geometry, program.setup.features - {feature})
        yield attrs.evolve(program, setup=rest)
    if program.misuse:
        yield attrs.evolve(program, misuse=False)
    yield from lower(program)


def lower(program: Program) -> Iterator[Program]:
    """Yield the program with one field at its default, or nearer by one."""
    for index, operation in enumerate(program.operations):
        for smaller in nearer(operation):
            operations = list(program.operations)
            operations[index] = smaller
            yield attrs.evolve(program, operations=operations)
    for geometry in nearer(program.setup.geometry):
        setup = Setup(geometry, program.setup.features)
        yield attrs.evolve(program, setup=setup)
    for index, preempt in enumerate(program.schedule):
        schedule = list(program.schedule)
        schedule[index] = attrs.evolve(preempt, nth=max(1, preempt.nth - 1))
        yield attrs.evolve(program, schedule=schedule)
        schedule[index] = attrs.evolve(preempt, until=None)
        yield attrs.evolve(program, schedule=schedule)


def nearer(value: Value) -> Iterator[Value]:
    """Yield a value with one field at its default, or nearer to it by one."""
    for field in attrs.fields(type(value)):
        now, default = getattr(value, field.name), default_of(field)
        yield changed(value, field.name, default)
        if isinstance(now, int) and not isinstance(now, bool):
            nearest = default if isinstance(default, int) else 0
            step = (now < nearest) - (now > nearest)
            yield changed(value, field.name, now + step)


def changed(value: Value, name: str, now: object) -> Value:
    """Return a value with another field."""
    return attrs.evolve(value, **{name: now})  # type: ignore[misc]  # any of ours


def is_minimal(program: Program, fails: Fails) -> bool:
    """Try all of them."""
    return not any(fails(each) for each in less(program) if each != program)


# --- what is reached ------------------------------------------------------------------


@given(PROGRAMS, st.sampled_from(sorted(WANTED)))
def test_the_result_is_minimal(program: Program, wanted: str) -> None:
    """It fails, too, and with one thing less it does not."""
    fails = WANTED[wanted]
    if not fails(program):
        return

    result = shrink(program, fails)

    assert result.is_minimal
    assert fails(result.program)
    assert is_minimal(result.program, fails)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mutant", "rule"),
    [
        ("longterm.merges_pinned_pages", "ANON-EXCL"),
        ("bounce.writes_the_pinned_page_itself", "STB-PINNED"),
        ("dirty.dirties_orphans", "DRT-LOCK"),
    ],
)
def test_a_mutants_program_is_minimal(mutant: str, rule: str) -> None:
    """Made from each scenario for the rule, with more behind it; judged as in a run."""
    boot = BY_NAME[mutant].boot

    def fails(candidate: Program) -> bool:
        return bool(judge(run(boot, candidate), [BY_ID[rule]]).violated)

    shrunk: list[Program] = []
    for scenario in SCENARIOS:
        noise = (Load(page=1), Store(page=2, word=1, value=9), Load(page=3))
        operations = (*scenario.program.operations, *noise)
        long = attrs.evolve(scenario.program, operations=operations)
        if rule in scenario.rules and fails(long):
            result = shrink(long, fails)
            assert result.is_minimal
            shrunk.append(result.program)

    assert shrunk
    assert all(is_minimal(program, fails) for program in shrunk)
    assert not any(set(noise) & set(program.operations) for program in shrunk)


def test_schedule_and_features_go_too() -> None:
    """What is not needed is not shown."""
    program = Program(
        (Store(), Load()),
        Setup(features={Feature.CHECKSUMS}),
        (Preempt(call=0, at="fault.pte_set"),),
        misuse=True,
    )

    small = shrink(program, lambda candidate: Load() in candidate.operations)

    assert small.program == Program((Load(),))


def test_a_thing_is_named_lower_wherever_it_is_named() -> None:
    """One field alone could not be lowered."""
    program = Program(
        (
            GetUserPages(pin=3, page=2),
            DeviceWrite(pin=3, value=77),
            PutUserPages(pin=3),
            Load(page=2),
        )
    )

    def fails(candidate: Program) -> bool:
        names = {getattr(each, "pin", None) for each in candidate.operations}
        pages = {getattr(each, "page", 2) for each in candidate.operations}
        return len(candidate.operations) == 4 and len(names) == 2 and 0 in pages

    small = shrink(program, fails).program

    assert small.operations == (
        GetUserPages(),
        DeviceWrite(),
        PutUserPages(),
        Load(),
    )


def test_a_preemption_is_made_simple() -> None:
    """The first arrival at the first point of its part, parked to the end."""
    preempt = Preempt(call=0, at="writeback.submitted", nth=4, until=3)
    program = Program((Fsync(), Load(), Load(), Load()), schedule=(preempt,))

    def fails(candidate: Program) -> bool:
        return len(candidate.operations) == 4 and bool(candidate.schedule)

    small = shrink(program, fails).program

    assert small.schedule == (Preempt(call=0, at="writeback.page_found"),)


def test_few_runs_are_needed() -> None:
    """One operation of three hundred is found by halving."""
    program = Program((*(Load(),) * 200, Store(), *(Load(),) * 99))

    result = shrink(program, lambda candidate: Store() in candidate.operations)

    assert result.program == Program((Store(),))
    assert result.runs < 40


def test_what_was_tried_is_not_tried_again() -> None:
    """However many rounds there are."""
    tried: list[Program] = []
    program = Program((Store(), Load(), Store(value=5), Fsync(), Load(page=1)))

    def fails(candidate: Program) -> bool:
        tried.append(candidate)
        return candidate.operations.count(Load()) == 1

    shrink(program, fails)

    assert len(tried) == len(set(tried))


# --- bounds ---------------------------------------------------------------------------


def test_the_bound_is_kept() -> None:
    """A shrink that would take for ever stops and returns what it has."""
    tried = []

    def fails(candidate: Program) -> bool:
        tried.append(candidate)
        return False

    program = Program([Store(value=value) for value in range(50)])

    result = shrink(program, fails, Bound(runs=7))

    assert (result.program, result.is_minimal, result.runs) == (program, False, 7)
    assert len(tried) == 7


def test_time_is_a_bound() -> None:
    """The clock is looked at before each run."""
    ticks = iter(range(100))
    bound = Bound(seconds=3.0, clock=lambda: next(ticks))
    program = Program([Store(value=value) for value in range(50)])

    result = shrink(program, lambda _: False, bound)

    assert (result.is_minimal, result.runs) == (False, 3)


@given(PROGRAMS, st.sampled_from(sorted(WANTED)), st.integers(1, 30))
def test_a_shrink_goes_on_where_it_stopped(
    program: Program, wanted: str, runs: int
) -> None:
    """In slices it comes to a minimum as well, and each slice gets on."""
    fails = WANTED[wanted]
    if not fails(program):
        return
    slices = [shrink(program, fails, Bound(runs=runs))]

    while not slices[-1].is_minimal:
        last = slices[-1]
        assert len(slices) < 1_000
        slices.append(shrink(last.program, fails, Bound(runs=runs), tried=last.tried))

    assert is_minimal(slices[-1].program, fails)
    assert all(each.runs == runs for each in slices[:-1])


def test_the_last_round_alone_goes_on_where_it_stopped() -> None:
    """A program that is small already needs no more runs in slices than at once."""
    program = Program((Store(page=1, value=3), Load(), GetUserPages(page=2)))

    def fails(candidate: Program) -> bool:
        return candidate == program

    at_once = shrink(program, fails)
    runs, result = 0, Result(program, is_minimal=False, runs=0)
    while not result.is_minimal:
        result = shrink(program, fails, Bound(runs=2), tried=result.tried)
        runs += result.runs
        assert runs <= at_once.runs

    assert runs == at_once.runs


# --- passes ---------------------------------------------------------------------------


def test_a_pass_that_grows_does_no_harm() -> None:
    """What does not weigh less is not even tried."""

    def growing(program: Program) -> Generator[Program, bool, None]:
        yield attrs.evolve(program, operations=(*program.operations, Store()))
        yield program

    bound = Bound(runs=9)
    result = shrink(Program((Load(page=1),)), lambda _: True, bound, [growing])

    assert (result.program, result.runs) == (Program((Load(page=1),)), 0)


@given(PROGRAMS)
def test_a_pass_yields_what_is_smaller(program: Program) -> None:
    """Hardly anything of what is made is thrown away unseen."""
    made = [each for make in PASSES for each in make(program)]
    smaller = [each for each in made if weight(each) < weight(program)]

    assert all(each in smaller for each in less(program) if each != program)
