"""Judging one implementation with one engine, from beginning to end.

Interface:
  * `run_scenarios(boot, plan)` and `run_search(boot, plan)` return an
    `EngineResult`: a verdict for each rule, whatever the implementation does.
  * `Plan` says which rules, by which promise, with which budget.
  * The implementation runs in a child process (see `isolation.py`), unless the plan
    says otherwise, which is for debuggers.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Protocol

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError, run
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import Child, DiedError, Send, StalledError
from conformance.engines.judge import Judgement, judge
from conformance.engines.operations_table import OperationsTable
from conformance.engines.scenario_run import probe, scenarios_for
from conformance.engines.shrink import RUNS_MAX, shrink
from conformance.engines.stateful import Budget, run_stateful
from conformance.engines.tally import RuleResult, Tally, Violation
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
from conformance.program import Program
from conformance.rules.catalogue import RULES
from conformance.rules.rule import Rule
from conformance.scenarios.catalogue import SCENARIOS
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Promise

LOT_PROGRAMS = 25
"""Programs drawn between two looks at the clock."""
SEEDS_APART = 1_000_000
"""Between the lots of two seeds, so that they never draw the same."""
STALL_SECONDS = 20.0
"""How long one program may take before the implementation is called endless."""


@attrs.frozen
class Plan:
    """What is judged, and how long."""

    rules: Sequence[Rule] = RULES
    promise: Promise = Promise.DOCUMENT
    scenarios: Sequence[Scenario] = SCENARIOS
    budget: Budget = attrs.field(factory=Budget)
    seconds: float | None = None
    """Search for this long instead of a number of programs."""
    seed: int = 0
    shrink_runs: int = RUNS_MAX
    shrink_seconds: float = 10.0
    """For each violated rule; a slow implementation shrinks less."""
    stall_seconds: float = STALL_SECONDS
    isolated: bool = True
    """Run the implementation in a process of its own."""
    on_progress: Callable[[str], None] = attrs.field(default=lambda _: None, eq=False)
    """Called with a few words, now and then."""


@attrs.frozen
class EngineResult:
    """What one engine found out about one implementation."""

    engine: str
    results: dict[str, RuleResult]
    """By rule id, in the order of the catalogue."""
    capabilities: Capabilities
    table: OperationsTable
    programs: int
    seconds: float
    counters: tuple[str, ...] = ()
    """The counters over all programs, interpreted as the document does."""


class ImplementationError(Exception):
    """There is no stack to judge: the factory raised, hung, or ended the process."""


# --- messages of the child ------------------------------------------------------


@attrs.frozen
class _Begun:
    """The next program is about to run."""

    name: str | None


@attrs.frozen
class _Judged:
    """A program has been judged."""

    judgement: Judgement
    table: OperationsTable
    readings: Readings
    name: str | None


@attrs.frozen
class _NoStack:
    """Boot failed."""

    reason: str


@attrs.frozen
class _Shrunk:
    """A violation was made small."""

    rule: str
    violation: Violation


class _Work(Protocol):
    def __call__(self, send: Send, /) -> None: ...


@attrs.define(eq=False)
class _Gathering:
    """The parent's side: adds up what the child sends."""

    tally: Tally
    plan: Plan
    table: OperationsTable = attrs.field(factory=OperationsTable)
    readings: Readings = attrs.field(factory=Readings)
    programs: int = 0
    current: str | None = None

    def take(self, message: object) -> None:
        """Add up one message of the child."""
        match message:
            case _Begun(name=name):
                self.current = name
            case _Judged():
                self._take_judged(message)
            case _Shrunk(rule=rule, violation=violation):
                self.tally.replace(rule, violation)
            case _NoStack(reason=reason):
                self.tally.broken(Crash(None, reason), None)
            case other:
                raise AssertionError(f"the child sent {other!r}")

    def _take_judged(self, message: _Judged) -> None:
        self.programs += 1
        self.table.merge(message.table)
        self.readings.merge(message.readings)
        concerned = self._concerned(message.name)
        self.tally.add(message.judgement, message.name, concerned)
        self.plan.on_progress(f"{self.programs} programs")

    def _concerned(self, name: str | None) -> Sequence[str] | None:
        for scenario in self.plan.scenarios:
            if scenario.name == name:
                return scenario.rules
        return None

    def broke(self, crash: str | None, inconclusive: str | None) -> None:
        """Note that the child was lost in the middle of a program."""
        self.tally.broken(
            Crash(None, crash) if crash else None,
            inconclusive,
            self._concerned(self.current),
        )


# --- engines --------------------------------------------------------------------


def look_at(boot: Boot, plan: Plan) -> Capabilities:
    """Return what an implementation offers.

    Raises:
        ImplementationError: there is no stack.
    """
    found: list[Capabilities] = []

    def work(send: Send) -> None:
        try:
            send(probe(boot))
        except BootError as error:
            send(_NoStack(str(error)))

    try:
        for message in _messages(boot, work, plan):
            if isinstance(message, _NoStack):
                raise ImplementationError(message.reason)
            assert isinstance(message, Capabilities)
            found.append(message)
    except StalledError:
        raise ImplementationError(
            f"boot did not return within {plan.stall_seconds:g} s"
        ) from None
    except DiedError as death:
        raise ImplementationError(str(death)) from None
    return found[0]


