"""Histories written by hand, sample by sample, for what no stack of ours does."""

import attrs

from conformance.engines.judge import RuleOutcome, judge
from conformance.interface import (
    Feature,
    FileImage,
    Geometry,
    KernelError,
    Operation,
    PageView,
    PowerCutImage,
    Setup,
    VmStat,
)
from conformance.oracle.history import Call, History, Sample
from conformance.program import Preempt, Program
from conformance.rules.rule import Rule
from conformance.verdicts import Promise

CLEAN = PageView(is_cached=True, is_dirty=False, is_under_writeback=False)
DIRTY = PageView(is_cached=True, is_dirty=True, is_under_writeback=False)
WRITTEN = PageView(is_cached=True, is_dirty=False, is_under_writeback=True)
BOUNCED = PageView(is_cached=True, is_dirty=True, is_under_writeback=True)


def cut(*words: int) -> PowerCutImage:
    """Return what a power cut leaves of file 0: its first words, then zeros."""
    geometry = Geometry()
    size = geometry.file_pages * geometry.words_per_page
    return PowerCutImage({0: FileImage((*words, *[0] * (size - len(words))))})


class Told:
    """A history in which page 0 of file 0 is all that is seen."""

    def __init__(self, *features: Feature, schedule: tuple[Preempt, ...] = ()) -> None:
        setup = Setup(features=features)
        program = Program(setup=setup, schedule=schedule)
        self.history = History(program, Geometry(), setup.features)
        self.show(DIRTY)

    def show(
        self,
        view: PageView | None,
        *,
        mkwrites: int = 0,
        pins: dict[tuple[int, int], PageView] | None = None,
        vmstat: VmStat = VmStat(),
        parked: tuple[int, ...] = (),
    ) -> None:
        """Take a sample after the last call."""
        pending = (call.index for call in self.history.calls if call.is_pending)
        sample = Sample(
            moment=self.history.tick(),
            after=len(self.history.calls) - 1,
            pages={} if view is None else {(0, 0): view},
            pins=pins or {},
            mkwrites={0: mkwrites},
            mtimes={},
            vmstat=vmstat,
            statfs=None,
            parked=frozenset(parked),
            pending=frozenset(pending),
        )
        self.history.samples.append(sample)

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

    def asks(
        self,
        operation: Operation,
        view: PageView | None,
        *,
        mkwrites: int = 0,
        parked: bool = False,
    ) -> Call:
        """Ask an operation that does not answer yet, and show the page."""
        call = self.ask(operation)
        self.show(view, mkwrites=mkwrites, parked=(call.index,) if parked else ())
        return call

    def does(
        self,
        operation: Operation,
        view: PageView | None,
        *,
        result: object = None,
        error: KernelError | None = None,
        mkwrites: int = 0,
        pins: dict[tuple[int, int], PageView] | None = None,
        vmstat: VmStat = VmStat(),
        parked: tuple[int, ...] = (),
    ) -> Call:
        """Ask and answer an operation, and show the page afterwards."""
        call = self.ask(operation)
        self.answer(call, result, error)
        self.show(view, mkwrites=mkwrites, pins=pins, vmstat=vmstat, parked=parked)
        return call

    def judged(self, rule: Rule, promise: Promise = Promise.DOCUMENT) -> RuleOutcome:
        """Judge by one rule, whatever the stack shows."""
        shown = attrs.evolve(rule, needs=attrs.evolve(rule.needs, views=()))
        outcome = judge(self.history, [shown], promise).outcomes[rule.id]
        assert outcome.error is None
        return outcome
