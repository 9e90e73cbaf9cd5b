"""A broken implementation cannot break the run: each sort ends as a verdict."""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.engines.budget import Budget
from conformance.engines.session import EngineResult, Plan, run_scenarios, run_search
from conformance.interface import (
    Errno,
    Fsync,
    GetUserPages,
    KernelError,
    Load,
    PowerCut,
    PutUserPages,
    Setup,
    Store,
    Wait,
)
from conformance.program import Program
from conformance.rules.catalogue import RULES
from conformance.scenarios.scenario import Scenario
from conformance.verdicts import Verdict
from tests.second_stack import boot as boot_good

OPERATIONS = ("store", "load", "fsync", "get_user_pages", "power_cut")

SCENARIO = Scenario(
    "everyday",
    ("MKW-EVERY", "STB-PINNED", "CNT-BAL"),
    Program(
        (
            Store(value=1),
            Fsync(),
            Load(),
            GetUserPages(),
            PutUserPages(),
            PowerCut(),
            Store(value=2),
        )
    ),
)


def _raise(error: BaseException) -> object:
    raise error


def _spin() -> object:
    while True:
        pass


def _swallow_everything() -> object:
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001, S110 - that is what is broken
            pass


def _recurse() -> object:
    return _recurse()


def _leave_threads() -> object:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(3600,)).start()
    raise RuntimeError("threads are still running")


def _abort() -> object:
    faulthandler.disable()
    return os.abort()


def _close_everything() -> object:
    os.closerange(3, 256)
    return None


def _leave_a_process() -> object:
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    return os._exit(1)


class _SilentError(Exception):
    """Cannot even say what went wrong."""

    def __str__(self) -> str:
        return self.args[0]  # type: ignore[no-any-return]  # there is none


def _never_ready() -> object:
    while True:
        yield Wait("the end of time", lambda: False)


def _yields_garbage() -> object:
    yield "not a step"


SORTS: dict[str, tuple[Callable[[], object], Verdict]] = {
    "exception": (lambda: _raise(RuntimeError("broken")), Verdict.CRASHED),
    "base_exception": (lambda: _raise(BaseException("broken")), Verdict.CRASHED),
    "system_exit": (lambda: sys.exit(0), Verdict.CRASHED),
    "keyboard_interrupt": (lambda: _raise(KeyboardInterrupt()), Verdict.CRASHED),
    "generator_exit": (lambda: _raise(GeneratorExit()), Verdict.CRASHED),
    "exit_of_the_process": (lambda: os._exit(0), Verdict.CRASHED),
    "huge_exception": (lambda: _raise(RuntimeError("x" * 10**7)), Verdict.CRASHED),
    "unprintable_exception": (lambda: _raise(OSError("\ud800\0")), Verdict.CRASHED),
    "silent_exception": (lambda: _raise(_SilentError()), Verdict.CRASHED),
    "abort": (_abort, Verdict.CRASHED),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), Verdict.CRASHED),
    "every_file_closed": (_close_everything, Verdict.CRASHED),
    "process_left_behind": (_leave_a_process, Verdict.CRASHED),
    "recursion": (_recurse, Verdict.CRASHED),
    "refusal_not_allowed": (
        lambda: _raise(KernelError(Errno.EEXIST)),
        Verdict.CRASHED,
    ),
    "garbage_yielded": (_yields_garbage, Verdict.CRASHED),
    "threads_left_behind": (_leave_threads, Verdict.CRASHED),
    "endless_loop": (_spin, Verdict.INCONCLUSIVE),
    "endless_loop_that_swallows": (_swallow_everything, Verdict.INCONCLUSIVE),
}

WRONG_ANSWERS: dict[str, object] = {
    "none": None,
    "text": "7",
    "float": 1.0,
    "true": True,
    "too_large": 10**30,
    "huge": "x" * 10_000_000,
    "object": object(),
}
ANSWERING = ("load", "get_user_pages", "power_cut")


def but(stack: object, operation: str, method: Callable[..., object]) -> object:
    """Return the stack with one method replaced."""
    kind = type(stack)
    stack.__class__ = type("Broken", (kind,), {operation: method, "__slots__": ()})
    return stack


def breaking(operation: str, act: Callable[[], object]) -> Callable[[Setup], object]:
    """Return a factory of a good stack in which one operation is broken."""

    def boot(setup: Setup) -> object:
        return but(boot_good(setup), operation, lambda _, **__: act())

    return boot


def judged(
    boot: Callable[[Setup], object], verdict: Verdict = Verdict.CRASHED
) -> EngineResult:
    """Judge by one scenario, with little patience for what is to end in none."""
    patience = 1.5 if verdict is Verdict.INCONCLUSIVE else 30.0
    return run_scenarios(boot, Plan(scenarios=[SCENARIO], stall_seconds=patience))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_of_defect_becomes_a_verdict(sort: str, operation: str) -> None:
    """The rules that the scenario is written for get the verdict of their sort."""
    act, verdict = SORTS[sort]

    result = judged(breaking(operation, act), verdict)

    assert {result.results[rule].verdict for rule in SCENARIO.rules[::2]} == {verdict}


@pytest.mark.parametrize("operation", ANSWERING)
@pytest.mark.parametrize("answer", WRONG_ANSWERS)
def test_an_answer_of_the_wrong_type_is_a_crash(answer: str, operation: str) -> None:
    """What the contract does not name as an answer is never taken for one."""
    result = judged(breaking(operation, lambda: WRONG_ANSWERS[answer]))

    crash = result.results["MKW-EVERY"].crash
    assert crash is not None
    assert "answered" in crash.message
    assert len(crash.message) < 300


def test_a_call_that_waits_for_ever_is_a_violation() -> None:
    """It is no crash and hangs nothing: liveness is a rule."""
    result = judged(breaking("fsync", _never_ready), Verdict.INCONCLUSIVE)

    assert result.results["LIVE-SYNC"].verdict is Verdict.VIOLATED


def test_different_answers_between_runs_become_a_verdict(tmp_path: Path) -> None:
    """A violation that does not repeat is reported as such."""
    mark = tmp_path / "lied"

    def lie_once(_: object, **__: object) -> int:
        is_first = not mark.exists()
        mark.touch()
        return 9 if is_first else 1

    result = judged(lambda setup: but(boot_good(setup), "load", lie_once))

    violations = [r.violation for r in result.results.values() if r.violation]
    assert violations
    assert "did not repeat" in violations[0].sentence


@pytest.mark.parametrize("sort", ["exception", "exit_of_the_process"])
def test_a_search_over_a_broken_stack_ends(sort: str) -> None:
    """Random programs end as verdicts, too, and none is held."""
    act, verdict = SORTS[sort]
    plan = Plan(budget=Budget(20, 20), stall_seconds=5.0)

    result = run_search("explorer", breaking("store", act), plan)

    verdicts = {each.verdict for each in result.results.values()}
    assert verdict in verdicts
    assert Verdict.HELD not in verdicts
    assert len(result.results) == len(RULES)
