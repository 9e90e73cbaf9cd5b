"""How long each engine takes to catch a mutant, with no scenario to help it.

For every mutant and seed an engine draws programs until one of the rules that the
mutant names is violated, or the time is up. Printed, engine by engine: how many were
caught, the median and the worst time of those, and which were missed by how many seeds.
The engine `schedules` goes through the races of the mutant's rules instead, whatever
the seed, to their end; a mutant that no race can catch is missed.

python benchmarks/time_to_catch.py [--seeds 20] [--seconds 5] [--every 1]
    [--engines stateful,packed,explorer,schedules] [--jobs 2]
    [--mutants GLOB]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatchcase
from itertools import count, product

import attrs

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.covering import Coverage
from conformance.engines.explorer import Explorer
from conformance.engines.judge import judge
from conformance.engines.packed import run_packed
from conformance.engines.scenario_run import probe
from conformance.engines.schedules import explore as explore_race
from conformance.engines.stateful import run_stateful
from conformance.oracle.history import History
from conformance.rules.catalogue import BY_ID
from conformance.scenarios.races import RACES
from reference_impl import boot as reference_boot
from reference_impl.mutants.catalogue import BY_NAME, MUTANTS
from reference_impl.mutants.mutant import Mutant

OPERATIONS = 40
LOT_PROGRAMS = 25
CALLS = 2
"""Races of so many calls at once are gone through."""


class CaughtError(Exception):
    """A rule that the mutant names is violated."""


class LateError(Exception):
    """The time is up."""


@attrs.frozen
class Chase:
    """One mutant, chased by one engine with one seed."""

    engine: str
    mutant: str
    seed: int
    seconds: float


def explore(
    mutant: Mutant, capabilities: Capabilities, on_history: Callable[[History], None]
) -> Callable[[int], None]:
    """Return what explores with a seed, on and on."""

    def run(seed: int) -> None:
        boot = mutant.boot
        explorer = Explorer(boot, capabilities, on_history, OPERATIONS, seed)
        while True:
            explorer.explore()

    return run


def have_drawn(
    draw: Callable[..., None],
) -> Callable[..., Callable[[int], None]]:
    """Return what has Hypothesis draw lot after lot."""

    def begin(
        mutant: Mutant,
        capabilities: Capabilities,
        on_history: Callable[[History], None],
    ) -> Callable[[int], None]:
        def run(seed: int) -> None:
            budget = Budget(LOT_PROGRAMS, OPERATIONS)
            for lot in count(seed * 1_000_000):
                draw(mutant.boot, capabilities, on_history, budget, lot)

        return run

    return begin


def go_through_races(
    mutant: Mutant, _: Capabilities, __: Callable[[History], None]
) -> Callable[[int], None]:
    """Return what goes through all schedules of the races of the mutant's rules."""

    def run(_seed: int) -> None:
        for race in RACES:
            rules = [BY_ID[rule] for rule in mutant.violates if rule in race.rules]
            if not rules or len(race.calls) != CALLS:
                continue
            found = explore_race(mutant.boot, race, rules, coverage=Coverage.OUTCOMES)
            if found.violated:
                raise CaughtError
        raise LateError

    return run


ENGINES = {
    "schedules": go_through_races,
    "stateful": have_drawn(run_stateful),
    "packed": have_drawn(run_packed),
    "explorer": explore,
}


def chase(given: Chase) -> float | None:
    """Return the processor seconds until the mutant was caught; None: it was not."""
    mutant = BY_NAME[given.mutant]
    rules = [BY_ID[rule] for rule in mutant.violates]
    begin = time.process_time()

    def on_history(history: History) -> None:
        if judge(history, rules).violated:
            raise CaughtError
        if time.process_time() - begin > given.seconds:
            raise LateError

    try:
        run = ENGINES[given.engine](mutant, probe(reference_boot), on_history)
        begin = time.process_time()
        run(given.seed)
    except CaughtError:
        return time.process_time() - begin
    except LateError:
        return None
    raise AssertionError("an engine came to its end")


def lines(
    engine: str, seconds: float, found: dict[tuple[str, int], float | None]
) -> Iterator[str]:
    """Yield what there is to say about an engine."""
    times = sorted(t for t in found.values() if t is not None)
    medians = {
        name: statistics.median(
            seconds if t is None else t for (n, _), t in found.items() if n == name
        )
        for name in {n for n, _ in found}
    }
    missed: dict[str, int] = {}
    for (name, _), caught in found.items():
        missed[name] = missed.get(name, 0) + (caught is None)
    always = sum(not each for each in missed.values())
    yield (
        f"{engine}: caught {len(times)} of {len(found)} times, {always} of "
        f"{len(missed)} mutants with every seed; median "
        f"{statistics.median(medians.values()):.2f} s, worst "
        f"{max(times, default=seconds):.2f} s"
    )
    for name in sorted(missed, key=lambda each: (-missed[each], each)):
        if missed[name]:
            yield f"  missed {missed[name]:>3} times: {name}"


def main(arguments: argparse.Namespace) -> None:
    """Chase and print."""
    names = [m.name for m in MUTANTS if fnmatchcase(m.name, arguments.mutants)]
    names = names[:: arguments.every]
    for engine in arguments.engines.split(","):
        pairs = list(product(names, range(arguments.seeds)))
        chases = [Chase(engine, name, seed, arguments.seconds) for name, seed in pairs]
        with ProcessPoolExecutor(arguments.jobs) as pool:
            caught = list(pool.map(chase, chases))
        found = dict(zip(pairs, caught, strict=True))
        for line in lines(engine, arguments.seconds, found):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def parsed() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--mutants", default="*")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main(parsed())
