"""Making a violating program small.

Operations are taken out, one after the other, as long as the same rule is still
violated; then the schedule, then the features; and again, until nothing can go.

Interface:
  * `shrink(program, still_fails, runs_max)` returns the smallest program found; it
    is 1-minimal in its operations unless the bound was hit.
"""

from collections.abc import Callable, Iterator

import attrs

from conformance.interface import Setup
from conformance.program import Program

RUNS_MAX = 600
"""Programs tried for one shrink."""


def shrink(
    program: Program,
    still_fails: Callable[[Program], bool],
    runs_max: int = RUNS_MAX,
) -> Program:
    """Return a smaller program for which `still_fails` is true, too."""
    runs = 0
    changed = True
    while changed:
        changed = False
        for smaller in _smaller(program):
            if runs >= runs_max:
                return program
            runs += 1
            if still_fails(smaller):
                program, changed = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    """Yield programs with one thing less: first the last operations."""
    count = len(program.operations)
    for size in (8, 4, 2, 1):
        for first in range(count - size, -1, -size):
            yield _without_range(program, first, size)
    for preempt in program.schedule:
        rest = [other for other in program.schedule if other is not preempt]
        yield attrs.evolve(program, schedule=rest)
    setup = program.setup
    for feature in sorted(setup.features, key=lambda feature: feature.value):
        fewer = Setup(setup.geometry, setup.features - {feature})
        yield attrs.evolve(program, setup=fewer)


def _without_range(program: Program, first: int, size: int) -> Program:
    for index in range(first + size - 1, first - 1, -1):
        program = program.without(index)
    return program
