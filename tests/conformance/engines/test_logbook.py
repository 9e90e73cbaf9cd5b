"""What a lost child was at."""

import os
import signal

import pytest

from conformance.engines import logbook as logbooks
from conformance.engines.execution import Execution
from conformance.engines.isolation import Child, DiedError, Send
from conformance.engines.logbook import Logbook, Logged
from conformance.interface import Feature, Fsync, GetUserPages, Setup, Store
from conformance.program import Preempt, Program
from tests.second_stack import boot as boot_good

PROGRAM = Program(
    (Store(value=1), GetUserPages(), Fsync()),
    Setup(features={Feature.CHECKSUMS}),
    (Preempt(0, "fault.begin"),),
)


def test_a_program_outlives_its_process() -> None:
    """As far as it was asked, with setup and schedule."""
    logbook = Logbook()

    def work(_: Send) -> None:
        logbook.begin(Program())
        logbook.asks(Fsync(), ())
        logbook.begin(PROGRAM)
        for operation in PROGRAM.operations:
            logbook.asks(operation, PROGRAM.schedule)
        os.kill(os.getpid(), signal.SIGKILL)

    with Child(work) as child, pytest.raises(DiedError):
        list(child.messages(10.0))

    assert logbook.program() == PROGRAM


def test_every_execution_writes_there() -> None:
    """Before the operation is asked, and what the epilogue asks is not written."""
    logbook = Logbook()
    execution = Execution(Logged(boot_good, logbook), Program())

    seen = [logbook.program()]
    for operation in PROGRAM.operations:
        execution.perform(operation)
        seen.append(logbook.program())
    execution.finish()

    operations = [seen_then and seen_then.operations for seen_then in seen]
    assert operations == [PROGRAM.operations[:count] for count in range(4)]
    assert logbook.program() == seen[-1]


def test_nothing_is_known_of_nothing() -> None:
    """No program was begun."""
    assert Logbook().program() is None


def test_what_does_not_fit_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it would be another program; the next one fits."""
    monkeypatch.setattr(logbooks, "SIZE", 1_000)
    logbook = Logbook()
    logbook.begin(Program())
    for value in range(100):
        logbook.asks(Store(value=value), ())

    assert logbook.program() is None
    logbook.begin(Program())
    assert logbook.program() == Program()


def test_closing_reaches_the_factory() -> None:
    """One that keeps something between boots, or one that does not."""
    closed: list[bool] = []

    class Keeping:
        def __call__(self, setup: Setup) -> object:
            return boot_good(setup)

        def close(self) -> None:
            closed.append(True)

    Logged(Keeping(), Logbook()).close()
    Logged(boot_good, Logbook()).close()

    assert closed == [True]
