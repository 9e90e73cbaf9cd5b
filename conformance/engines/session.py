"""Judging one implementation with one engine, from beginning to end.

Interface:
  * `run_scenarios(boot, plan)` and `run_search(engine, boot, plan)` return an
    `EngineResult`: a verdict for each rule, whatever the implementation does.
  * `run_replay(boot, plan)` runs the known programs of a plan and nothing else.
  * `run_schedules(boot, plan)` goes through races instead of programs.
  * `Plan` says which rules, by which promise, with which budget.
  * The implementation runs in a child process (see `isolation.py`), unless the plan
    says otherwise, which is for debuggers.
"""

import time
from contextlib import closing
from functools import partial

import attrs

from conformance.engines import race_work, work
from conformance.engines.capabilities import Capabilities
from conformance.engines.gathering import Gathering, messages_of
from conformance.engines.isolation import DiedError, StalledError
from conformance.engines.operations_table import OperationsTable
from conformance.engines.plan import STALL_SECONDS, Plan
from conformance.engines.race_work import RaceRecord
from conformance.engines.reach import ByFile
from conformance.engines.scenario_run import scenarios_for
from conformance.engines.smaller import Smaller
from conformance.engines.tally import Lost, RuleResult, Tally
from conformance.interface import Boot
from conformance.oracle.history import Crash
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Verdict

__all__ = [
    "SEARCHES",
    "STALL_SECONDS",
    "EngineResult",
    "ImplementationError",
    "Plan",
    "look_at",
    "run_replay",
    "run_scenarios",
    "run_schedules",
    "run_search",
    "without_stack",
]

SEARCHES = ("explorer", "packed", "stateful")
"""The engines that draw programs, the fastest first."""

STALLS_MAX = 2
"""Programs without an end after which an engine runs no more of them."""


@attrs.frozen
class EngineResult:
    """What one engine found out about one implementation."""

    engine: str
    results: dict[str, RuleResult]
    """By rule id, in the order of the catalogue."""
    capabilities: Capabilities | None
    """None: there is no stack."""
    table: OperationsTable
    programs: int
    seconds: float
    counters: tuple[str, ...] = ()
    """The counters over all programs, interpreted as the document does."""
    known: dict[str, Verdict] = attrs.field(factory=dict[str, Verdict])
    """By id of a known program that was run: what it alone says about its rule."""
    states: int = 0
    """Different states that a search has seen, if it counts them."""
    reach: ByFile = attrs.field(factory=dict[str, dict[str, str]])
    """The lines that each rule exercised, of those that are watched."""
    races: tuple[RaceRecord, ...] = ()
    """How far the schedules of each race were gone through."""
    lost: Lost | None = None
    """Programs drawn that hit a bound."""


class ImplementationError(Exception):
    """There is no stack to judge: the factory raised, hung, or ended the process."""


# --- engines --------------------------------------------------------------------


def look_at(boot: Boot, plan: Plan) -> Capabilities:
    """Return what an implementation offers.

    Raises:
        ImplementationError: there is no stack.
    """
    try:
        with closing(messages_of(boot, partial(work.look, boot), plan)) as messages:
            found = list(messages)
    except StalledError:
        raise ImplementationError(
            f"it did not return within {plan.stall_seconds:g} s"
        ) from None
    except DiedError as death:
        raise ImplementationError(str(death)) from None
    (answer,) = found
    if isinstance(answer, work.NoStack):
        raise ImplementationError(answer.reason)
    assert isinstance(answer, Capabilities), f"the child sent {answer!r}"
    return answer


def without_stack(engine: str, plan: Plan, reason: str) -> EngineResult:
    """Return what there is to say about an implementation that does not boot."""
    crash = Crash(None, f"boot fails: {reason}")
    results = {
        rule.id: RuleResult(rule.id, Verdict.CRASHED, crash=crash, reason=crash.message)
        for rule in plan.rules
    }
    return EngineResult(engine, results, None, OperationsTable(), 0, 0.0)


