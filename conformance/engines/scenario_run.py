"""Running the scenarios on an implementation.

Interface:
  * `run_scenario(boot, scenario, rules, promise)` judges one, and makes the program
    of each violation as small as can be.
  * `probe(boot)` boots once to see what is offered.
  * `scenarios_for(...)` chooses those that an implementation can run and that are
    written for one of the rules.
"""

from collections.abc import Iterable, Sequence

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import Execution, run
from conformance.engines.judge import Judgement, judge
from conformance.interface import Boot
from conformance.program import Program
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise


def probe(boot: Boot) -> Capabilities:
    """Boot a stack, look at what it offers, and close it.

    Raises:
        BootError: there is no stack.
    """
    execution = Execution(boot, Program())
    execution.finish()
    return execution.capabilities


def scenarios_for(
    rules: Iterable[Rule], scenarios: Iterable[Scenario]
) -> list[Scenario]:
    """Return the scenarios that are written for at least one of the rules."""
    wanted = {rule.id for rule in rules}
    return [each for each in scenarios if not wanted.isdisjoint(each.rules)]


def run_scenario(
    boot: Boot,
    scenario: Scenario,
    rules: Sequence[Rule],
    promise: Promise = Promise.DOCUMENT,
) -> Judgement:
    """Run one scenario and judge it by all rules."""
    return judge(run(boot, scenario.program), rules, promise)
