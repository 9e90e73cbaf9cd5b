"""The folder of a run, and the leftovers of runs that were killed.

A run writes down in its folder who it is and what it made. A folder whose run is
dead names, and nothing else does, what may be cleaned away: processes are known by
number *and* time of start, so nobody else's are touched.

The kernel does most of it by itself: loop devices detach after their last user,
mounts go with the namespace of the run, a FUSE connection ends with its server. What
can be left is the folder, a setting of the machine, or a process that hangs in a
request nobody answers; for that the connection is aborted.

Interface:
  * `make` makes the folder of this run; `remove` removes it.
  * `clean_leftovers` at every start, in a mount namespace of our own.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from pytest_gup.adapters.linux import kernel, ksm
from pytest_gup.adapters.linux.identity import Identity

PREFIX = "pytest-gup-run-"
RECORD = "run.json"
CONNECTIONS = Path("/sys/fs/fuse/connections")
GRACE_SECONDS = 5.0
"""How long the processes of a dead run may take to end by themselves."""


@attrs.define(eq=False)
class RunFolder:
    """The folder of this run."""

    path: Path
    processes: list[Identity] = attrs.field(factory=list[Identity])
    """Every process of the run, the keeper first."""
    connections: dict[int, Identity] = attrs.field(factory=dict[int, Identity])
    """The FUSE connections of the run, each with its server."""
    settings: dict[str, str] = attrs.field(factory=dict[str, str])
    """What settings of the machine were before the run changed them; empty: it has
    not, or has put them back."""
    changing: int = 0
    """How many operations need them changed."""

    @classmethod
    def make(cls) -> "RunFolder":
        """Make the folder; this process keeps the run."""
        folder = cls(Path(tempfile.mkdtemp(prefix=PREFIX)))
        folder.note_process(os.getpid())
        return folder

    def note_process(self, pid: int) -> Identity:
        """Write down a process of this run."""
        identity = Identity.of(pid)
        self.processes.append(identity)
        self._write()
        return identity

    def note_connection(self, number: int, server: Identity) -> None:
        """Write down a FUSE connection of this run."""
        self.connections[number] = server
        self._write()

    def note_settings(self) -> None:
        """Write down what is about to be changed, unless it is changed already."""
        self.changing += 1
        if not self.settings:
            self.settings = ksm.settings()
            self._write()

    def restore_settings(self) -> None:
        """Put back what was changed, as soon as no operation needs it changed."""
        self.changing -= 1
        if self.changing <= 0:
            self.put_settings_back()

    def put_settings_back(self) -> None:
        """Put back what was changed, whoever needs it changed."""
        self.changing = 0
        if self.settings:
            ksm.restore(self.settings)
            self.settings = {}
            self._write()

    def forget_processes(self, processes: list[Identity]) -> None:
        """Strike out processes that have ended."""
        for process in processes:
            self.processes.remove(process)
        self._write()

    def abort_connections(self) -> None:
        """Make every request fail that is under way or comes yet."""
        for number, server in self.connections.items():
            if server.is_alive:
                _abort(number)

    def remove(self) -> None:
        """Remove the folder; everything in it must be unmounted.

        Last of all goes the record, by which the next run finds what could not be.
        """
        entries = [e for e in self.path.iterdir() if e.name != RECORD]
        for entry in entries:
            with contextlib.suppress(OSError):
                entry.rmdir() if entry.is_dir() else entry.unlink()
        if not any(entry.exists() for entry in entries):
            with contextlib.suppress(OSError):
                (self.path / RECORD).unlink(missing_ok=True)
                self.path.rmdir()

    def _write(self) -> None:
        record = {
            "processes": [[one.pid, one.started] for one in self.processes],
            "connections": [
                [number, server.pid, server.started]
                for number, server in self.connections.items()
            ],
            "settings": self.settings,
        }
        draft = self.path / f"{RECORD}.new"
        draft.write_text(json.dumps(record))
        draft.replace(self.path / RECORD)


def clean_leftovers() -> list[str]:
    """Clean up after runs that were killed; tell which folders were removed."""
    removed = []
    for folder in _dead_runs():
        deadline = time.monotonic() + GRACE_SECONDS
        while _living(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
        folder.abort_connections()
        for process in _living(folder):
            process.kill()
        folder.put_settings_back()
        folder.remove()
        removed.append(str(folder.path))
    return removed


def _living(folder: RunFolder) -> list[Identity]:
    return [process for process in folder.processes if process.is_alive]


def _dead_runs() -> Iterator[RunFolder]:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            if path.is_symlink() or path.stat().st_uid != os.geteuid():
                continue
            folder = _read(path)
            if not folder.processes[0].is_alive:
                yield folder


def _read(path: Path) -> RunFolder:
    record = json.loads((path / RECORD).read_text())
    return RunFolder(
        path,
        [Identity(pid, started) for pid, started in record["processes"]],
        {
            number: Identity(pid, started)
            for number, pid, started in record["connections"]
        },
        dict(record["settings"]),
    )


def mount_connections() -> None:
    """Make the controls of FUSE connections visible; in a namespace of our own."""
    if not CONNECTIONS.is_mount():
        kernel.mount("fusectl", str(CONNECTIONS), "fusectl")


def connection_number(path: str) -> int:
    """Tell the number of the FUSE connection that is mounted at `path`."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == path:
            return int(fields[2].partition(":")[2])
    raise FileNotFoundError(f"nothing is mounted at {path}")


def _abort(number: int) -> None:
    with contextlib.suppress(OSError):
        (CONNECTIONS / str(number) / "abort").write_text("1")
