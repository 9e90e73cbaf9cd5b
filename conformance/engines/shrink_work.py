"""What the child does to make programs small.

Interface:
  * `make_small` and `make_endless_small` send `Shrunk`, the last word on each program
    after those that are smaller and smaller; `run_once` only runs one.
  * `shrunk` does it for one program, whichever way it is run.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import attrs

from conformance.engines.execution import BootError
from conformance.engines.isolation import Send
from conformance.engines.judge import judge
from conformance.engines.plan import Known, Plan
from conformance.engines.repetition import Runs, again
from conformance.engines.running import run
from conformance.engines.shrink import Bound, shrink
from conformance.engines.tally import Violation
from conformance.engines.timeline import timeline
from conformance.engines.work import no_stack, short_crash
from conformance.interface import Boot
from conformance.oracle.history import History
from conformance.program import Program
from conformance.rules.rule import Rule

RunAgain = Callable[[Program], Violation | None]
"""Runs a program; returns what is to be shown of it, or None if it is not in it."""


@attrs.frozen
class Shrunk:
    """A violation was made smaller."""

    rule: str
    """Or the sort of crash."""
    violation: Violation
    is_last: bool
    """The rule is done."""
    counts: bool = True
    """False: it did not show again as often as it must."""
    is_steady: bool = True
    """False: it did not show each time."""


def make_small(
    boot: Boot,
    plan: Plan,
    violations: dict[str, Violation],
    deadline: float,
    send: Send,
) -> None:
    """Send `Shrunk` for each smaller program, and a last one for each rule.

    Args:
        boot: The implementation.
        plan: What is judged, and how long one rule may take.
        violations: By rule, or by sort of crash.
        deadline: When all are to be done; each has its share of the time that is left.
        send: Takes the messages.
    """
    by_id = {rule.id: rule for rule in plan.rules}
    runs = Runs(boot, {violation.program for violation in violations.values()})
    for place, (rule, violation) in enumerate(sorted(violations.items())):
        share = (deadline - time.monotonic()) / (len(violations) - place)
        seconds = min(plan.shrink_seconds, share)
        run_again: RunAgain
        if rule in by_id:
            one = runs.for_one_rule()
            run_again = partial(_violation, one, plan, by_id[rule], violation)
        else:
            run_again = partial(_crash, boot, rule, violation)
        send(shrunk(run_again, plan, rule, violation, seconds, send))


def make_endless_small(
    boot: Boot, plan: Plan, found: Violation, deadline: float, send: Send
) -> None:
    """Send `Shrunk` for each smaller program that hits a bound, and a last one."""

    def run_again(program: Program) -> Violation | None:
        try:
            history = run(boot, program)
        except BootError:
            return None
        reason = history.inconclusive
        drawn = () if reason is None else tuple(timeline(history))
        return None if reason is None else Violation(reason, program, None, drawn)

    seconds = min(plan.shrink_seconds, deadline - time.monotonic())
    send(shrunk(run_again, plan, "", found, seconds, send))


def shrunk(
    run_again: RunAgain,
    plan: Plan,
    rule: str,
    violation: Violation,
    seconds: float,
    send: Send,
) -> Shrunk:
    """Send each smaller program; return the last word on the violation, or crash."""
    first = again(plan, run_again, violation.program)
    if not first.is_enough:
        once = attrs.evolve(violation, sentence=first.about(violation.sentence))
        return Shrunk(rule, once, is_last=True, counts=plan.repeats == 0)
    shown = attrs.evolve(first.seen[0], sentence=first.about(first.seen[0].sentence))
    send(Shrunk(rule, shown, is_last=False, is_steady=first.is_steady))
    known = plan.known_as(violation.scenario)
    if known is not None and known.is_minimal:
        return Shrunk(rule, attrs.evolve(shown, is_minimal=True), is_last=True)
    bound = Bound(plan.shrink_runs, seconds)

    def send_smaller(smaller: Violation) -> None:
        send(Shrunk(rule, smaller, is_last=False))

    best = _smallest(shown, run_again, bound, known, send_smaller)
    is_sure = plan.repeats == 0 or best.program == shown.program
    if is_sure or again(plan, run_again, best.program).is_enough:
        return Shrunk(rule, best, is_last=True)
    return Shrunk(rule, shown, is_last=True)


def _smallest(
    best: Violation,
    run_again: RunAgain,
    bound: Bound,
    known: Known | None,
    send: Callable[[Violation], None],
) -> Violation:
    """Send each smaller program; return the smallest, and what is known of it."""

    def still_fails(program: Program) -> bool:
        nonlocal best
        small = run_again(program)
        if small is None:
            return False
        best = attrs.evolve(small, made_from=known.id if known else None)
        send(best)
        return True

    tried = known.tried if known else ()
    result = shrink(best.program, still_fails, bound, tried=tried)
    return attrs.evolve(best, is_minimal=result.is_minimal, tried=result.tried)


def _violation(
    run: Callable[[Program], History],
    plan: Plan,
    rule: Rule,
    known: Violation,
    program: Program,
) -> Violation | None:
    """Run a program; return how it violates the rule, or None."""
    try:
        judgement = judge(run(program), [rule], plan.promise)
    except BootError:
        return None
    if not judgement.violated:
        return None
    finding = judgement.outcomes[rule.id].findings[0]
    is_whole = program == known.program
    return Violation(
        finding.sentence,
        program,
        finding.call,
        judgement.timeline,
        known.scenario if is_whole else None,
    )


def _crash(
    boot: Boot, sort: str, known: Violation, program: Program
) -> Violation | None:
    """Run a program; return how it crashes, if that is of the same sort."""
    drawn: tuple[str, ...] = ()
    try:
        history = run(boot, program)
        crash = history.crash and short_crash(history.crash)
        drawn = tuple(timeline(history))
    except BootError as error:
        crash = no_stack(error)
    if crash is None or crash.sort != sort:
        return None
    scenario = known.scenario if program == known.program else None
    return Violation(crash.message, program, crash.call, drawn, scenario)


def run_once(boot: Boot, program: Program, _: Send) -> None:
    """Run a program, to see whether the process survives it."""
    with suppress(BootError):
        run(boot, program)
