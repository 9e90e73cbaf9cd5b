"""Does a violation show again when its program is run again?

Where the stack is all there is, it should, the first time. The running kernel shares
its machine with others, who may have been the cause; and it has races, which do not
show every time. There a violation counts when it has shown again some times
(`Plan.repeats`) in a few times as many runs (`Plan.tries`).

Interface:
  * `again(plan, run, program)` runs a program until that is settled.
  * `Repetition.about(sentence)` is the sentence, with how often it showed again
    where that was not every time.
  * `Runs` keeps what each run of a program was like: one that violates several rules
    is not run three times for each of them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence

import attrs

from conformance.engines.plan import Plan
from conformance.engines.running import run
from conformance.engines.tally import Violation
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import Program

NO_REPETITION = "did not repeat when the program was run again"
"""What the sentence of a violation ends with that was seen only once."""


@attrs.frozen
class Repetition:
    """How often a violation showed again."""

    seen: Sequence[Violation]
    runs: int
    wanted: int

    @property
    def is_enough(self) -> bool:
        """Whether it showed again as often as it must."""
        return len(self.seen) >= self.wanted

    @property
    def is_steady(self) -> bool:
        """Whether it showed again each time."""
        return len(self.seen) == self.runs

    def about(self, sentence: str) -> str:
        """Return what was seen, and how sure that is."""
        if not self.seen:
            return f"{sentence} ({NO_REPETITION})"
        if self.is_steady:
            return sentence
        return f"{sentence} (repeated in {len(self.seen)} of {self.runs} runs)"


@attrs.define(eq=False)
class Runs:
    """Runs of programs, none of which was made with one rule in mind."""

    boot: Boot
    programs: Collection[Program]
    """Those that are shared; others are run anew each time."""
    _histories: dict[Program, list[History]] = attrs.field(
        factory=lambda: defaultdict(list)
    )

    def for_one_rule(self) -> Callable[[Program], History]:
        """Return what runs a program, and never takes the same run of it twice."""
        taken: Counter[Program] = Counter()

        def run_or_take(program: Program) -> History:
            if program not in self.programs:
                return run(self.boot, program)
            histories = self._histories[program]
            if len(histories) <= taken[program]:
                histories.append(run(self.boot, program))
            taken[program] += 1
            return histories[taken[program] - 1]

        return run_or_take


def again(
    plan: Plan, run: Callable[[Program], Violation | None], program: Program
) -> Repetition:
    """Run a program until the violation has shown often enough, or it is too late."""
    seen: list[Violation] = []
    wanted, runs = max(1, plan.repeats), 0
    while len(seen) < wanted and runs < plan.tries:
        runs += 1
        violation = run(program)
        if violation is not None:
            seen.append(violation)
    return Repetition(seen, runs, wanted)
