"""How fast all schedules of a race are run: on the reference, judged by all rules.

python benchmarks/schedules.py [SECONDS]
"""

import sys
import time

from conformance.engines.racing import Race
from conformance.engines.schedules import Bound, Merging, explore
from conformance.interface import (
    DeviceComplete,
    Fsync,
    GetUserPagesFast,
    Mremap,
    PowerCut,
    Store,
    Truncate,
)
from conformance.rules.catalogue import RULES
from reference_impl import boot

SECONDS = 30.0
"""For each race and kind of merging."""

_SEEN = (DeviceComplete(value=7), Fsync(), PowerCut())

RACES = {
    "gup_fast, fsync": Race([GetUserPagesFast(), Fsync()], [Store(value=3)], _SEEN),
    "gup_fast, mremap": Race([GetUserPagesFast(), Mremap()], [Store(value=3)], _SEEN),
    "store, truncate": Race([Store(value=5), Truncate(words=1)], [], [Fsync()]),
    "two fsyncs": Race([Fsync(), Fsync()], [Store(value=3)], [PowerCut()]),
}


def main(seconds: float) -> None:
    """Explore each race in two ways and print what was seen, by the second."""
    bound = Bound(seconds=seconds, clock=time.process_time)
    for name, race in RACES.items():
        for merging in (Merging.STATES, Merging.HISTORIES):
            result = explore(boot, race, RULES, merging=merging, bound=bound)
            spent = result.seconds or 1.0
            sys.stdout.write(
                f"{name:<18} {merging.name.lower():<10} points {result.points}, "
                f"{result.schedules} schedules ({result.schedules / spent:.0f}/s), "
                f"{result.states} states ({result.states / spent:.0f}/s), "
                f"depth {result.depth}, {spent:.2f} s"
                f"{', bound hit' if result.bound_hit else ''}\n"
            )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
