"""Plans for a few rules and scenarios, on the second stack."""

from pathlib import Path

from conformance.engines.plan import Plan
from conformance.interface import (
    Fsync,
    GetUserPages,
    Load,
    PutUserPages,
    Setup,
    Store,
)
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.scenarios.scenario import Scenario
from tests import second_stack
from tests.conformance.engines.test_broken_implementations import but
from tests.second_stack import boot as boot_good

RULES = tuple(BY_ID[rule] for rule in ("MKW-EVERY", "LT-REFUSE", "CNT-BAL"))


def scenario(name: str, *operations: object, rules: tuple[str, ...]) -> Scenario:
    """Return a scenario for a few rules."""
    return Scenario(name, rules, Program(operations))  # type: ignore[arg-type]


STORES = scenario(
    "stores", Store(value=1), Fsync(), Store(value=2), rules=("MKW-EVERY",)
)
LOADS = scenario("loads", Store(value=1), Load(), rules=("MKW-EVERY",))
PINS = scenario("pins", GetUserPages(), PutUserPages(), rules=("CNT-BAL",))


LINES = [f"{Path(second_stack.__file__).parent}/*"]


def plan(*scenarios: Scenario, **more: object) -> Plan:
    """Return a plan for a few rules and scenarios."""
    known: dict[str, object] = {
        "rules": RULES,
        "stall_seconds": 5.0,
        "shrink_runs": 20,
        **more,
    }
    return Plan(scenarios=scenarios, **known)  # type: ignore[arg-type]


def forgetful(setup: Setup) -> object:
    """Return a stack that counts no call of page_mkwrite."""
    return but(boot_good(setup), "page_mkwrite_count", lambda _, **__: 0)
