"""Running an implementation in a process of its own, under a watchdog.

A broken implementation may loop for ever, swallow every exception, exhaust the
stack, leave threads behind or end the process. So it runs in a forked child, which
can be killed. The child judges, too, and sends back plain values; the parent only
adds up.

Interface:
  * `Child(work)` forks; `work(send)` runs in the child and calls `send(message)`.
  * `messages(stall_seconds)` yields what it sends, and raises `StalledError` when
    nothing has come for that long, `DiedError` when the child ended in mid-work.
  * `kill()` ends the child at once; a context manager does it in any case.
"""

import contextlib
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
from typing import Any, Self

import attrs

Send = Callable[[object], None]
_HEAD = struct.Struct("!Q")


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
        sys.stdout.flush()
        sys.stderr.flush()
        self._pipe, writer = os.pipe()
        with warnings.catch_warnings():
            # The child of a process with threads (xdist has one) runs this code and
            # ends by _exit: it takes no lock that another thread may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _be_child(self.work, writer)
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
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._pipe], [], [], max(left, 0))
            if not ready:
                raise StalledError
            part = os.read(self._pipe, size - len(parts))
            if not part:
                raise DiedError(self._how_it_ended())
            parts += part
        return bytes(parts)

    def _how_it_ended(self) -> str:
        _, status = os.waitpid(self._pid, 0)
        self._is_reaped = True
        if os.WIFSIGNALED(status):
            return (
                f"its process was ended by {signal.Signals(os.WTERMSIG(status)).name}"
            )
        return f"its process ended with exit status {os.WEXITSTATUS(status)}"

    def kill(self) -> None:
        """End the child, whatever it is doing; give it time to clean up first."""
        if not self._is_reaped:
            self._is_reaped = True
            _end(self._pid)
        with contextlib.suppress(OSError):
            os.close(self._pipe)


def _end(pid: int) -> None:
    for number, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 60.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            done, _ = os.waitpid(pid, os.WNOHANG)
            if done:
                return
            time.sleep(0.002)


def _be_child(work: Callable[[Send], None], pipe: int) -> None:
    """Work, and end the process; never returns."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def send(message: object) -> None:
            _write(pipe, message)

        try:
            work(send)
            send(_Finished())
        except Exception:  # noqa: BLE001 - it is sent to the parent
            send(_Failed(traceback.format_exc()))
        status = 0
    finally:
        _save_coverage()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


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
