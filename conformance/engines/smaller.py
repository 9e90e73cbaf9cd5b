"""Making small what an engine has found: the parent's side.

A crash is made small like a violation; what a smaller program must show is the same
sort of crash. One that ends its process needs a process for each program that is tried.

Interface:
  * `Smaller(gathering, boot).go_on()` makes the program of each violation and crash
    small that is not yet, and withdraws the violations that do not count.
"""

import time
from contextlib import closing, suppress
from functools import partial

import attrs

from conformance.engines import shrink_work
from conformance.engines.gathering import Gathering, messages_of
from conformance.engines.isolation import DiedError, StalledError, SuiteError
from conformance.engines.tally import Violation
from conformance.interface import Boot
from conformance.program import Program


@attrs.define(eq=False)
class Smaller:
    """Makes small what was gathered."""

    gathering: Gathering
    boot: Boot
    is_steady: bool = True
    """Whether each violation that counts showed again each time."""
    _repeated: set[str] = attrs.field(factory=set[str])
    """Rules whose violation has shown again as often as it must."""
    _settled: set[str] = attrs.field(factory=set[str])
    """Rules whose violation has been made small."""
    _is_endless_small: bool = False

    def go_on(self) -> None:
        """Make the program of each violation small, of those that count."""
        tally = self.gathering.tally
        crashing = {sort: each.shown for sort, each in tally.crashing().items()}
        found = {**tally.violations(), **crashing}
        left = {each: found[each] for each in found if each not in self._settled}
        deadline = time.monotonic() + self.gathering.plan.shrink_seconds_all
        for sort in left.keys() & self.gathering.deaths:
            self._make_death_small(sort, left.pop(sort), deadline)
        while left:
            left = self._make_these_small(left, deadline)
        remaining = tally.violations().keys() | crashing.keys()
        self._settled |= found.keys() & remaining
        if tally.lost is not None and tally.lost.ends and not self._is_endless_small:
            self._is_endless_small = True
            self._make_endless_small(tally.lost.shown, deadline)

    def _make_these_small(
        self, left: dict[str, Violation], deadline: float
    ) -> dict[str, Violation]:
        """Return the violations to be tried next, where one does not count.

        A child that is lost here has said enough: the violation that it was at keeps
        the smallest program found so far, and another child goes on with the rest.
        """
        instead: dict[str, Violation] = {}
        while left:
            plan = self.gathering.plan
            task = partial(
                shrink_work.make_small, self.boot, plan, dict(left), deadline
            )
            with (
                suppress(StalledError, DiedError, SuiteError),
                closing(messages_of(self.boot, task, plan)) as messages,
            ):
                for message in messages:
                    self._take_shrunk(message, left, instead)
            if left:
                self._lost_at(min(left), left)
        return instead

    def _lost_at(self, rule: str, left: dict[str, Violation]) -> None:
        """Note that the child was lost at one violation; it may not count yet."""
        sentence = left.pop(rule).sentence
        if rule in self.gathering.tally.crashing():
            return
        if self.gathering.plan.repeats and rule not in self._repeated:
            self.gathering.tally.withdraw(
                rule, f"{sentence} (the stack was lost in a repetition)"
            )

    def _take_shrunk(
        self,
        message: object,
        left: dict[str, Violation],
        instead: dict[str, Violation],
    ) -> None:
        assert isinstance(message, shrink_work.Shrunk)
        rule, violation = message.rule, message.violation
        if rule in self.gathering.tally.crashing():
            self.gathering.tally.replace_crash(rule, violation)
            if message.is_last:
                del left[rule]
            return
        self.is_steady &= message.is_steady
        if message.counts:
            self.gathering.tally.replace(rule, violation)
            self._repeated.add(rule)
        else:
            other = self.gathering.tally.withdraw(rule, violation.sentence)
            instead |= {} if other is None else {rule: other}
        if message.is_last:
            del left[rule]
        self.gathering.plan.on_progress(f"making the program for {rule} small")

    def _make_death_small(self, sort: str, found: Violation, deadline: float) -> None:
        """Make the program small in which a process ends."""
        plan, tally = self.gathering.plan, self.gathering.tally

        def take(message: object) -> None:
            assert isinstance(message, shrink_work.Shrunk)
            tally.replace_crash(sort, message.violation)
            plan.on_progress("making the program small that ends the process")

        def run_again(program: Program) -> Violation | None:
            if self._death_in(program, deadline) != sort:
                return None
            name = found.scenario if program == found.program else None
            return Violation(sort, program, None, (), name)

        seconds = min(plan.shrink_seconds, deadline - time.monotonic())
        take(shrink_work.shrunk(run_again, plan, sort, found, seconds, take))

    def _make_endless_small(self, found: Violation, deadline: float) -> None:
        """Make the program small that hits a bound; where it is sure to, each time."""
        plan, tally = self.gathering.plan, self.gathering.tally
        if plan.repeats:
            return
        task = partial(shrink_work.make_endless_small, self.boot, plan, found, deadline)
        with (
            suppress(StalledError, DiedError, SuiteError),
            closing(messages_of(self.boot, task, plan)) as messages,
        ):
            for message in messages:
                assert isinstance(message, shrink_work.Shrunk)
                tally.replace_lost(message.violation)
                plan.on_progress("making the program small that hits a bound")

    def _death_in(self, program: Program, deadline: float) -> str | None:
        """Run a program; return how the process that ran it ended, if it did."""
        patience = max(1.0, deadline - time.monotonic())
        plan = self.gathering.plan
        plan = attrs.evolve(plan, stall_seconds=min(plan.stall_seconds, patience))
        task = partial(shrink_work.run_once, self.boot, program)
        try:
            with closing(messages_of(self.boot, task, plan)) as messages:
                list(messages)
        except DiedError as death:
            return str(death)
        except (StalledError, SuiteError):
            return None
        return None
