"""What the tests of the lab share: is it there, and is anything left of it?"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_gup.adapters.linux import missing
from pytest_gup.adapters.linux.identity import Identity
from pytest_gup.adapters.linux.lab import close_lab

SOURCE = Path(__file__).resolve().parents[4]
BOUND_SECONDS = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what drives the running kernel where that cannot be done."""
    here = Path(__file__).parent
    reason = missing("ext4")
    for item in items:
        if here in item.path.parents and item.get_closest_marker("linux") and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


class Run:
    """A process that runs a lab, and what that lab made."""

    def __init__(self, program: str) -> None:
        command = [sys.executable, "-c", textwrap.dedent(program)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout
        self.folder = Path(self.out.readline().strip())
        record = json.loads((self.folder / "run.json").read_text())
        self.processes = [Identity(*one) for one in record["processes"]]
        self.keeper = self.processes[0]

    def remains(self) -> list[str]:
        """Tell everything that is left of it."""
        left = [f"process {one}" for one in self.processes if one.is_alive]
        left += [f"loop device {path}" for path in backing_files(self.folder.name)]
        left += [str(self.folder)] if self.folder.exists() else []
        return left

    def wait_until_gone(self) -> list[str]:
        """Wait until nothing is left, or the bound is hit; tell what is left."""
        deadline = time.monotonic() + BOUND_SECONDS
        while self.remains() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.remains()

    def wait_until_only_its_folder_is_left(self) -> None:
        """Wait until everything is gone but the folder, which only a run removes."""
        deadline = time.monotonic() + BOUND_SECONDS
        while self.remains() != [str(self.folder)] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.remains() == [str(self.folder)]


def backing_files(text: str) -> list[str]:
    """Tell which loop devices are over a file whose path holds this text."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = path.read_text()
        except OSError:
            continue
        if text in name:
            found.append(name)
    return found


Start = Callable[[str], Run]


@pytest.fixture
def run() -> Iterator[Start]:
    """Start programs that run a lab; end them when the test is over."""
    runs: list[Run] = []

    def start(program: str) -> Run:
        runs.append(Run(program))
        return runs[-1]

    yield start
    for one in runs:
        one.process.kill()
        one.process.wait()
        one.out.close()
        one.wait_until_gone()


@pytest.fixture(autouse=True)
def _own_lab(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Have each test begin without a lab, and keep its folders to itself.

    The tests of a module with `SHARES_LAB` share one, for the sake of time.
    """
    if getattr(request.module, "SHARES_LAB", False):
        yield
        return
    close_lab()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    close_lab()
