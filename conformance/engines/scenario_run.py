"""Choosing what can be run on an implementation.

Interface:
  * `probe(boot)` boots once to see what is offered.
  * `scenarios_for(rules, scenarios)` chooses those that are written for a rule.
    One that is written for no rule in particular is for all.
"""

from collections.abc import Iterable

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError, Execution
from conformance.interface import Boot, Setup
from conformance.program import Program
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario


def probe(boot: Boot) -> Capabilities:
    """Boot a stack, look at what it offers, and close it.

    Raises:
        BootError: there is no stack.
    """
    returned: list[object] = []

    def watched(setup: Setup) -> object:
        returned.append(boot(setup))
        return returned[-1]

    execution = Execution(watched, Program())
    execution.finish()
    if not execution.capabilities.parameters:
        kind = type(returned[-1]).__name__
        raise BootError(
            f"it returned a {kind}, which has no method of a stack, such as store, "
            "get_user_pages or fsync"
        )
    return execution.capabilities


def scenarios_for(
    rules: Iterable[Rule], scenarios: Iterable[Scenario]
) -> list[Scenario]:
    """Return the scenarios that are written for at least one of the rules."""
    wanted = {rule.id for rule in rules}
    return [
        each
        for each in scenarios
        if not each.rules or not wanted.isdisjoint(each.rules)
    ]
