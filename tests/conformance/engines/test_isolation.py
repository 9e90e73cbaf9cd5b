"""A child under a watchdog: what it sends, how it ends, that it ends."""

import os
import pickle
import signal
import time
from collections.abc import Callable

import pytest

from conformance.engines import isolation
from conformance.engines.isolation import (
    Child,
    DiedError,
    Send,
    StalledError,
    SuiteError,
)


def received(work: Callable[[Send], None], stall_seconds: float = 5.0) -> list[object]:
    """Return all that a child sends."""
    with Child(work) as child:
        return list(child.messages(stall_seconds))


def test_messages_arrive_in_order() -> None:
    """Also one that does not fit into a pipe at once."""
    large = "x" * 300_000

    def work(send: Send) -> None:
        for message in (1, large, {"a": (2,)}):
            send(message)

    assert received(work) == [1, large, {"a": (2,)}]


def test_a_failure_of_the_work_is_ours() -> None:
    """The traceback comes along."""

    def work(_: Send) -> None:
        raise LookupError("no such rule")

    with pytest.raises(SuiteError, match="LookupError: no such rule"):
        received(work)


def test_what_cannot_be_sent_is_ours() -> None:
    """A message is a plain value."""
    with pytest.raises(SuiteError, match=r"(?i)pickle"):
        received(lambda send: send(lambda: None))


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os._exit(7), "its process ended with exit status 7"),
        (lambda: os._exit(0), "its process ended with exit status 0"),
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            "its process was ended by SIGKILL",
        ),
    ],
)
def test_a_child_that_ends_too_early(end: Callable[[], None], how: str) -> None:
    """What it had sent is there; then it is said how it ended."""
    seen: list[object] = []

    def work(send: Send) -> None:
        send("before")
        end()

    with Child(work) as child, pytest.raises(DiedError, match=f"^{how}$"):
        seen.extend(child.messages(5.0))

    assert seen == ["before"]


def test_a_child_that_leaves_a_process_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That one keeps the pipe open, and is not waited for."""
    monkeypatch.setattr(isolation, "LOOK_SECONDS", 0.02)

    def work(_: Send) -> None:
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
        os._exit(4)

    with pytest.raises(DiedError, match="exit status 4"):
        received(work)


def test_a_child_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is kept, and the child is gone afterwards."""
    monkeypatch.setattr(isolation, "LOOK_SECONDS", 0.02)

    def work(_: Send) -> None:
        while True:
            pass

    with Child(work) as child, pytest.raises(StalledError):
        list(child.messages(0.05))

    with pytest.raises(ProcessLookupError):
        os.kill(child._pid, 0)


def test_a_child_that_ignores_the_signal_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is given its time to clean up, and no more."""
    monkeypatch.setattr(isolation, "TERM_SECONDS", 0.05)

    def work(send: Send) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        send("deaf")
        while True:
            pass

    child = Child(work)
    assert next(iter(child.messages(5.0))) == "deaf"
    child.kill()

    with pytest.raises(ProcessLookupError):
        os.kill(child._pid, 0)


def test_a_second_interrupt_kills_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a child cleans up is meant for it, too."""
    signals = []

    def interrupted(_: int, number: signal.Signals, __: float) -> bool:
        signals.append(number)
        if number is signal.SIGTERM:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(isolation, "_signal", interrupted)

    with pytest.raises(KeyboardInterrupt):
        isolation._end(1)

    assert signals == [signal.SIGTERM, signal.SIGKILL]


def test_killing_twice_does_nothing() -> None:
    """Neither does killing what has ended by itself."""
    child = Child(lambda send: send(1))
    assert list(child.messages(5.0)) == [1]

    child.kill()
    child.kill()


def test_a_child_is_deaf_to_ctrl_c() -> None:
    """The terminal sends it to all; the parent decides."""

    def work(send: Send) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        send("still here")

    assert received(work) == ["still here"]


def test_a_child_whose_parent_is_gone_ends() -> None:
    """It may have been orphaned before it could ask to be told."""
    with pytest.raises(SystemExit):
        isolation._die_with(parent=-1)


def test_messages_are_pickles() -> None:
    """Verdicts, programs and tables survive the pipe."""
    assert pickle.loads(pickle.dumps(isolation._Failed("text"))).text == "text"  # noqa: S301 - ours
