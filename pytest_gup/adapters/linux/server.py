"""A FUSE server as a process: requests on one side, orders on the other.

The kernel waits for writeback while it holds the mmap_lock of the process that
asked for a page. So a server never shares an address space with a process whose
pages are pinned, and its own memory is locked.

Interface:
  * `run` serves until the orders end; it is the whole life of the process.
  * A subclass of `Actor` supplies `order`, which carries out one order and returns
    its answer, and says with `is_taking` whether requests are to be taken.
"""

import os
import select
import socket

import attrs

from pytest_gup.adapters.linux import kernel, wire
from pytest_gup.adapters.linux.fuse import Server


@attrs.define(eq=False)
class Actor(Server):
    """A FUSE server that takes orders."""

    is_taking: bool = True
    """False: requests stay queued in the kernel, their content uncopied."""

    def order(
        self, message: wire.Message, descriptors: list[int]
    ) -> tuple[wire.Message, tuple[int, ...]]:
        """Carry out one order; answer with a message and descriptors."""
        raise NotImplementedError

    def release_all(self) -> None:
        """Answer everything that is held; nothing is held afterwards."""
        raise NotImplementedError


def run(actor: Actor, masters: list[socket.socket], name: str) -> None:
    """Serve until unmounted. Once no master is left, nothing is held any more."""
    kernel.name_process(name)
    kernel.lock_memory(future=True)
    kernel.become_io_flusher()
    ends = {master.fileno(): master for master in masters}
    descriptor = actor.connection.descriptor
    poll = select.poll()
    for end in (*ends, descriptor):
        poll.register(end, select.POLLIN)
    while True:
        poll.modify(descriptor, select.POLLIN if actor.is_taking else 0)
        ready = [end for end, _ in poll.poll()]
        for end in ready:
            if end in ends and not _obey(actor, ends[end]):
                poll.unregister(end)
                del ends[end]
                if not ends:
                    actor.release_all()
        if ready == [descriptor] and not _take(actor):
            return


def _obey(actor: Actor, orders: socket.socket) -> bool:
    message, descriptors = wire.receive_with_descriptors(orders)
    if message is None:
        return False
    answer, given = actor.order(message, descriptors)
    wire.send(orders, answer, given)
    for descriptor in given:
        os.close(descriptor)
    return True


def _take(actor: Actor) -> bool:
    request = actor.connection.take()
    if request is None:
        return False
    actor.serve(request)
    return True
