"""Histories that are alike: what was judged once need not be judged again.

Rules read a history and nothing else. So where a mutant answers, shows and tells
exactly what the reference does, it is judged exactly as the reference is, which holds
every rule on every scenario (tests/test_no_false_alarm.py).

A scenario in which the reference never enters what a mutant overrides need not even be
run (`tests/replaced.py`).

Interface:
  * `Likeness().unlike(other)` yields the histories in which a variant does not behave
    like the reference, over all scenarios.
"""

from collections.abc import Iterator
from functools import cached_property, partial
from types import CodeType

import attrs

from conformance.engines.execution import run
from conformance.engines.scenario_run import probe
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.scenario import Scenario
from reference_impl.stack import boot
from tests.replaced import entered, replaced


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


@attrs.frozen
class Known:
    """What the reference does on one scenario."""

    scenario: Scenario
    trace: object
    code: frozenset[CodeType]
    """All that it enters on the way."""


class Likeness:
    """What the reference does on every scenario."""

    @cached_property
    def known(self) -> list[Known]:
        """Return what it does, scenario by scenario."""
        capabilities = probe(boot)
        return [
            self.know(scenario)
            for scenario in SCENARIOS
            if capabilities.missing_for(scenario.program) is None
        ]

    def know(self, scenario: Scenario) -> Known:
        """Run one scenario."""
        history, code = entered(partial(run, boot, scenario.program))
        return Known(scenario, trace(history), code)

    def unlike(self, other: Boot) -> Iterator[tuple[Scenario, History]]:
        """Yield the histories in which a variant behaves differently."""
        lies = replaced(other)
        for known in self.known:
            if lies is not None and lies.isdisjoint(known.code):
                continue
            history = run(other, known.scenario.program)
            if trace(history) != known.trace:
                yield known.scenario, history
