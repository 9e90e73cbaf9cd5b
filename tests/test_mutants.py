"""The matrix: every rule is known to work because something breaks it.

Each mutant is the reference with one lie in it. On the scenarios it must be caught by
the rules that it names and by no other. In random programs the same lie meets other
situations. Data that it loses or corrupts is then missed by the rule that owns losses
of the kind that is looked at: these rules are one family (`LOSS_RULES`), and a mutant
that damages data may be reported by any of them. Everything else it names, or says why
(`mutants/consequences.py`). It is never caught by a crash: a mutant that dies on an
assert of the model proves nothing about a rule.
"""

from collections.abc import Iterable

import attrs
import pytest

from conformance.engines.budget import Budget
from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import run
from conformance.engines.explorer import run_explorer
from conformance.engines.judge import Judgement, judge
from conformance.engines.scenario_run import probe
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.rules.catalogue import RULES
from conformance.rules.losses import LOSS_RULES
from conformance.scenarios.catalogue import SCENARIOS
from conformance.verdicts import Kind
from reference_impl import boot
from reference_impl.mutants.catalogue import BY_NAME, MUTANTS
from reference_impl.mutants.consequences import CONSEQUENCES
from reference_impl.mutants.mutant import Mutant
from tests.likeness import Likeness

SEEDS = range(3)
MANY_SEEDS = range(20)

DAMAGES = {rule.id for rule in RULES if rule.kind is Kind.DAMAGE}

EVERY_MUTANT = pytest.mark.parametrize(
    "mutant", [pytest.param(mutant, id=mutant.name) for mutant in MUTANTS]
)


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    """What the reference offers; its mutants offer the same."""
    return probe(boot)


@pytest.fixture(scope="module")
def reference() -> Likeness:
    """What the reference does on the scenarios."""
    return Likeness()


def on_scenarios(boot: Boot, capabilities: Capabilities) -> list[Judgement]:
    """Judge every scenario."""
    return [
        judge(run(boot, scenario.program), RULES)
        for scenario in SCENARIOS
        if capabilities.missing_for(scenario.program) is None
    ]


def on_search(
    boot: Boot, capabilities: Capabilities, seed: int, budget: Budget
) -> list[Judgement]:
    """Judge programs that the explorer makes."""
    judgements: list[Judgement] = []

    def on_history(history: History) -> None:
        judgements.append(judge(history, RULES))

    run_explorer(boot, capabilities, on_history, budget, seed)
    return judgements


def violated(judgements: Iterable[Judgement]) -> set[str]:
    """Return the rules that were violated; a crash is no violation, and an error."""
    found: set[str] = set()
    for judgement in judgements:
        assert judgement.crash is None, "\n".join(
            (judgement.crash.message, judgement.crash.trace, *judgement.timeline)
        )
        errors = {r: o.error for r, o in judgement.outcomes.items() if o.error}
        assert not errors
        found |= judgement.violated
    return found


def family(mutant: Mutant) -> frozenset[str]:
    """Return the rules that may miss what a mutant loses or corrupts."""
    known = {*mutant.violates, *mutant.also}
    return LOSS_RULES if DAMAGES & known else frozenset()


def explained(mutant: Mutant) -> set[str]:
    """Return the rules that random programs may find violated."""
    return {*mutant.violates, *mutant.also, *family(mutant)}


def test_every_rule_has_a_mutant_of_its_own() -> None:
    """A rule for which no mutant was made is not known to work."""
    own = {mutant.violates[0] for mutant in MUTANTS}
    judged = {rule.id for rule in RULES if rule.untested is None}

    assert judged - own == set()


def test_names_are_unique_and_rules_exist() -> None:
    """A mutant names rules of the catalogue, and no two have one name."""
    known = {rule.id for rule in RULES}

    assert len(BY_NAME) == len(MUTANTS)
    assert {r for mutant in MUTANTS for r in (*mutant.violates, *mutant.also)} <= known


def test_no_consequence_is_listed_that_goes_without_saying() -> None:
    """It is neither named by the mutant nor in the family of those that own losses."""
    without = [(attrs.evolve(mutant, also=()), mutant.also) for mutant in MUTANTS]

    assert set(CONSEQUENCES) <= set(BY_NAME)
    assert all(explained(mutant).isdisjoint(also) for mutant, also in without)


@pytest.mark.slow
@EVERY_MUTANT
def test_a_mutant_violates_the_rules_it_names(
    mutant: Mutant, reference: Likeness
) -> None:
    """The scenarios find all of them, and no other."""
    unlike = [judge(history, RULES) for _, history in reference.unlike(mutant.boot)]

    assert violated(unlike) == set(mutant.violates)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@EVERY_MUTANT
def test_random_programs_find_no_other_violation(
    mutant: Mutant, capabilities: Capabilities, seed: int
) -> None:
    """What a search finds beyond what is explained would be a false accusation."""
    budget = Budget(programs=6, operations=40)
    found = violated(on_search(mutant.boot, capabilities, seed, budget))

    assert found <= explained(mutant)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", MANY_SEEDS)
@EVERY_MUTANT
def test_random_programs_find_no_other_violation_with_many_seeds(
    mutant: Mutant, capabilities: Capabilities, seed: int
) -> None:
    """The same with many seeds: about half an hour on two cores."""
    budget = Budget(programs=10, operations=50)
    found = violated(on_search(mutant.boot, capabilities, seed, budget))

    assert found <= explained(mutant)
