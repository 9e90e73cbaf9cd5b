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
    running = judging = 0.0
    for scenario in SCENARIOS:
        begin = time.process_time()
        history = run(boot, scenario.program)
        middle = time.process_time()
        judge(history, RULES)
        running += middle - begin
        judging += time.process_time() - middle
    return running, judging


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
