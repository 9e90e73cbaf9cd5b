"""How fast all schedules of each race are gone through, on the reference.

python benchmarks/schedules.py [CALLS]: races of so many calls; all, if none is given

Judged by the rules that a race is for, once for each outcome and each kind of step.
CPU time, of one run.
"""

import sys
import time

from conformance.engines.covering import Coverage
from conformance.engines.schedules import Bound, explore
from conformance.rules.catalogue import RULES
from conformance.scenarios.races import RACES, Race
from reference_impl import boot


def line(race: Race) -> str:
    """Go through a race and return what was seen, by the second."""
    rules = [rule for rule in RULES if rule.id in race.rules]
    bound = Bound(clock=time.process_time)
    result = explore(boot, race, rules, coverage=Coverage.OUTCOMES, bound=bound)
    spent = result.seconds or 1.0
    points = "+".join(map(str, result.points))
    return (
        f"{race.name:<32}{points:>9} points {result.count:>10} schedules "
        f"{result.states:>6} states ({result.states / spent:>6.0f}/s) "
        f"{result.steps:>6} steps ({result.steps_run:>3} run) depth {result.depth:>3} "
        f"{result.judged:>4} judged {spent:>6.2f} s"
        f"{', bound hit' if result.bound_hit else ''}\n"
    )


def main(calls: int | None) -> None:
    """Go through the races of a number of calls, or all."""
    explore(boot, RACES[0])  # the first one pays for what is set up once
    for race in RACES:
        if calls in (None, len(race.calls)):
            sys.stdout.write(line(race))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
