"""Which process is meant: its number, and when it was started.

Process numbers are used again; together with the time of the start they name one
process only.
"""

import contextlib
import os
import signal
from pathlib import Path

import attrs

STATE, START_TIME = 0, 19
"""Fields of /proc/PID/stat, counted behind the name."""


@attrs.frozen
class Identity:
    """One process."""

    pid: int
    started: int
    """Clock ticks from the start of the machine."""

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Identify a process that lives now."""
        return cls(pid, int(stat_fields(pid)[START_TIME]))

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            fields = stat_fields(self.pid)
        except OSError:
            return False
        return int(fields[START_TIME]) == self.started and fields[STATE] not in "ZX"

    def kill(self) -> None:
        """End it for good, if it is still there."""
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.is_alive:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def stat_fields(pid: int, thread: int | None = None) -> list[str]:
    """Read /proc/PID/stat, from the state on; the name may contain anything."""
    folder = Path("/proc", str(pid))
    if thread is not None:
        folder = folder / "task" / str(thread)
    return (folder / "stat").read_text().rpartition(")")[2].split()
