"""How much the plugin adds to the start of pytest when it is not used.

Runs pytest on an empty folder, with the plugin and with `-p no:gup`, in turn, and
prints the median difference. Bytecode is kept, as it is for a user: pytest rewrites the
assertions of plugins, Hypothesis' among them, and would do so at each start.

    python benchmarks/plugin_start.py [PAIRS]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

PAIRS = 30
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def seconds(folder: str, *options: str) -> float:
    """Return how long one empty run takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    begin = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [*command, *options],
        cwd=folder,
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
    )
    return time.perf_counter() - begin


def main(pairs: int) -> None:
    """Measure pairs of runs and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        seconds(folder)
        both = [
            (seconds(folder), seconds(folder, "-p", "no:gup")) for _ in range(pairs)
        ]
    added = statistics.median(with_it - without for with_it, without in both)
    base = statistics.median(without for _, without in both)
    sys.stdout.write(
        f"{pairs} pairs: pytest starts in {base * 1000:.0f} ms, "
        f"the plugin adds {added * 1000:.1f} ms\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
