"""What an engine has found so far: the parent adds up what the child sends.

Interface:
  * `messages_of(boot, task, plan)` does a piece of work in a child (`isolation.py`),
    unless the plan says otherwise, and yields what it sends.
  * `Gathering.gather(boot, task)` takes all that; a child that is lost in the middle of
    a program costs only what was being judged its verdict.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Protocol

import attrs

from conformance.engines import work
from conformance.engines.interpretation import Readings
from conformance.engines.isolation import (
    Child,
    DiedError,
    Send,
    StalledError,
    SuiteError,
)
from conformance.engines.logbook import Logbook, Logged
from conformance.engines.operations_table import OperationsTable
from conformance.engines.plan import Plan
from conformance.engines.race_work import RaceJudged, RaceRecord
from conformance.engines.reach import Reach
from conformance.engines.tally import Tally, Violation, verdict_on, verdict_on_crash
from conformance.interface import Boot
from conformance.oracle.history import Crash
from conformance.program import Program
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Verdict


class Work(Protocol):
    """A piece of work, done in the child."""

    def __call__(self, send: Send, /) -> None:
        """Do it, and send what is found out."""
        ...


@attrs.define(eq=False)
class Gathering:
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
    deaths: set[str] = attrs.field(factory=set[str])
    """The sorts of crash that ended a child."""
    logbook: Logbook = attrs.field(factory=Logbook)
    """What the child is at."""
    went_wrong: set[str] = attrs.field(factory=set[str])
    """Scenarios in which any rule was violated."""

    def logged(self, boot: Boot) -> Boot:
        """Return a factory whose programs are known should the child be lost."""
        return Logged(boot, self.logbook)

    def gather(self, boot: Boot, task: Work) -> bool:
        """Take what the child sends; tell whether it came to its end."""
        try:
            with closing(messages_of(boot, task, self.plan)) as messages:
                for message in messages:
                    self._take(message)
        except StalledError:
            bound = self.plan.stall_seconds
            self._stalled(f"a program ran for more than {bound:g} s{self._where()}")
            return False
        except DiedError as death:
            self._died(str(death))
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
            self.known[known.id] = (
                verdict_on_crash(message.judgement)
                if known.is_crash
                else verdict_on(message.judgement, known.rule)
            )
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

    def _stalled(self, reason: str) -> None:
        """Note that the child was ended because a program did not end."""
        self.stalls += 1
        concerned, program = self._concerned(self.current), self._program()
        if concerned is None and program is not None:
            self.tally.stalled(reason, program)
        else:
            self.tally.broken(None, reason, concerned)
        known = self.plan.known_as(self.current)
        if known is not None:
            self.known[known.id] = Verdict.INCONCLUSIVE

    def _died(self, sort: str) -> None:
        """Note that the child ended in the middle of a program."""
        crash, concerned = Crash(None, sort), self._concerned(self.current)
        self.tally.broken(crash, None, concerned)
        self.deaths.add(sort)
        scenario, program = self._scenario(), self._program()
        if program is not None:
            name = None if scenario is None else scenario.name
            shown = Violation(sort, program, None, (), name)
            self.tally.crashes_in(crash, shown, concerned)
        known = self.plan.known_as(self.current)
        if known is not None:
            self.known[known.id] = Verdict.CRASHED

    def _where(self) -> str:
        """Say what the child had last been asked."""
        asked = self.logbook.program()
        if asked is None or not asked.operations:
            return ""
        drawn = "a drawn program" if self._scenario() is None else self.current
        count = len(asked.operations)
        return f": {drawn}, asked {asked.operations[-1]} as operation {count - 1}"

    def _program(self) -> Program | None:
        """Return the program that was running, as far as it is known."""
        scenario = self._scenario()
        return scenario.program if scenario else self.logbook.program()

    def _scenario(self) -> Scenario | None:
        """Return the scenario that was running; None: the program was drawn."""
        named = (each for each in self.plan.programs() if each.name == self.current)
        return next(named, None)


def messages_of(boot: Boot, task: Work, plan: Plan) -> Generator[object, None, None]:
    """Do a piece of work in a child, and yield what it sends.

    Raises:
        StalledError: it sent nothing for too long.
        DiedError: it ended without being done.
        SuiteError: the suite failed in it.
    """

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
