"""The DMA device: a FUSE server whose answers are device writes.

A process that reads from one of its files into a buffer has the kernel pin the
pages of the buffer and keep them pinned until this server answers. The answer is
the device write: the kernel copies it into the pinned pages past all page tables,
marks them dirty and puts them. A process that writes to one of its files has the
pages of its buffer pinned for reading.

Each pin uses a file name of its own; a file named `fill-STAMP-...` is a device that
is done at once, with that stamp; one named `steal-...` is a page that is cached. A
request that comes after the pin of its file was answered (the rest of a range of
which only a part could be pinned) is refused at once, so it grants nothing.

Orders:
  * `taken, name`: bytes that are pinned for this name; None if nothing is.
  * `complete, name, stamp`: the device fills the pages and puts them.
  * `abort, name`: the device gives up.
  * `lend, name`, `returned, name`: somebody else answers a read, with the descriptor
    that comes back.
  * `close`: it gives up on every pin, and grants none until `open`.
"""

import errno
import os

import attrs

from pytest_gup.adapters.linux import wire
from pytest_gup.adapters.linux.fuse import Opcode, Request
from pytest_gup.adapters.linux.server import Actor


@attrs.define(eq=False)
class Device(Actor):
    """A device that keeps what it was given until it is told to be done."""

    pins: dict[int, Request] = attrs.field(factory=dict[int, Request])
    """The request of each node that is taken and not answered."""
    done: set[int] = attrs.field(factory=set[int])
    """Nodes whose pin was put."""
    is_open: bool = True
    """Whether pins are granted. A call that waited for something else may come to
    its pin while everything is being taken down."""

    def read(self, request: Request) -> None:
        """Take a pin for device writes."""
        stamp = self._stamp_of(request.node)
        if stamp is None:
            self._keep(request)
        else:
            self._complete(request, stamp)

    def write(self, request: Request) -> None:
        """Take a pin for device reads."""
        self._keep(request)

    def order(
        self, message: wire.Message, descriptors: list[int]
    ) -> tuple[wire.Message, tuple[int, ...]]:
        """Carry out one order."""
        match message:
            case ("taken", str(name)):
                request = self.pins.get(self.names.get(name, -1))
                return (None if request is None else request.transfer()[1],), ()
            case ("lend", str(name)):
                request = self.pins[self.names[name]]
                return (request.unique,), (os.dup(self.connection.descriptor),)
            case _:
                self._obey(message)
        return (), ()

    def _obey(self, message: wire.Message) -> None:
        """Carry out an order that has no answer."""
        match message:
            case ("complete", str(name), int(stamp)):
                self._complete(self._put(name), stamp)
            case ("abort", str(name)):
                self.connection.refuse(self._put(name), errno.EIO)
            case ("returned", str(name)):
                self._put(name)
            case ("close",):
                self.is_open = False
                self.release_all()
            case ("open",):
                self.is_open = True
            case _:
                raise AssertionError(f"the device has no order {message!r}")

    def release_all(self) -> None:
        """Give up on every pin."""
        pins, self.pins = self.pins, {}
        self.done |= set(pins)
        for request in pins.values():
            self.connection.refuse(request, errno.EIO)

    def is_cached(self, node: int) -> bool:
        """Whether a file is there to have a page stolen for it."""
        return self._name_of(node).startswith("steal-")

    def _stamp_of(self, node: int) -> int | None:
        name = self._name_of(node)
        return int(name.split("-")[1]) if name.startswith("fill-") else None

    def _name_of(self, node: int) -> str:
        return next((name for name, one in self.names.items() if one == node), "")

    def _keep(self, request: Request) -> None:
        is_used = request.node in self.done or request.node in self.pins
        if is_used or not self.is_open:
            self.connection.refuse(request, errno.EIO)
        else:
            self.pins[request.node] = request

    def _put(self, name: str) -> Request:
        node = self.names[name]
        self.done.add(node)
        return self.pins.pop(node)

    def _complete(self, request: Request, stamp: int) -> None:
        _, size = request.transfer()
        if request.opcode == Opcode.WRITE:
            self.connection.answer(request, size.to_bytes(8, "little"))
        else:
            self.connection.answer(request, bytes([stamp]) * size)
