"""Plain enumeration: each schedule of a race is run from boot, and nothing is merged.

What the cleverer way is compared with; it shares nothing with it but `RaceRun`.
"""

from collections.abc import Iterator

from conformance.engines.racing import Thread, started
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.scenarios.races import Race


def enumerate_schedules(
    boot: Boot, race: Race
) -> Iterator[tuple[tuple[Thread, ...], History]]:
    """Yield every schedule of a race, and its history."""
    todo: list[tuple[Thread, ...]] = [()]
    while todo:
        running, choices = started(boot, race), list(todo.pop())
        for thread in choices:
            running.step(thread)
        while enabled := running.enabled():
            todo += [(*choices, thread) for thread in reversed(enabled[1:])]
            running.step(enabled[0])
            choices.append(enabled[0])
        yield tuple(choices), running.finish()
