"""Histories that are made up, call by call, for rules whose admissibility is subtle."""

from collections.abc import Iterable

from conformance.engines.judge import judge
from conformance.interface import (
    Feature,
    FileImage,
    Geometry,
    KernelError,
    Operation,
    PageView,
    PowerCut,
    PowerCutImage,
    Setup,
    VmStat,
)
from conformance.oracle.history import Call, History, Sample
from conformance.program import Program
from conformance.rules.rule import Rule

CLEAN = PageView(is_cached=True, is_dirty=False, is_under_writeback=False)
DIRTY = PageView(is_cached=True, is_dirty=True, is_under_writeback=False)
WRITTEN = PageView(is_cached=True, is_dirty=False, is_under_writeback=True)
WORDS = 8
"""Words of file 0."""


class MadeUp:
    """A history of a stack that does not exist."""

    def __init__(self, *features: Feature) -> None:
        setup = Setup(features=features)
        self.history = History(Program(setup=setup), Geometry(), setup.features)
        self.show()

    def show(
        self,
        view: PageView | None = None,
        vmstat: VmStat = VmStat(),
        pending: Iterable[int] = (),
    ) -> None:
        """Take a sample; page 0 of file 0 is all there is to see."""
        self.history.samples.append(
            Sample(
                moment=self.history.tick(),
                after=len(self.history.calls) - 1,
                pages={} if view is None else {(0, 0): view},
                pins={},
                mkwrites={},
                mtimes={},
                vmstat=vmstat,
                statfs=None,
                parked=frozenset(),
                pending=frozenset(pending),
            )
        )

    def ask(self, operation: Operation) -> Call:
        """Ask an operation, and do not answer it."""
        call = Call(len(self.history.calls), operation, asked=self.history.tick())
        self.history.calls.append(call)
        return call

    def answer(
        self, call: Call, result: object = None, error: KernelError | None = None
    ) -> None:
        """Answer a call."""
        call.answered = self.history.tick()
        call.result, call.error = result, error

    def does(
        self,
        operation: Operation,
        view: PageView | None = None,
        vmstat: VmStat = VmStat(),
        *,
        result: object = None,
        error: KernelError | None = None,
    ) -> Call:
        """Ask and answer an operation, and show the page afterwards."""
        call = self.ask(operation)
        self.answer(call, result, error)
        self.show(view, vmstat)
        return call

    def cuts(self, *words: int) -> Call:
        """Have a power cut show the first words of file 0; the others are zero."""
        image = FileImage((*words, *(0,) * (WORDS - len(words))))
        return self.does(PowerCut(), result=PowerCutImage({0: image}))

    def sentences(self, rules: Iterable[Rule], rule: str) -> list[str]:
        """Judge by one rule."""
        outcome = judge(self.history, rules).outcomes[rule]
        assert outcome.error is None
        return [finding.sentence for finding in outcome.findings]

    def premises(self, rules: Iterable[Rule], rule: str) -> int:
        """Count how often the premise of a rule came up."""
        return judge(self.history, rules).outcomes[rule].premises
