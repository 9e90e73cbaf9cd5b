"""Making small what an engine has found: the parent's side.

Interface:
  * `Smaller(gathering, boot).go_on()` makes the program of each violation small that is
    not yet, and withdraws those that do not count.
"""

import time
from contextlib import closing, suppress
from functools import partial

import attrs

from conformance.engines import work
from conformance.engines.gathering import Gathering, messages_of
from conformance.engines.isolation import DiedError, StalledError, SuiteError
from conformance.engines.tally import Violation
from conformance.interface import Boot


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

    def go_on(self) -> None:
        """Make the program of each violation small, of those that count."""
        found = self.gathering.tally.violations()
        left = {rule: found[rule] for rule in found if rule not in self._settled}
        deadline = time.monotonic() + self.gathering.plan.shrink_seconds_all
        while left:
            left = self._make_these_small(left, deadline)
        self._settled |= found.keys() & self.gathering.tally.violations().keys()

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
            task = partial(work.make_small, self.boot, plan, dict(left), deadline)
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
        assert isinstance(message, work.Shrunk)
        rule, violation = message.rule, message.violation
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
