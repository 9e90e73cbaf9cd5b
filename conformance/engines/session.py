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
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Protocol

import attrs

from conformance.engines import race_work, work
from conformance.engines.capabilities import Capabilities
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import (
    Child,
    DiedError,
    Send,
    StalledError,
    SuiteError,
)
from conformance.engines.operations_table import OperationsTable
from conformance.engines.plan import STALL_SECONDS, Plan
from conformance.engines.race_work import RaceJudged, RaceRecord
from conformance.engines.reach import ByFile, Reach
from conformance.engines.scenario_run import scenarios_for
from conformance.engines.tally import RuleResult, Tally, Violation, verdict_on
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


class ImplementationError(Exception):
    """There is no stack to judge: the factory raised, hung, or ended the process."""


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
    """The scenario that is running."""
    known: dict[str, Verdict] = attrs.field(factory=dict[str, Verdict])
    reach: Reach = attrs.field(factory=Reach)
    states: int = 0
    begin: float = attrs.field(factory=time.monotonic)
    races: list[RaceRecord] = attrs.field(factory=list[RaceRecord])
    stalls: int = 0
    """Children that were ended because a program did not end."""
    repeated: set[str] = attrs.field(factory=set[str])
    """Rules whose violation has shown again as often as it must."""
    settled: set[str] = attrs.field(factory=set[str])
    """Rules whose violation has been made small."""
    is_steady: bool = True
    """Whether each violation that counts showed again each time."""
    went_wrong: set[str] = attrs.field(factory=set[str])
    """Scenarios in which any rule was violated."""

    def gather(self, boot: Boot, task: _Work) -> bool:
        """Take what the child sends; tell whether it came to its end."""
        try:
            with closing(_messages(boot, task, self.plan)) as messages:
                for message in messages:
                    self._take(message)
        except StalledError:
            bound = self.plan.stall_seconds
            self.stalls += 1
            self._broke(None, f"a program ran for more than {bound:g} s")
            return False
        except DiedError as death:
            self._broke(str(death), None)
            return False
        except SuiteError as error:
            self.tally.failed(str(error))
        return True

    def _take(self, message: object) -> None:
        match message:
            case work.Begun(name=name):
                self.current = name
            case work.Judged():
                self._take_judged(message)
            case RaceJudged():
                self._take_race(message)
            case work.NoStack(reason=reason):
                self.tally.broken(Crash(None, reason), None)
            case other:
                raise AssertionError(f"the child sent {other!r}")

    def _take_judged(self, message: work.Judged) -> None:
        self.programs += 1
        self.table.merge(message.table)
        self.readings.merge(message.readings)
        self.reach.add(message.lines, message.judgement.exercised)
        concerned = self._concerned(message.name)
        if message.name is not None and message.judgement.violated:
            self.went_wrong.add(message.name)
        self.tally.add(message.judgement, message.name, concerned)
        known = self.plan.known_as(message.name)
        if known is not None:
            self.known[known.id] = verdict_on(message.judgement, known.rule)
        self.plan.on_progress(self._progress(message.states))

    def _progress(self, states: int) -> str:
        """Say how far it is, and how fast it goes."""
        rate = self.programs / max(time.monotonic() - self.begin, 0.001)
        words = f"{self.programs} programs, {rate:.0f}/s"
        if states:
            words += f", {states} states, {states - self.states} new"
        self.states = states
        return words

    def _take_race(self, message: RaceJudged) -> None:
        self.programs += message.record["histories"]
        self.races.append(message.record)
        for judgement in message.judgements:
            self.tally.add(judgement, None, self._concerned(message.name))
        self.plan.on_progress(f"race {message.name}")

    def _concerned(self, name: str | None) -> Sequence[str] | None:
        """Return the rules that a scenario is written for; None: all."""
        written_for = {race.name: race.rules for race in self.plan.races}
        written_for |= {each.name: each.rules for each in self.plan.programs()}
        return written_for.get(name or "") or None

    def _broke(self, crash: str | None, inconclusive: str | None) -> None:
        """Note that the child was lost in the middle of a program."""
        self.tally.broken(
            Crash(None, crash) if crash else None,
            inconclusive,
            self._concerned(self.current),
        )

    def make_small(self, boot: Boot) -> None:
        """Make the program of each violation small, of those that count."""
        found = self.tally.violations()
        left = {rule: found[rule] for rule in found if rule not in self.settled}
        deadline = time.monotonic() + self.plan.shrink_seconds_all
        while left:
            left = self._make_these_small(boot, left, deadline)
        self.settled |= found.keys() & self.tally.violations().keys()

    def _make_these_small(
        self, boot: Boot, left: dict[str, Violation], deadline: float
    ) -> dict[str, Violation]:
        """Return the violations to be tried next, where one does not count.

        A child that is lost here has said enough: the violation that it was at keeps
        the smallest program found so far, and another child goes on with the rest.
        """
        instead: dict[str, Violation] = {}
        while left:
            task = partial(work.make_small, boot, self.plan, dict(left), deadline)
            with (
                suppress(StalledError, DiedError, SuiteError),
                closing(_messages(boot, task, self.plan)) as messages,
            ):
                for message in messages:
                    self._take_shrunk(message, left, instead)
            if left:
                self._lost_at(min(left), left)
        return instead

    def _lost_at(self, rule: str, left: dict[str, Violation]) -> None:
        """Note that the child was lost at one violation; it may not count yet."""
        sentence = left.pop(rule).sentence
        if self.plan.repeats and rule not in self.repeated:
            self.tally.withdraw(
                rule, f"{sentence} (the stack was lost in a repetition)"
            )

    def _take_shrunk(
        self,
        message: object,
        left: dict[str, Violation],
        instead: dict[str, Violation],
    ) -> None:
        assert isinstance(message, work.Shrunk)
        rule, violation = message.rule, message.violation
        self.is_steady &= message.is_steady
        if message.counts:
            self.tally.replace(rule, violation)
            self.repeated.add(rule)
        else:
            other = self.tally.withdraw(rule, violation.sentence)
            instead |= {} if other is None else {rule: other}
        if message.is_last:
            del left[rule]
        self.plan.on_progress(f"making the program for {rule} small")


