"""Functions in processes of their own, for the scripts in this folder.

Interface:
  * `Child(function).result(seconds)` is what it answered, as text, or None.
  * `outcome(function)` is what it answered, as text, or the name of the error.
"""

import contextlib
import ctypes
import errno
import os
import select
import signal
from collections.abc import Callable

PAGE = 4096
PATIENCE = 2.0
"""Seconds after which something that has not happened is said not to happen."""
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def filled(value: int) -> bytes:
    """Return a page in which every byte has this value."""
    return bytes([value]) * PAGE


def shown(content: bytes) -> str:
    """Return the values that the bytes of a page have."""
    return ",".join(str(value) for value in sorted(set(content))) or "nothing"


def outcome(function: Callable[[], object]) -> str:
    """Call a function; return what it answered, or the name of the error."""
    try:
        return str(function())
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


class Child:
    """A function that runs in a process of its own."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.end, there = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            die_with_parent()
            with contextlib.suppress(BaseException):
                os.write(there, outcome(function).encode())
            os._exit(0)
        os.close(there)

    def result(self, seconds: float = 30.0) -> str | None:
        """Return what it answered; None: it has not, within this time."""
        ready, _, _ = select.select([self.end], [], [], seconds)
        if not ready:
            return None
        answer = os.read(self.end, PAGE).decode()
        os.close(self.end)
        os.waitpid(self.pid, 0)
        return answer


def die_with_parent() -> None:
    """See to it that this process ends with the script, and not before."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
