"""What each engine costs for one operation, and who has the time of a run.

First on a stack that does nothing: all that is spent there is the engine's, and that of
running a program at all, which is the same for every engine and is taken off. Then on
the reference: the shares of the implementation, of oracle and rules, and of the engine.

python benchmarks/engines.py [PROGRAMS]
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable

from null_stack import boot as null_boot

from conformance.engines.budget import Budget
from conformance.engines.execution import run
from conformance.engines.explorer import run_explorer
from conformance.engines.judge import judge
from conformance.engines.packed import run_packed
from conformance.engines.scenario_run import probe
from conformance.engines.stateful import run_stateful
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.rules.catalogue import RULES
from reference_impl import boot as reference_boot

ENGINES: dict[str, Callable[..., None]] = {
    "stateful": run_stateful,
    "packed": run_packed,
    "explorer": run_explorer,
}
PROGRAMS = 100
ROUNDS = 3


def timed(act: Callable[[], object]) -> float:
    """Return the processor seconds that something takes.

    What is there already does not count: the garbage collector leaves it alone.
    """
    gc.collect()
    gc.freeze()
    begin = time.process_time()
    act()
    taken = time.process_time() - begin
    gc.unfreeze()
    return taken


def each(act: Callable[[History], object], histories: list[History]) -> float:
    """Return the processor seconds that something takes for all histories."""

    def go_through() -> None:
        for history in histories:
            act(history)

    return timed(go_through)


def drawn(name: str, boot: Boot, programs: int) -> tuple[float, list[History]]:
    """Return the processor seconds of an engine, and what it has drawn."""
    histories: list[History] = []
    capabilities = probe(boot)
    budget = Budget(programs, 40)
    seconds = timed(
        lambda: ENGINES[name](boot, capabilities, histories.append, budget, 0)
    )
    return seconds, histories


def overhead(name: str, programs: int) -> float:
    """Return the microseconds for one operation, beyond running the same programs."""
    seconds, histories = drawn(name, null_boot, programs)
    running = each(lambda history: run(null_boot, history.program), histories)
    operations = sum(len(h.calls) for h in histories)
    return (seconds - running) / operations * 1e6


def shares(name: str, programs: int) -> dict[str, float]:
    """Return how the time of a search on the reference is shared."""
    seconds, histories = drawn(name, reference_boot, programs)
    running = each(lambda history: run(reference_boot, history.program), histories)
    judging = each(lambda history: judge(history, RULES), histories)
    whole = seconds + judging
    return {
        "running the reference": running / whole,
        "engine": (seconds - running) / whole,
        "oracle and rules": judging / whole,
    }


def main(programs: int) -> None:
    """Print both tables."""
    for name in ENGINES:
        drawn(name, null_boot, 2)  # Hypothesis reads the source code once
    costs = {
        name: statistics.median(overhead(name, programs) for _ in range(ROUNDS))
        for name in ENGINES
    }
    sys.stdout.write("engine overhead for one operation, on a stack of nothing\n")
    for name, cost in costs.items():
        ratio = costs["stateful"] / cost
        sys.stdout.write(f"  {name:<9} {cost:7.1f} us, stateful / it {ratio:5.1f}\n")
    sys.stdout.write("who has the time, on the reference\n")
    for name in ENGINES:
        parts = shares(name, programs)
        text = ", ".join(f"{part} {share:.0%}" for part, share in parts.items())
        sys.stdout.write(f"  {name:<9} {text}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PROGRAMS)
