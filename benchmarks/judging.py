"""What judging costs, beside running: all scenarios on the reference.

python benchmarks/judging.py [ROUNDS]
"""

import statistics
import sys
import time

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.rules.catalogue import RULES
from conformance.scenarios.catalogue import SCENARIOS
from reference_impl import boot

ROUNDS = 5


def measure() -> tuple[float, float]:
    """Return the processor seconds of running, and of judging, all scenarios."""
    begin = time.process_time()
    histories = [run(boot, scenario.program) for scenario in SCENARIOS]
    middle = time.process_time()
    for history in histories:
        judge(history, RULES)
    return middle - begin, time.process_time() - middle


def main(rounds: int) -> None:
    """Measure a few times and print the medians."""
    measure()
    running, judging = zip(*(measure() for _ in range(rounds)), strict=True)
    ratio = statistics.median(j / r for r, j in zip(running, judging, strict=True))
    sys.stdout.write(
        f"{len(SCENARIOS)} scenarios, {len(RULES)} rules: running "
        f"{statistics.median(running) * 1000:.0f} ms, judging "
        f"{statistics.median(judging) * 1000:.0f} ms, ratio {ratio:.2f}\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
