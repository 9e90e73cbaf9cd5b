"""Calls in the threads of a worker, and what /proc says about them.

Interface:
  * `Process.start` has a free thread begin a call and returns a `Task`.
  * `Process.ask` does the same and waits for the answer; for what cannot block.
  * `Task.answer` is the answer, or None; `Task.wait_point` says in which function
    of the kernel it sleeps, or None while it runs.
"""

import contextlib
import errno
import select
import socket
from pathlib import Path

import attrs

from pytest_gup.adapters.linux import wire
from pytest_gup.adapters.linux.identity import STATE, Identity, stat_fields

ASK_SECONDS = 60.0
"""How long a call that cannot block may take: a bound, not an expectation."""
POLL_MILLISECONDS = 1
INTERRUPTIBLE = frozenset({"request_wait_answer"})
"""Functions in which a call sleeps so that signals wake it: waiting for FUSE. A
thread in state S elsewhere waits for the interpreter, and is about to run, unless
who has the interpreter sleeps."""
SHUT_OUT = "the interpreter"
"""What a thread waits for while another of its process, which has it, sleeps: who
forks, or has a page fault, does not let go of it."""


class StuckError(Exception):
    """A call that cannot block did not answer within the bound."""


@attrs.define(eq=False)
class Thread:
    """One thread of a worker."""

    end: socket.socket
    process: int = 0
    number: int = 0

    def is_alive(self) -> bool:
        """Whether it still runs; one that waits to be buried does not."""
        try:
            return stat_fields(self.process, self.number)[STATE] not in "ZX"
        except OSError:
            return False


@attrs.define(eq=False)
class Task:
    """A call that a thread is working on."""

    owner: "Process"
    thread: Thread
    name: str
    done: tuple[object, int] | None = None

    def answer(
        self, milliseconds: int = POLL_MILLISECONDS
    ) -> tuple[object, int] | None:
        """Tell result and error number; None: it has not answered."""
        if self.done is None and _is_readable(self.thread.end, milliseconds):
            result, error = _received(self.thread.end)
            self.done = result, int(str(error))
            self.owner.idle.append(self.thread)
        return self.done

    def wait_point(self) -> str | None:
        """Tell where it sleeps; None: it does not, or will answer."""
        thread = self.thread
        try:
            state = stat_fields(thread.process, thread.number)[STATE]
            folder = Path("/proc", str(thread.process), "task", str(thread.number))
            point = (folder / "wchan").read_text()
        except OSError:
            return None
        if state == "D" or (state == "S" and point in INTERRUPTIBLE):
            return point
        # It wakes again and again to look whether the interpreter is free.
        return SHUT_OUT if _has_sleeper(thread.process) else None

    def switches(self) -> str:
        """Tell how often its thread went to sleep or was put aside so far."""
        thread = self.thread
        folder = Path("/proc", str(thread.process), "task", str(thread.number))
        try:
            lines = (folder / "status").read_text().splitlines()
        except OSError:
            return ""
        return "".join(line for line in lines if "ctxt_switches" in line)


def _has_sleeper(process: int) -> bool:
    """Tell whether a thread of a process sleeps where no signal wakes it."""
    for folder in Path("/proc", str(process), "task").iterdir():
        with contextlib.suppress(OSError):
            if stat_fields(process, int(folder.name))[STATE] == "D":
                return True
    return False


@attrs.define(eq=False)
class Process:
    """A worker, as seen from outside."""

    threads: list[Thread]
    idle: list[Thread]

    @classmethod
    def join(cls, descriptors: list[int]) -> "Process":
        """Get to know a worker by the sockets of its threads."""
        threads = [Thread(socket.socket(fileno=number)) for number in descriptors]
        for thread in threads:
            process, number = _received(thread.end)
            thread.process, thread.number = int(str(process)), int(str(number))
        return cls(threads, threads[::-1])

    def start(self, name: str, *arguments: object, give: tuple[int, ...] = ()) -> Task:
        """Have a free thread begin a call."""
        thread = self.idle.pop()
        wire.send(thread.end, (name, *arguments), give)
        return Task(self, thread, name)

    def ask(self, name: str, *arguments: object) -> object:
        """Have a call made that cannot block; answer its result.

        Raises:
            OSError: it failed.
        """
        task = self.start(name, *arguments)
        answer = task.answer(int(ASK_SECONDS * 1000))
        if answer is None:
            raise StuckError(f"{name}{arguments} sleeps in {task.wait_point()}")
        result, error = answer
        if error:
            raise OSError(error, name)
        return result

    @property
    def number(self) -> int:
        """Its pid."""
        return self.threads[0].process

    def living(self) -> list[Thread]:
        """Tell which of its threads still run."""
        return [thread for thread in self.threads if thread.is_alive()]

    def kill(self) -> None:
        """End it for good."""
        with contextlib.suppress(OSError):
            Identity.of(self.number).kill()
        self.close()

    def close(self) -> None:
        """End it, as soon as nothing keeps it any more."""
        for thread in self.threads:
            thread.end.close()


def _is_readable(end: socket.socket, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _received(end: socket.socket) -> wire.Message:
    message = wire.receive(end)
    if message is None:
        raise OSError(errno.ESRCH, "a process of the lab has ended")
    return message