def run_scenarios(
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Run every scenario that the implementation can run; judge all rules on each."""
    return _run_programs("scenarios", boot, plan, capabilities)


def run_replay(
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Run the known programs, as they are, and nothing else.

    One that is violated and not minimal yet goes on being shrunk.
    """
    exactly = attrs.evolve(plan, scenarios=())
    return _run_programs("replay", boot, exactly, capabilities)


def _run_programs(
    engine: str, boot: Boot, plan: Plan, capabilities: Capabilities | None
) -> EngineResult:
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    runnable = _runnable(plan, capabilities, gathering.tally)
    _go_through(boot, runnable, gathering, tries=1)
    smaller = Smaller(gathering, boot)
    smaller.go_on()
    if not smaller.is_steady:
        # There is a race. What else it breaks need not have shown the first time.
        unsure = _unsure(runnable, gathering)
        _go_through(boot, unsure, gathering, tries=plan.tries)
        smaller.go_on()
    return _result(engine, gathering, begin)


def _go_through(
    boot: Boot, left: list[Scenario], gathering: Gathering, tries: int
) -> None:
    """Run scenarios; one that takes the child with it does not keep the others back."""
    while left and gathering.stalls < STALLS_MAX:
        plan = gathering.plan
        logged = gathering.logged(boot)
        task = partial(work.run_scenarios, logged, plan, tuple(left), tries)
        left = [] if gathering.gather(boot, task) else _after(left, gathering.current)
    reason = f"given up after {STALLS_MAX} programs that did not end"
    for scenario in left:
        gathering.tally.broken(None, reason, scenario.rules)


def _unsure(scenarios: list[Scenario], gathering: Gathering) -> list[Scenario]:
    """Return those in which something was violated, but none of their own rules."""
    violated = gathering.tally.violations()
    return [
        scenario
        for scenario in scenarios
        if scenario.name in gathering.went_wrong
        and violated.keys().isdisjoint(scenario.rules)
    ]


def _runnable(plan: Plan, capabilities: Capabilities, tally: Tally) -> list[Scenario]:
    runnable = []
    for scenario in scenarios_for(plan.rules, plan.programs()):
        missing = capabilities.missing_for(scenario.program)
        if missing is None:
            runnable.append(scenario)
            continue
        for rule in scenario.rules:
            reason = f"scenario {scenario.name} needs {missing}"
            tally.skipped.setdefault(rule, reason)
    return runnable


def _after(scenarios: list[Scenario], name: str | None) -> list[Scenario]:
    """Return the scenarios after the one that took the child with it."""
    names = [scenario.name for scenario in scenarios]
    return [] if name is None else scenarios[names.index(name) + 1 :]


def run_search(
    engine: str, boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Draw programs with an engine, one of `SEARCHES`; judge all rules on each."""
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    logged = gathering.logged(boot)
    gathering.gather(boot, partial(work.search, logged, plan, capabilities, engine))
    Smaller(gathering, boot).go_on()
    return _result(engine, gathering, begin)


def run_schedules(
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Go through the schedules of every race that a stepped implementation can run."""
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    left = race_work.runnable(plan, capabilities, gathering.tally)
    while left and gathering.stalls < STALLS_MAX:
        task = partial(race_work.run_races, boot, plan, tuple(left))
        is_over = gathering.gather(boot, task)
        names = [race.name for race in left]
        is_lost = not is_over and gathering.current in names
        left = left[names.index(gathering.current or "") + 1 :] if is_lost else []
    Smaller(gathering, boot).go_on()
    return _result("schedules", gathering, begin)


def _result(engine: str, gathering: Gathering, begin: float) -> EngineResult:
    return EngineResult(
        engine,
        gathering.tally.results(),
        gathering.tally.capabilities,
        gathering.table,
        gathering.programs,
        time.monotonic() - begin,
        tuple(gathering.readings.lines()),
        gathering.known,
        gathering.states,
        gathering.reach.by_file(),
        tuple(gathering.races),
        gathering.tally.lost,
    )
