"""Passes that take something away: operations, parked calls, features.

See `shrink.py` for what a pass is.
"""

from collections.abc import Callable, Generator, Iterator

import attrs

from conformance.engines.shrink_values import lower_all
from conformance.engines.shrink_weight import PLACE
from conformance.interface.points import POINTS
from conformance.program import Preempt, Program

Steps = Generator[Program, bool, None]


def fewer_operations(program: Program) -> Steps:
    """Take out operations: half of them, a quarter, and so on."""
    return _in_chunks(
        program, lambda program: len(program.operations), _without_operations
    )


def fewer_preempts(program: Program) -> Steps:
    """Let calls run through that were parked."""
    return _in_chunks(program, lambda program: len(program.schedule), _without_preempts)


def _in_chunks(
    program: Program,
    count: Callable[[Program], int],
    without: Callable[[Program, int, int], Program],
) -> Steps:
    """Take out ranges, the largest first; of one size, from the end."""
    size = max(1, count(program) // 2)
    while size:
        # What is taken out stands behind the ranges that are still to come.
        for last in range(count(program), 0, -size):
            smaller = without(program, max(0, last - size), last)
            if (yield smaller):
                program = smaller
        size //= 2


def _without_operations(program: Program, first: int, last: int) -> Program:
    for index in range(last - 1, first - 1, -1):
        program = program.without(index)
    return program


def _without_preempts(program: Program, first: int, last: int) -> Program:
    schedule = program.schedule[:first] + program.schedule[last:]
    return attrs.evolve(program, schedule=schedule)


def simpler_setup(program: Program) -> Steps:
    """Have callers that behave, fewer features, a more usual geometry."""
    smaller = attrs.evolve(program, misuse=False)
    if (yield smaller):
        program = smaller
    features = program.setup.features
    for feature in sorted(features, key=lambda feature: feature.value):
        setup = attrs.evolve(program.setup, features=features - {feature})
        if (yield attrs.evolve(program, setup=setup)):
            features = setup.features
            program = attrs.evolve(program, setup=setup)
    yield from lower_all(
        program.setup.geometry,
        lambda geometry: attrs.evolve(
            program, setup=attrs.evolve(program.setup, geometry=geometry)
        ),
    )


def simpler_preempts(program: Program) -> Steps:
    """Park calls until the end, at the first arrival, at an earlier point."""
    for place in range(len(program.schedule)):
        untried = _simpler(program.schedule[place])
        while untried:
            smaller = _with_preempt(program, place, untried.pop(0))
            if (yield smaller):
                program = smaller
                untried = _simpler(program.schedule[place])


def _with_preempt(program: Program, place: int, preempt: Preempt) -> Program:
    schedule = program.schedule
    return attrs.evolve(
        program, schedule=(*schedule[:place], preempt, *schedule[place + 1 :])
    )


def _simpler(preempt: Preempt) -> list[Preempt]:
    """Return what to try instead of a preemption."""
    return [*_simpler_end(preempt), *_simpler_begin(preempt)]


def _simpler_end(preempt: Preempt) -> Iterator[Preempt]:
    if preempt.until is not None:
        for until in (None, *range(preempt.call + 1, preempt.until)):
            yield attrs.evolve(preempt, until=until)


def _simpler_begin(preempt: Preempt) -> Iterator[Preempt]:
    for nth in sorted({1, preempt.nth // 2, preempt.nth - 1} - {0, preempt.nth}):
        yield attrs.evolve(preempt, nth=nth)
    part = preempt.at.partition(".")[0]
    for at in POINTS[: PLACE.get(preempt.at, 0)]:
        if at.partition(".")[0] == part:
            yield attrs.evolve(preempt, at=at)
