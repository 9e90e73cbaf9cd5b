"""Histories that are alike: what was judged once need not be judged again.

Rules read a history and nothing else. So where a mutant answers, shows and tells
exactly what the reference does, it is judged exactly as the reference is, which holds
every rule on every scenario (tests/test_no_false_alarm.py).

Interface:
  * `Likeness(boot).unlike(other)` yields the histories in which another stack does
    not behave like this one, over all scenarios.
"""

from collections.abc import Iterator
from functools import cached_property

from conformance.engines.execution import run
from conformance.engines.scenario_run import probe
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.scenario import Scenario


def trace(history: History) -> object:
    """Return all that rules can see of a history of a given program."""
    calls = [
        (
            call.asked,
            call.answered,
            call.result,
            str(call.error),
            call.skipped,
            call.blocked_on,
        )
        for call in history.calls
    ]
    ending = history.crash, history.inconclusive, history.parked_as_asked
    return calls, history.samples, history.events, history.features, ending


class Likeness:
    """What one stack does on every scenario."""

    def __init__(self, boot: Boot) -> None:
        self.boot = boot

    @cached_property
    def scenarios(self) -> list[Scenario]:
        """Return the scenarios that it can be asked to run."""
        capabilities = probe(self.boot)
        return [
            scenario
            for scenario in SCENARIOS
            if capabilities.missing_for(scenario.program) is None
        ]

    @cached_property
    def traces(self) -> list[object]:
        """Return what it does, scenario by scenario."""
        return [trace(run(self.boot, each.program)) for each in self.scenarios]

    def unlike(self, other: Boot) -> Iterator[tuple[Scenario, History]]:
        """Yield the histories in which another stack behaves differently."""
        for scenario, known in zip(self.scenarios, self.traces, strict=True):
            history = run(other, scenario.program)
            if trace(history) != known:
                yield scenario, history
