"""The guard of the lab: frees a keeper that hangs.

The keeper carries out one order at a time, in the kernel, and where the kernel waits
for a disk that is held it waits, too. If the process that could have it released ends,
nobody reads that it has ended. So a process of its own waits for that end, gives the
keeper time to take everything down by itself, and then aborts the FUSE connections,
until the keeper is through and ends it.

Interface:
  * `start(orders, abort)` forks a guard and returns its process; it ends with the
    keeper, too.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from pytest_gup.adapters.linux import kernel, worker

PATIENCE_SECONDS = 60.0
"""How long the keeper may take to take everything down."""
AGAIN_SECONDS = 1.0


def start(
    orders: socket.socket,
    abort: Callable[[], object],
    patience: float = PATIENCE_SECONDS,
) -> int:
    """Fork a guard, and return its process.

    Args:
        orders: the socket whose other end closes with the process that gives orders.
        abort: makes every request fail that the keeper may wait for.
        patience: seconds between that and the first abort.
    """
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _guard(keeper, orders, abort, patience)
    return pid


def _guard(
    keeper: int, orders: socket.socket, abort: Callable[[], object], patience: float
) -> NoReturn:
    """Be the guard."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        kernel.name_process("gup-guard")
        worker.close_all_but({0, 1, 2, orders.fileno()})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _wait_for_end(orders)
        time.sleep(patience)
        while os.getppid() == keeper:
            abort()
            time.sleep(AGAIN_SECONDS)
    finally:
        os._exit(0)


def _wait_for_end(orders: socket.socket) -> None:
    """Wait until the other end is closed; leave the messages to the keeper."""
    poll = select.poll()
    poll.register(orders, 0)
    while not any(event & select.POLLHUP for _, event in poll.poll()):
        pass
