"""Is a call that sleeps blocked, or merely on its way?

It is *blocked* when its thread sleeps where only somebody else can wake it, something
is held that can be the reason, and nothing moves: not the thread, not the disk, and
no worker of the kernel is about to run, for a while. The while is longer where the
machine is slow, and much longer where nothing but a pin, or another call, can be the
reason: Linux as we know it lets nobody wait for a pin, but a patched one may.

A call that sleeps though nothing at all is held is *running*: it will answer, and if
it never does, the bound of the engine makes the program inconclusive.

Interface:
  * `Watch.verdict` looks once, and never waits.
  * `Rest` waits for the kernel's background work after a call has answered, so that
    the next one finds the same state every time.
  * `measured_pace` is taken once for each stack.
"""

import os
import statistics
import time
from collections.abc import Callable
from enum import Enum

import attrs

from conformance.interface import Blocked, Done, Running
from pytest_gup.adapters.linux.calls import SHUT_OUT, Process, Task

STILL_SECONDS = 0.02
"""How long nothing may move before a sleeping call is said to be blocked."""
STILL_ROUND_TRIPS = 200
"""The same in round trips to a worker, for a slow machine."""
PATIENCE = 100
"""So many times longer where only a pin or another call can be the reason."""
REST_SECONDS = 0.2
"""How long background work is waited for; other people's, too, is seen as such."""
PASSING = ("__wait_rcu", "wait_rcu", "synchronize_", "rcu_", "exp_funnel")
"""Beginnings of functions in which a thread sleeps that wakes up by itself."""
BUSY_WORKERS = (b"kworker", b"ksoftirqd", b"jbd2", b"xfs", b"btrfs", b"loop")
"""Beginnings of the names of kernel threads that carry a call on."""
KTHREADD = b"2"
UNNAMED = b"kthreadd"
"""What a thread of the kernel is called until it has a name of its own."""
STAT_BYTES = 512


class Reason(Enum):
    """What a call might be waiting for, from strong to none."""

    HELD = "held"
    """The disk is held, or the filesystem frozen."""
    OTHERS = "others"
    """A pin is outstanding, or another call is."""
    NOTHING = "nothing"


@attrs.define(eq=False)
class Watch:
    """Looks at one call again and again."""

    task: Task
    reason: Callable[[Task], Reason]
    surroundings: Callable[[], object]
    """What must not change while nothing moves."""
    still_seconds: float
    seen: tuple[object, ...] = ()
    since: float = 0.0

    def verdict(self) -> Running | Blocked:
        """Look at the call; it has not answered."""
        point = self.task.wait_point()
        reason = self.reason(self.task)
        if point is None or point.startswith(PASSING) or reason is Reason.NOTHING:
            self.seen = ()
            return Running()
        is_shut_out = point == SHUT_OUT
        moves = "" if is_shut_out else self.task.switches()
        seen = point, moves, self.surroundings()
        now = time.monotonic()
        if seen != self.seen:
            self.seen, self.since = seen, now
        is_held = reason is Reason.HELD and not is_shut_out
        patience = 1 if is_held else PATIENCE
        if now - self.since < self.still_seconds * patience or workers_are_busy():
            return Running()
        return Blocked(point)


@attrs.define(eq=False)
class Rest:
    """Waits for what the kernel does in the background, but not for ever."""

    is_at_rest: Callable[[], bool]
    deadline: float = attrs.field(factory=lambda: time.monotonic() + REST_SECONDS)
    _has_come: bool = False

    def has_come(self) -> bool:
        """Whether nothing is under way, or too much time has gone by."""
        late = time.monotonic() > self.deadline
        self._has_come = self._has_come or late or self.is_at_rest()
        return self._has_come

    def state(self) -> Running | Done:
        """Tell the same as the state of a call."""
        return Done() if self.has_come() else Running()


def workers_are_busy() -> bool:
    """Whether a worker of the kernel runs, or waits for a processor."""
    with os.scandir("/proc") as entries:
        return any(_is_busy_worker(entry.name) for entry in entries)


def _is_busy_worker(pid: str) -> bool:
    if not pid.isdigit() or pid in _others:
        return False
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            head, _, tail = os.read(stat, STAT_BYTES).rpartition(b")")
        finally:
            os.close(stat)
    except OSError:
        return False
    state, parent = tail.split()[:2]
    name = head.partition(b"(")[2]
    if parent == KTHREADD and name.startswith(BUSY_WORKERS):
        return state == b"R"
    if name != UNNAMED:
        _others.add(pid)
    return False


_others: set[str] = set()
"""Processes that turned out to be no such threads: a look saved. Forgotten from time
to time, for numbers of processes are used again."""


def measured_pace(process: Process) -> float:
    """Find out how fast this machine is; return `Watch.still_seconds`."""
    _others.clear()
    trips = []
    for _ in range(9):
        begin = time.monotonic()
        process.ask("getpid")
        trips.append(time.monotonic() - begin)
    return max(STILL_SECONDS, statistics.median(trips) * STILL_ROUND_TRIPS)