# --- engines --------------------------------------------------------------------


def look_at(boot: Boot, plan: Plan) -> Capabilities:
    """Return what an implementation offers.

    Raises:
        ImplementationError: there is no stack.
    """
    try:
        with closing(_messages(boot, partial(work.look, boot), plan)) as messages:
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
    gathering = _Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    runnable = _runnable(plan, capabilities, gathering.tally)
    _go_through(boot, runnable, gathering, tries=1)
    gathering.make_small(boot)
    if not gathering.is_steady:
        # There is a race. What else it breaks need not have shown the first time.
        unsure = _unsure(runnable, gathering)
        _go_through(boot, unsure, gathering, tries=plan.tries)
    return _result(engine, gathering, boot, begin)


def _go_through(
    boot: Boot, left: list[Scenario], gathering: _Gathering, tries: int
) -> None:
    """Run scenarios; one that takes the child with it does not keep the others back."""
    while left and gathering.stalls < STALLS_MAX:
        plan = gathering.plan
        task = partial(work.run_scenarios, boot, plan, tuple(left), tries)
        left = [] if gathering.gather(boot, task) else _after(left, gathering.current)
    reason = f"given up after {STALLS_MAX} programs that did not end"
    for scenario in left:
        gathering.tally.broken(None, reason, scenario.rules)


def _unsure(scenarios: list[Scenario], gathering: _Gathering) -> list[Scenario]:
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
    gathering = _Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    gathering.gather(boot, partial(work.search, boot, plan, capabilities, engine))
    return _result(engine, gathering, boot, begin)


def run_schedules(
    boot: Boot, plan: Plan, capabilities: Capabilities | None = None
) -> EngineResult:
    """Go through the schedules of every race that a stepped implementation can run."""
    begin = time.monotonic()
    capabilities = capabilities or look_at(boot, plan)
    gathering = _Gathering(Tally(plan.rules, capabilities, plan.promise), plan)
    left = race_work.runnable(plan, capabilities, gathering.tally)
    while left and gathering.stalls < STALLS_MAX:
        task = partial(race_work.run_races, boot, plan, tuple(left))
        is_over = gathering.gather(boot, task)
        names = [race.name for race in left]
        is_lost = not is_over and gathering.current in names
        left = left[names.index(gathering.current or "") + 1 :] if is_lost else []
    return _result("schedules", gathering, boot, begin)


def _result(
    engine: str, gathering: _Gathering, boot: Boot, begin: float
) -> EngineResult:
    gathering.make_small(boot)
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
    )


def _messages(boot: Boot, task: _Work, plan: Plan) -> Generator[object, None, None]:
    def work_and_close(send: Send) -> None:
        try:
            task(send)
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
