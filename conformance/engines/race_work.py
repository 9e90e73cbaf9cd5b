"""What the child does with races: it goes through their schedules.

Interface:
  * `runnable(plan, capabilities, tally)` returns the races that can be run; why others
    cannot is noted in the tally.
  * `run_races(boot, plan, races, send)` sends `work.Begun` and `RaceJudged` for each.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from conformance.engines.capabilities import Capabilities
from conformance.engines.execution import BootError
from conformance.engines.isolation import Send
from conformance.engines.judge import Judgement, RuleOutcome, judge
from conformance.engines.plan import Plan
from conformance.engines.racing import run_schedule
from conformance.engines.remembering import ForgetfulError
from conformance.engines.running import run
from conformance.engines.schedules import (
    CRASH,
    Accusation,
    Bound,
    Choices,
    ScheduleResult,
    explore,
)
from conformance.engines.tally import Tally
from conformance.engines.turns import as_program
from conformance.engines.work import Begun
from conformance.interface import Boot
from conformance.oracle.history import Crash, History
from conformance.rules.rule import Rule
from conformance.scenarios.races import Race
from conformance.verdicts import Promise

RaceRecord = dict[str, Any]
"""How far the schedules of one race were gone through, as plain values."""
BEAT_SECONDS = 1.0
"""How often the child says that it is alive."""


@attrs.frozen
class RaceJudged:
    """The schedules of a race have been gone through."""

    name: str
    judgements: tuple[Judgement, ...]
    """One with all that was not violated, then one for each violated rule."""
    record: RaceRecord


def runnable(plan: Plan, capabilities: Capabilities, tally: Tally) -> list[Race]:
    """Return the races within the budget that an implementation can run."""
    wanted = {rule.id for rule in plan.rules}
    races = []
    for race in plan.races:
        missing = capabilities.missing_for(race.program)
        if not capabilities.is_stepped:
            missing = "stepping"
        if missing is not None:
            lacking = {rule: missing for rule in race.rules if rule in wanted}
            tally.add(Judgement(race.program, {}, None, None, lacking))
        elif len(race.calls) <= plan.race_budget.calls and wanted & set(race.rules):
            races.append(race)
    return races


def run_races(boot: Boot, plan: Plan, races: Sequence[Race], send: Send) -> None:
    """Go through the schedules of races."""
    for race in races:
        send(Begun(race.name))
        rules = [rule for rule in plan.rules if rule.id in race.rules]
        try:
            send(_explored(boot, plan, race, rules, _beat(send, race.name)))
        except ForgetfulError as error:
            lost = Judgement(race.program, {}, None, str(error), {})
            send(RaceJudged(race.name, (lost,), _lost(race, str(error))))
        except BootError as error:
            crash = Crash(None, f"boot fails: {error}")
            lost = Judgement(race.program, {}, crash, None, {})
            send(RaceJudged(race.name, (lost,), _lost(race, crash.message)))


def _beat(send: Send, name: str) -> Callable[[str], None]:
    last = time.monotonic()

    def beat(_: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > BEAT_SECONDS:
            last = now
            send(Begun(name))

    return beat


def _explored(
    boot: Boot,
    plan: Plan,
    race: Race,
    rules: Sequence[Rule],
    tell: Callable[[str], None],
) -> RaceJudged:
    budget = plan.race_budget
    result = explore(
        boot,
        race,
        rules,
        coverage=budget.coverage,
        promise=plan.promise,
        bound=Bound(budget.states, budget.histories),
        tell=tell,
    )
    shown = _Shown(boot, race, plan.promise)
    found = [
        shown.violation(rule, result.accusations[rule.id].choices)
        for rule in rules
        if rule.id in result.accusations
    ]
    if CRASH in result.accusations:
        found.append(shown.crash(result.accusations[CRASH]))
    return RaceJudged(race.name, (_rest(result, rules), *found), record_of(result))


def _rest(result: ScheduleResult, rules: Sequence[Rule]) -> Judgement:
    """Return what is known of a race beside its violations."""
    outcomes = {
        rule.id: RuleOutcome(
            result.premises[rule.id],
            (),
            result.seconds / len(rules),
            result.errors.get(rule.id),
        )
        for rule in rules
        if rule.id not in result.unseen
    }
    program = result.race.program
    return Judgement(program, outcomes, None, result.reason, result.unseen)


@attrs.frozen
class _Shown:
    """Small programs that show what was found in schedules of a race."""

    boot: Boot
    race: Race
    promise: Promise

    def violation(self, rule: Rule, choices: Choices) -> Judgement:
        """Return a judgement of one in which a rule is violated."""

        def is_violated(history: History) -> bool:
            return bool(judge(history, [rule], self.promise).violated)

        return judge(self._shown(choices, is_violated), [rule], self.promise)

    def crash(self, accused: Accusation) -> Judgement:
        """Return a judgement of one in which the implementation crashes."""
        found = judge(self._shown(accused.choices, _is_crashed), ())
        if found.crash is not None:
            return found
        return attrs.evolve(found, crash=Crash(None, accused.text))

    def _shown(self, choices: Choices, shows: Callable[[History], bool]) -> History:
        program = as_program(self.boot, self.race, choices, shows)
        if program is None:
            return run_schedule(self.boot, self.race, choices)
        return run(self.boot, program)


def _is_crashed(history: History) -> bool:
    return history.crash is not None


def record_of(result: ScheduleResult) -> RaceRecord:
    """Return how far the schedules of a race were gone through."""
    return {
        "race": result.race.name,
        "calls": [call.name for call in result.race.calls],
        "points": list(result.points),
        "schedules": None if result.is_partial else result.schedules,
        "states": result.states,
        "finals": result.finals,
        "steps": result.steps,
        "depth": result.depth,
        "histories": result.judged,
        "coverage": result.coverage.name.lower(),
        "bound_hit": result.bound_hit,
        "violated": sorted(result.violated),
        "seconds": round(result.seconds, 3),
        "text": result.short,
    }


def _lost(race: Race, reason: str) -> RaceRecord:
    result = ScheduleResult(race, bound_hit=True, is_partial=True)
    return {**record_of(result), "text": reason}
