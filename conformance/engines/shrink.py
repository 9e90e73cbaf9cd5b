"""Making a violating program small.

A *pass* is a generator. It is given a program and yields smaller ones; each `yield`
answers whether that one still violates the rule, so that the pass goes on from there.
The passes are run in turn, over and over. When not one of them gets anything smaller in
a full round, nothing of what they try can go: the program is 1-minimal, and that round
is the proof.

A candidate counts only if it weighs less (`shrink_weight.py`), so every order of passes
comes to an end, and a new pass cannot undo another. What was tried is not tried again.

Interface:
  * `shrink(program, still_fails, bound)` returns the smallest program found, and
    whether it is minimal. If the bound was hit it is not; to go on later, shrink that
    program again with what was `tried`.
  * A new pass goes into `PASSES`.
"""

import time
from collections.abc import Callable, Collection, Generator, Sequence

import attrs

from conformance.engines.shrink_passes import (
    fewer_operations,
    fewer_preempts,
    simpler_preempts,
    simpler_setup,
)
from conformance.engines.shrink_turns import fewer_turns
from conformance.engines.shrink_values import lower_fields, lower_names
from conformance.engines.shrink_weight import weight
from conformance.program import Program, digest

RUNS_MAX = 3_000
"""Programs tried for one shrink."""

Pass = Callable[[Program], Generator[Program, bool, None]]

PASSES: Sequence[Pass] = (
    fewer_operations,
    fewer_preempts,
    fewer_turns,
    simpler_setup,
    lower_names,
    lower_fields,
    simpler_preempts,
)
"""Those that take most away come first."""


@attrs.frozen
class Bound:
    """How long a program may be shrunk."""

    runs: int = RUNS_MAX
    """Programs tried."""
    seconds: float = float("inf")
    clock: Callable[[], float] = time.monotonic


@attrs.frozen
class Result:
    """What was reached."""

    program: Program
    is_minimal: bool
    """Nothing of it can go; False: the bound was hit."""
    runs: int
    """Programs tried."""
    tried: tuple[str, ...] = ()
    """Digests of what was tried on the way from this program on, and does not fail."""


class _SpentError(Exception):
    """The bound is hit."""


@attrs.define(eq=False)
class _Attempts:
    """The smallest program so far, and what was tried to get there."""

    best: Program
    still_fails: Callable[[Program], bool]
    bound: Bound
    deadline: float
    tried: Collection[str]
    """Digests of what does not fail, from an earlier shrink."""
    runs: int = 0
    passed: set[Program] = attrs.field(factory=set[Program])
    """Those that do not fail."""
    since: list[Program] = attrs.field(factory=list[Program])
    """Those of them that were tried since there is this best."""

    def take(self, smaller: Pass) -> None:
        """Run one pass."""
        steps = smaller(self.best)
        candidate = next(steps, None)
        while candidate is not None:
            try:
                candidate = steps.send(self._keeps(candidate))
            except StopIteration:
                return

    def _keeps(self, candidate: Program) -> bool:
        if weight(candidate) >= weight(self.best) or self._is_known(candidate):
            return False
        if self.runs >= self.bound.runs or self.bound.clock() > self.deadline:
            raise _SpentError
        self.runs += 1
        if not self.still_fails(candidate):
            self.passed.add(candidate)
            self.since.append(candidate)
            return False
        self.best, self.since, self.tried = candidate, [], ()
        return True

    def _is_known(self, candidate: Program) -> bool:
        if candidate in self.passed:
            return True
        return bool(self.tried) and digest(candidate) in self.tried

    def result(self, *, is_minimal: bool) -> Result:
        """Return what was reached."""
        tried = () if is_minimal else (*self.tried, *map(digest, self.since))
        return Result(self.best, is_minimal, self.runs, tried)


def shrink(
    program: Program,
    still_fails: Callable[[Program], bool],
    bound: Bound = Bound(),
    passes: Sequence[Pass] = PASSES,
    tried: Collection[str] = (),
) -> Result:
    """Return a smaller program for which `still_fails` is true, too.

    Args:
        program: One that fails; it is not run again.
        still_fails: Whether another does.
        bound: When to stop.
        passes: Where smaller programs come from.
        tried: What an earlier shrink had tried when it came to this program.
    """
    deadline = bound.clock() + bound.seconds
    attempts = _Attempts(program, still_fails, bound, deadline, frozenset(tried))
    try:
        while True:
            before = attempts.best
            for smaller in passes:
                attempts.take(smaller)
            if attempts.best is before:
                return attempts.result(is_minimal=True)
    except _SpentError:
        return attempts.result(is_minimal=False)
