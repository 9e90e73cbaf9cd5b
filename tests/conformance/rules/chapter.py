"""What every chapter's test does with whole stacks."""

from collections.abc import Iterable

from conformance.engines.execution import run
from conformance.engines.judge import judge
from conformance.engines.scenario_run import probe
from conformance.interface import Boot
from conformance.rules.rule import Rule
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise


def named(item: object) -> str:
    """Name a parameter: a scenario, a mutant, a rule."""
    name: str = getattr(item, "name", "") or getattr(item, "id", "")
    return name


def idle_rules(boot: Boot, scenario: Scenario, rules: Iterable[Rule]) -> list[str]:
    """Return the rules that a scenario is written for and does not exercise."""
    judgement = judge(run(boot, scenario.program), rules)
    own = {rule.id for rule in rules} & set(scenario.rules)
    return [rule for rule in sorted(own) if not judgement.outcomes[rule].premises]


def accused(
    boot: Boot,
    scenarios: Iterable[Scenario],
    rules: Iterable[Rule],
    promise: Promise = Promise.DOCUMENT,
) -> set[str]:
    """Return the rules that a stack violates; it must not crash, nor a rule fail."""
    capabilities = probe(boot)
    observable = [r for r in rules if capabilities.missing_for_rule(r) is None]
    found: set[str] = set()
    for scenario in scenarios:
        if capabilities.missing_for(scenario.program) is not None:
            continue
        history = run(boot, scenario.program)
        assert history.crash is None, f"{scenario.name}: {history.crash}"
        assert history.inconclusive is None, f"{scenario.name}: {history.inconclusive}"
        judgement = judge(history, observable, promise)
        assert not [o.error for o in judgement.outcomes.values() if o.error]
        found |= judgement.violated
    return found
