"""Histories written down by hand, with what the stack showed, for tests of rules.

story = Story()
pin = story.do(GetUserPages(), 1)           # asked, and answered with one page
story.look(VmStat(nr_foll_pin_acquired=1))  # what the stack showed then
assert story.found(rule) == []
"""

from collections.abc import Iterable, Mapping

from conformance.engines.judge import Judgement, judge
from conformance.interface import (
    Feature,
    Geometry,
    KernelError,
    Operation,
    PageView,
    Setup,
    Signal,
    VmStat,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, History, Sample
from conformance.program import Program
from conformance.rules.rule import Case, Rule

Views = Mapping[tuple[int, int], PageView]


class Story:
    """A history that grows, with samples; nothing was shown before it began."""

    def __init__(
        self,
        *features: Feature,
        geometry: Geometry = Geometry(),
        misuse: bool = False,
        start: VmStat = VmStat(),
        pages: Views | None = None,
        mkwrites: Mapping[int, int] | None = None,
    ) -> None:
        self.mkwrites = mkwrites or {}
        program = Program(setup=Setup(geometry, features), misuse=misuse)
        self.history = History(program, geometry, frozenset(features))
        self.look(start, pages)

    def ask(self, operation: Operation) -> Call:
        """Begin a call."""
        call = Call(len(self.history.calls), operation, self.history.tick())
        self.history.calls.append(call)
        return call

    def answer(
        self,
        call: Call,
        result: object = None,
        error: KernelError | Signal | None = None,
    ) -> Call:
        """End a call."""
        call.answered = self.history.tick()
        call.result, call.error = result, error
        return call

    def do(
        self,
        operation: Operation,
        result: object = None,
        error: KernelError | Signal | None = None,
    ) -> Call:
        """Begin and end a call."""
        return self.answer(self.ask(operation), result, error)

    def look(
        self,
        vmstat: VmStat = VmStat(),
        pages: Views | None = None,
        pins: Views | None = None,
        *,
        parked: Iterable[int] = (),
        pending: Iterable[int] = (),
    ) -> None:
        """Take what the stack shows."""
        self.history.samples.append(
            Sample(
                moment=self.history.tick(),
                after=len(self.history.calls) - 1,
                pages=pages or {},
                pins=pins or {},
                mkwrites=self.mkwrites,
                mtimes={},
                vmstat=vmstat,
                statfs=None,
                parked=frozenset(parked),
                pending=frozenset(pending),
            )
        )

    def found(self, rule: Rule) -> list[str]:
        """Judge by one rule; return the sentences."""
        return [finding.sentence for finding in rule.check(self.case())]

    def premises(self, rule: Rule) -> int:
        """Return how often the premise of a rule came up."""
        case = self.case()
        list(rule.check(case))
        return case.premises

    def case(self) -> Case:
        """Return the case that a rule judges."""
        return Case(self.history, Oracle(self.history))

    def judged(self, rules: Iterable[Rule]) -> Judgement:
        """Judge by several rules, as far as they can be observed."""
        return judge(self.history, rules)
