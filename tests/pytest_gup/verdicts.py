"""Engine results made up, to see what becomes of each verdict."""

from collections.abc import Callable, Mapping

from conformance.engines.operations_table import OperationsTable
from conformance.engines.plan import Plan
from conformance.engines.session import EngineResult
from conformance.engines.tally import Lost, RuleResult, Violation
from conformance.interface import Fsync, GetUserPages, Store
from conformance.oracle.history import Crash
from conformance.program import Program
from conformance.verdicts import Verdict

VIOLATION = Violation(
    sentence="page 0 was lost",
    program=Program((Store(value=1), GetUserPages(), Fsync())),
    call=2,
    timeline=("cpu      writeback", "0: store(value=1) -> ok"),
    scenario="made-up",
    is_minimal=True,
)

Engine = Callable[..., EngineResult]


def result(rule: str, verdict: Verdict) -> RuleResult:
    """Return a result with all that its verdict brings along."""
    is_silent = verdict in {Verdict.HELD, Verdict.VIOLATED}
    return RuleResult(
        rule,
        verdict,
        premises=4,
        programs=2,
        seconds=0.25,
        violation=VIOLATION if verdict is Verdict.VIOLATED else None,
        crash=Crash(1, "it broke", "a trace") if verdict is Verdict.CRASHED else None,
        reason=None if is_silent else f"because it is {verdict.value}",
    )


def engine(
    verdicts: Mapping[str, Verdict],
    counters: tuple[str, ...] = (),
    lost: Lost | None = None,
) -> Engine:
    """Return an engine that finds these verdicts, by rule; else *held*."""

    def run(boot: object, plan: Plan, capabilities: object) -> EngineResult:
        plan.on_progress("1 program")
        results = {
            rule.id: result(rule.id, verdicts.get(rule.id, Verdict.HELD))
            for rule in plan.rules
        }
        table = OperationsTable()
        return EngineResult(
            "made up", results, None, table, 2, 0.5, counters, lost=lost
        )

    return run
