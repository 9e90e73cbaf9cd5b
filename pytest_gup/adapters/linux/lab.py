"""The lab as the process that runs the tests sees it.

One lab serves a whole run, started at the first boot: servers, folder and images are
made once. It ends with the process, in whatever way that ends.

Interface:
  * `the_lab` starts the lab of this process, or returns it.
  * `Lab.offers`, `boot`, `spawn`, `adopt`, `power_cut`, `unboot` and those about
    settings are orders to the keeper.
  * `Lab.disk` and `Lab.device` take the orders of their servers;
    `Lab.requests_at_disk` counts what is queued or taken there, unanswered.
"""

import atexit
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import attrs

from pytest_gup.adapters.linux import wire
from pytest_gup.adapters.linux.master import Master
from pytest_gup.adapters.linux.runfolder import CONNECTIONS
from pytest_gup.adapters.linux.worker import ENVIRONMENT

CLOSE_SECONDS = 60.0
THREADS = 64
"""Threads of a process: each outstanding pin and each blocked call takes one, and so
does each look at a page that has to wait for it."""
SOURCE = Path(__file__).resolve().parents[3]
START = (
    "import os, sys; sys.path[:] = sys.argv[1].split(os.pathsep);"
    "from pytest_gup.adapters.linux.keeper import main; main(int(sys.argv[2]))"
)


@attrs.define(eq=False)
class Lab:
    """The lab, at the master's end."""

    owner: int
    """Process that started it; a fork of that process needs its own."""
    keeper: Master
    process: "subprocess.Popen[bytes]"
    disk: Master
    device: Master
    waiting_at_disk: Path
    """Where the kernel tells how many requests the disk has not answered."""
    folder: str
    _offers: dict[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])

    @classmethod
    def start(cls) -> "Lab":
        """Start a keeper, and with it everything else.

        Raises:
            OSError: something that is needed is missing.
        """
        here, there = wire.pair()
        path = os.pathsep.join([str(SOURCE), *sys.path])
        command = [sys.executable, "-c", START, path, str(there.fileno())]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            pass_fds=[there.fileno(), *_witness[1:]],
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
        there.close()
        message, descriptors = wire.receive_with_descriptors(here)
        if message is None or message[0] != "done":
            process.wait()
            raise OSError(f"the lab did not start: {message and message[-1]}")
        disk, device = (Master(socket.socket(fileno=one)) for one in descriptors)
        _, folder, connection = message
        seen = Path("/proc", str(process.pid), "root", *CONNECTIONS.parts[1:])
        waiting = seen / str(connection) / "waiting"
        return cls(
            os.getpid(), Master(here), process, disk, device, waiting, str(folder)
        )

    def boot(
        self, name: str, file_bytes: int, *, stable_writes: bool
    ) -> tuple[str, str]:
        """Mount a fresh filesystem with file 0; answer where, and on which device."""
        answer, _ = self._order("boot", name, file_bytes, stable_writes)
        assert isinstance(answer, tuple), f"boot answered {answer!r}"
        path, device = answer
        return str(path), str(device)

    def offers(self, name: str) -> frozenset[str]:
        """Tell what this machine and a filesystem on it can do; found out once."""
        if name not in self._offers:
            answer, _ = self._order("offers", name)
            assert isinstance(answer, list), f"offers answered {answer!r}"
            self._offers[name] = frozenset(answer)
        return self._offers[name]

    def note_settings(self) -> None:
        """Have the settings of the machine written down, before they are changed."""
        self._order("note_settings")

    def restore_settings(self) -> None:
        """Have them put back."""
        self._order("restore_settings")

    def spawn(self) -> list[int]:
        """Start a process; `Process.join` waits for it at these sockets."""
        _, descriptors = self._order("spawn", THREADS)
        return descriptors

    def adopt(self, pid: int) -> None:
        """Have a process that a worker has forked end with the others."""
        self._order("adopt", pid)

    def power_cut(self) -> dict[str, tuple[int, list[bytes | None]]]:
        """Read all files on a copy of the disk."""
        answer, _ = self._order("power_cut")
        assert isinstance(answer, dict), f"a power cut answered {answer!r}"
        return answer

    def unboot(self) -> None:
        """Take down what was booted and spawned."""
        self._order("unboot")

    def requests_at_disk(self) -> int:
        """Count the requests that the disk has not answered."""
        return int(self.waiting_at_disk.read_text())

    def close(self) -> None:
        """End the lab, and wait until nothing of it is left."""
        if self.owner != os.getpid():
            return
        for master in (self.keeper, self.disk, self.device):
            master.end.close()
        self.process.wait(CLOSE_SECONDS)

    def _order(self, *message: object) -> tuple[object, list[int]]:
        answer, descriptors = self.keeper.exchange(message)
        match answer:
            case ("done", result):
                return result, descriptors
            case ("failed", int(error), str(text)):
                raise OSError(error, text)
            case _:
                raise OSError(f"the keeper failed: {answer!r}")


_witness: list[int] = []
"""Both ends of a pipe that every keeper of this process and its children holds."""


def prepare() -> None:
    """See to it that this process does not end before its labs, once it has any.

    A test session may run each lab in a child process that ends without ceremony.
    The keepers clean up by themselves then; this is for whoever looks afterwards.
    """
    if not _witness:
        _witness.extend(os.pipe())
        atexit.register(_wait_for_keepers, os.getpid())


def _wait_for_keepers(owner: int) -> None:
    if os.getpid() != owner:
        return
    reader, writer = _witness
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], CLOSE_SECONDS)
    assert not ready or not os.read(reader, 1), "a keeper wrote to the witness"


_labs: dict[int, Lab] = {}
"""The lab of this process; a key of another process is what a fork inherited."""


def the_lab() -> Lab:
    """Return the lab of this process; start it if need be."""
    lab = _labs.get(os.getpid())
    if lab is None or lab.process.poll() is not None:
        lab = _labs[os.getpid()] = Lab.start()
        atexit.unregister(close_lab)
        atexit.register(close_lab)
    return lab


def close_lab() -> None:
    """End the lab of this process, if it has one."""
    lab = _labs.pop(os.getpid(), None)
    if lab is not None:
        lab.close()
