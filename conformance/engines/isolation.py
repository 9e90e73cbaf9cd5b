"""Running an implementation in a process of its own, under a watchdog.

A broken implementation may loop for ever, swallow every exception, exhaust the
stack, leave threads behind or end the process. So it runs in a forked child, which
can be killed. The child judges, too, and sends back plain values; the parent only
adds up.

Interface:
  * `Child(work)` forks; `work(send)` runs in the child and calls `send(message)`.
  * `messages(stall_seconds)` yields what it sends, and raises `StalledError` when
    nothing has come for that long, `DiedError` when the child ended in mid-work.
  * `kill()` ends the child at once; a context manager does it in any case. A child
    ends with its parent, however that ends.
"""

import contextlib
import ctypes
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn, Self

import attrs

Send = Callable[[object], None]
_HEAD = struct.Struct("!Q")
LOOK_SECONDS = 0.5
"""Between two looks whether a silent child is still there."""
TERM_SECONDS, KILL_SECONDS = 15.0, 60.0
"""How long a child may take to clean up, and then to vanish."""
PR_SET_PDEATHSIG = 1
"""Of prctl: which signal a process gets when its parent ends."""


class StalledError(Exception):
    """Nothing came from the child for longer than the bound."""


class SuiteError(Exception):
    """The suite itself failed in the child; the text is its traceback."""


class DiedError(Exception):
    """The child ended in the middle of its work."""


@attrs.frozen
class _Failed:
    """The work itself raised: a defect of the suite, not of the implementation."""

    text: str


class _Finished:
    """The work is done."""


@attrs.define(eq=False)
class Child:
    """A forked process that works and sends messages."""

    work: Callable[[Send], None]
    _pid: int = attrs.field(init=False)
    _pipe: int = attrs.field(init=False)
    _is_reaped: bool = False

    def __attrs_post_init__(self) -> None:
        _flush()
        parent = os.getpid()
        self._pipe, writer = os.pipe()
        # Ctrl-C between here and there would leave a child that thinks it is pytest.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._pid = _fork()
            if self._pid == 0:
                _be_child(self.work, writer, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.close(writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def messages(self, stall_seconds: float) -> Iterator[object]:
        """Yield what the child sends, until it is done.

        Raises:
            StalledError: it sent nothing for `stall_seconds`.
            DiedError: it ended without being done.
            SuiteError: the suite failed in it.
        """
        while True:
            message = self._receive(stall_seconds)
            if isinstance(message, _Finished):
                self._is_reaped = _wait(self._pid, TERM_SECONDS)
                return
            if isinstance(message, _Failed):
                raise SuiteError(message.text)
            yield message

    def _receive(self, stall_seconds: float) -> object:
        deadline = time.monotonic() + stall_seconds
        (size,) = _HEAD.unpack(self._read(_HEAD.size, deadline))
        message: object = pickle.loads(self._read(size, deadline))  # noqa: S301 - ours
        return message

    def _read(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait_for_data(deadline)
            part = os.read(self._pipe, size - len(parts))
            if not part:
                raise DiedError(self._how_it_ended())
            parts += part
        return bytes(parts)

    def _wait_for_data(self, deadline: float) -> None:
        while not self._has_data(LOOK_SECONDS):
            # A process that the child has left behind keeps the pipe open.
            if self._has_ended() and not self._has_data(0):
                raise DiedError(self._how_it_ended())
            if time.monotonic() > deadline:
                raise StalledError

    def _has_data(self, patience: float) -> bool:
        ready, _, _ = select.select([self._pipe], [], [], patience)
        return bool(ready)

    def _has_ended(self) -> bool:
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, look) is not None

    def _how_it_ended(self) -> str:
        _, status = os.waitpid(self._pid, 0)
        self._is_reaped = True
        if os.WIFSIGNALED(status):
            number = signal.Signals(os.WTERMSIG(status))
            return f"its process was ended by {number.name}"
        return f"its process ended with exit status {os.WEXITSTATUS(status)}"

    def kill(self) -> None:
        """End the child, whatever it is doing; give it time to clean up first."""
        if not self._is_reaped:
            self._is_reaped = True
            _end(self._pid)
        with contextlib.suppress(OSError):
            os.close(self._pipe)


def _fork() -> int:
    with warnings.catch_warnings():
        # The child of a process with threads (xdist has one) runs our code and ends
        # by _exit: it takes no lock that another thread may hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _end(pid: int) -> None:
    try:
        is_gone = _signal(pid, signal.SIGTERM, TERM_SECONDS)
    except BaseException:  # a second Ctrl-C is meant for the child, too
        _signal(pid, signal.SIGKILL, KILL_SECONDS)
        raise
    if not is_gone:
        _signal(pid, signal.SIGKILL, KILL_SECONDS)


def _signal(pid: int, number: signal.Signals, patience: float) -> bool:
    """Send a signal, and tell whether the process has ended within a time."""
    os.kill(pid, number)
    return _wait(pid, patience)


def _wait(pid: int, patience: float) -> bool:
    """Tell whether a process has ended within a time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        done, _ = os.waitpid(pid, os.WNOHANG)
        if done:
            return True
        time.sleep(0.002)
    return False


# --- in the child -----------------------------------------------------------------


def _be_child(work: Callable[[Send], None], pipe: int, parent: int) -> NoReturn:
    """Work, and end the process: whatever happens, nobody else's code goes on."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _die_with(parent)
        _work(work, pipe)
        status = 0
        _save_coverage()
    finally:
        _flush()
        os._exit(status)


def _die_with(parent: int) -> None:
    prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit


def _work(work: Callable[[Send], None], pipe: int) -> None:
    def send(message: object) -> None:
        _write(pipe, message)

    try:
        work(send)
        send(_Finished())
    except Exception:  # noqa: BLE001 - it is sent to the parent
        send(_Failed(traceback.format_exc()))


def _write(pipe: int, message: object) -> None:
    data = pickle.dumps(message)
    data = _HEAD.pack(len(data)) + data
    while data:
        data = data[os.write(pipe, data) :]


def _save_coverage() -> None:
    """Write down what `coverage` has measured: `_exit` runs no exit handlers."""
    coverage: Any = sys.modules.get("coverage")
    current = coverage and coverage.Coverage.current()
    if current is not None:
        current.stop()
        current.save()


def _flush() -> None:
    """Write out what is buffered, so that parent and child do not both do it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
