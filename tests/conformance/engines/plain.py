"""Plain enumeration: each schedule of a race is run from boot, and nothing is merged.

What the cleverer way is compared with; it shares nothing with it but `RaceRun`.
"""

from collections.abc import Iterator

from conformance.engines.racing import Thread, run_schedule, started
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.scenarios.races import Race


def enumerate_schedules(
    boot: Boot, race: Race
) -> Iterator[tuple[tuple[Thread, ...], History]]:
    """Yield every schedule of a race, and its history."""
    todo: list[tuple[Thread, ...]] = [()]
    while todo:
        choices = todo.pop()
        enabled = _enabled_after(boot, race, choices)
        if not enabled:
            yield choices, run_schedule(boot, race, choices)
        todo += [(*choices, thread) for thread in reversed(enabled)]


def _enabled_after(boot: Boot, race: Race, choices: tuple[Thread, ...]) -> list[Thread]:
    running = started(boot, race)
    for thread in choices:
        running.step(thread)
    enabled = running.enabled()
    running.execution.close()
    return enabled
