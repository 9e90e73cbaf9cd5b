"""A keeper that hangs is freed when nobody is left to give it orders."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest

from pytest_gup.adapters.linux import guard, wire

BOUND_SECONDS = 30.0


@pytest.fixture
def aborted(tmp_path: Path) -> Path:
    """Return the file that tells of an abort."""
    return tmp_path / "aborted"


@pytest.fixture
def guarded(aborted: Path) -> Iterator[socket]:
    """Have a guard for a keeper, which is this process; return the master's end."""
    keeper, master = wire.pair()
    pid = guard.start(keeper, aborted.touch, patience=0.0)
    try:
        yield master
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        keeper.close()
        master.close()


def test_the_connections_are_aborted_when_the_master_has_ended(
    guarded: socket, aborted: Path
) -> None:
    """Orders that nobody has taken yet are no end, and stay where they are."""
    wire.send(guarded, ("unboot",))
    assert not aborted.exists()

    guarded.close()

    deadline = time.monotonic() + BOUND_SECONDS
    while not aborted.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert aborted.exists()
