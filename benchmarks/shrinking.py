"""How small random programs get that catch a mutant, and in how many runs.

For each mutant, programs are drawn until one violates a rule that the mutant is made
for; that program is shrunk.

python benchmarks/shrinking.py [EVERY [SEED]]

EVERY: take only every so many-th mutant.
"""

import statistics
import sys
import time
from collections.abc import Sequence

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import run
from conformance.engines.explorer import Explorer
from conformance.engines.judge import judge
from conformance.engines.scenario_run import probe
from conformance.engines.shrink import Bound, Result, shrink
from conformance.oracle.history import History
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.rules.rule import Rule
from reference_impl import boot
from reference_impl.mutants.catalogue import MUTANTS
from reference_impl.mutants.mutant import Mutant

OPERATIONS = 40
PROGRAMS = 300
"""How many are drawn before a mutant counts as missed."""
TARGET = 8
"""Operations in the median."""


@attrs.frozen
class Measured:
    """One mutant, caught and shrunk."""

    mutant: str
    rule: str
    drawn: Program
    result: Result
    seconds: float


def caught(
    mutant: Mutant, capabilities: Capabilities, seed: int
) -> tuple[Program, Rule] | None:
    """Return a drawn program that violates one of the mutant's rules, and which."""
    rules = [BY_ID[rule] for rule in mutant.violates]
    found: list[tuple[Program, Rule]] = []

    def on_history(history: History) -> None:
        if not found:
            violated = judge(history, rules).violated
            found.extend((history.program, r) for r in rules if r.id in violated)

    explorer = Explorer(mutant.boot, capabilities, on_history, OPERATIONS, seed)
    for _ in range(PROGRAMS):
        explorer.explore()
        if found:
            return found[0]
    return None


def measure(mutant: Mutant, capabilities: Capabilities, seed: int) -> Measured | None:
    """Catch one mutant and shrink the program; None: it was missed."""
    found = caught(mutant, capabilities, seed)
    if found is None:
        return None
    program, rule = found

    def still_fails(candidate: Program) -> bool:
        return bool(judge(run(mutant.boot, candidate), [rule]).violated)

    begin = time.process_time()
    result = shrink(program, still_fails, Bound())
    spent = time.process_time() - begin
    return Measured(mutant.name, rule.id, program, result, spent)


def main(every: int, seed: int) -> None:
    """Measure mutants and print medians and maxima."""
    capabilities = probe(boot)
    chosen = MUTANTS[::every]
    measured: list[Measured] = []
    for mutant in chosen:
        one = measure(mutant, capabilities, seed)
        if one is None:
            sys.stdout.write(f"{mutant.name}: not caught\n")
            continue
        measured.append(one)
        sys.stdout.write(_line(one) + "\n")
    sys.stdout.write(_totals(measured, len(chosen)) + "\n")


def _line(one: Measured) -> str:
    before, after = len(one.drawn.operations), len(one.result.program.operations)
    minimal = "minimal" if one.result.is_minimal else "bound hit"
    return (
        f"{one.mutant} {one.rule}: {before} -> {after} operations, "
        f"{len(one.result.program.schedule)} parked, {one.result.runs} runs, "
        f"{one.seconds:.2f} s, {minimal}"
    )


def _totals(measured: Sequence[Measured], mutants: int) -> str:
    sizes = [len(one.result.program.operations) for one in measured]
    parked = [len(one.result.program.schedule) for one in measured]
    runs = [one.result.runs for one in measured]
    seconds = [one.seconds for one in measured]
    minimal = sum(one.result.is_minimal for one in measured)
    return (
        f"{len(measured)} of {mutants} mutants caught, {minimal} programs minimal: "
        f"operations median {statistics.median(sizes):g} (target {TARGET}) "
        f"maximum {max(sizes)}, parked calls median {statistics.median(parked):g} "
        f"maximum {max(parked)}, runs median {statistics.median(runs):g} maximum "
        f"{max(runs)}, seconds median {statistics.median(seconds):.2f} "
        f"maximum {max(seconds):.2f}"
    )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [1, 0][len(given) :]))