def run_scenarios(
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Run every scenario that the implementation can run; judge all rules on each."""
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = _Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    left = _runnable(plan, capabilities, gathering.tally)
    while left:
        done = _gather(
            gathering, boot, partial(_scenario_work, boot, plan, tuple(left))
        )
        left = [] if done else _after(left, gathering.current)
    return _result("scenarios", gathering, begin)


def _runnable(plan: Plan, capabilities: Capabilities, tally: Tally) -> list[Scenario]:
    runnable = []
    for scenario in scenarios_for(plan.rules, plan.scenarios):
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
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Draw programs with the state machine; judge all rules on each."""
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = _Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    _gather(gathering, boot, partial(_search_work, boot, plan, capabilities))
    return _result("stateful", gathering, begin)


def _result(engine: str, gathering: _Gathering, begin: float) -> EngineResult:
    return EngineResult(
        engine,
        gathering.tally.results(),
        gathering.tally.capabilities,
        gathering.table,
        gathering.programs,
        time.monotonic() - begin,
        tuple(gathering.readings.lines()),
    )


def _gather(gathering: _Gathering, boot: Boot, work: _Work) -> bool:
    """Take what the child sends; tell whether it came to its end."""
    try:
        for message in _messages(boot, work, gathering.plan):
            gathering.take(message)
    except StalledError:
        bound = gathering.plan.stall_seconds
        gathering.broke(None, f"a program ran for more than {bound:g} s")
        return False
    except DiedError as death:
        gathering.broke(str(death), None)
        return False
    return True


def _messages(boot: Boot, work: _Work, plan: Plan) -> Iterator[object]:
    def work_and_close(send: Send) -> None:
        try:
            work(send)
        finally:
            _close(boot)

    if plan.isolated:
        with Child(work_and_close) as child:
            yield from child.messages(plan.stall_seconds)
        return
    collected: list[object] = []
    work_and_close(collected.append)
    yield from collected


def _close(boot: Boot) -> None:
    """Tell a factory that keeps something between boots that it was the last one."""
    close = getattr(boot, "close", None)
    if callable(close):
        close()


# --- in the child -----------------------------------------------------------------


def _scenario_work(
    boot: Boot, plan: Plan, scenarios: Sequence[Scenario], send: Send
) -> None:
    violations: dict[str, tuple[Judgement, str | None]] = {}
    for scenario in scenarios:
        send(_Begun(scenario.name))
        try:
            history = run(boot, scenario.program)
        except BootError as error:
            crash = Crash(None, f"boot raised {error}")
            lost = Judgement(scenario.program, {}, crash, None, {})
            send(_Judged(lost, OperationsTable(), Readings(), scenario.name))
            continue
        _send_judged(history, plan, send, scenario.name, violations)
    _shrink_all(boot, plan, violations, send)


def _search_work(
    boot: Boot, plan: Plan, capabilities: Capabilities, send: Send
) -> None:
    violations: dict[str, tuple[Judgement, str | None]] = {}

    def on_history(history: History) -> None:
        _send_judged(history, plan, send, None, violations)

    try:
        for budget, seed in _rounds(plan):
            run_stateful(boot, capabilities, on_history, budget, seed)
    except BootError as error:
        send(_NoStack(f"boot raised {error}"))
    _shrink_all(boot, plan, violations, send)


def _rounds(plan: Plan) -> Iterator[tuple[Budget, int]]:
    """Yield what is to be drawn: all at once, or small lots until the time is up."""
    if plan.seconds is None:
        yield plan.budget, plan.seed
        return
    deadline = time.monotonic() + plan.seconds
    lot = Budget(LOT_PROGRAMS, plan.budget.operations)
    for seed in count(plan.seed * SEEDS_APART):
        if time.monotonic() >= deadline:
            return
        yield lot, seed


def _send_judged(
    history: History,
    plan: Plan,
    send: Send,
    name: str | None,
    violations: dict[str, tuple[Judgement, str | None]],
) -> None:
    judgement = judge(history, plan.rules, plan.promise)
    for rule in judgement.violated:
        known = violations.get(rule)
        if known is None or _is_smaller(judgement, known[0]):
            violations[rule] = judgement, name
    table = OperationsTable()
    table.add(history.calls)
    readings = Readings()
    readings.add(history, name)
    send(_Judged(judgement, table, readings, name))


def _is_smaller(new: Judgement, old: Judgement) -> bool:
    return len(new.program.operations) < len(old.program.operations)


def _shrink_all(
    boot: Boot,
    plan: Plan,
    violations: dict[str, tuple[Judgement, str | None]],
    send: Send,
) -> None:
    by_id = {rule.id: rule for rule in plan.rules}
    for rule, (judgement, name) in sorted(violations.items()):
        send(_Begun(name))
        send(_Shrunk(rule, _shrunk(boot, plan, by_id[rule], judgement, name)))


def _shrunk(
    boot: Boot, plan: Plan, rule: Rule, judgement: Judgement, name: str | None
) -> Violation:
    deadline = time.monotonic() + plan.shrink_seconds
    best: list[Judgement] = []

    def still_fails(program: Program) -> bool:
        if best and time.monotonic() > deadline:
            return False
        with contextlib.suppress(BootError):
            found = judge(run(boot, program), [rule], plan.promise)
            if found.outcomes.get(rule.id) and found.violated:
                best.append(found)
                return True
        return False

    if not still_fails(judgement.program):
        first = judgement.outcomes[rule.id].findings[0]
        sentence = f"{first.sentence} (did not repeat when the program was run again)"
        return Violation(
            sentence, judgement.program, first.call, judgement.timeline, name
        )
    shrink(judgement.program, still_fails, plan.shrink_runs)
    last = best[-1]
    first = last.outcomes[rule.id].findings[0]
    small = name if last.program == judgement.program else None
    return Violation(first.sentence, last.program, first.call, last.timeline, small)
