"""FUSE servers for the scripts in this folder: a slow device and a faulty disk.

Spoken over /dev/fuse directly, so that nothing has to be installed. Every server is a
process of its own: the kernel may wait for it while it holds locks of the script.

Interface:
  * `Device.wait` waits for a read(2) to arrive; `Device.write_pages` answers it.
  * `Device.steal` has a page spliced into another file, moving it.
  * `FaultyDisk.fail_next` has one write fail.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
from pathlib import Path

from lab.process import LIBC, PAGE, PATIENCE, Child, die_with_parent


class FuseServer:
    """A FUSE filesystem served by a process of its own. Every name is a file in it."""

    HEADER = struct.Struct("=IIQQIIIHH")
    LOOKUP, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 3, 4, 14, 15, 16, 17
    RELEASE, FSYNC, FLUSH, INIT, DESTROY = 18, 20, 25, 26, 38
    UNANSWERED = (2, 36, 42)
    CACHED = 3
    """The node whose pages are cached; all others are read directly."""
    SIZE = 1 << 30

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.orders, self.master = socket.socketpair()
        self.prepare()
        self.pid = os.fork()
        if self.pid == 0:
            self.orders.close()
            die_with_parent()
            with contextlib.suppress(BaseException):
                self._serve()
            os._exit(0)
        self.master.close()
        self.wait(PATIENCE * 5)

    def wait(self, seconds: float) -> bool:
        """Wait for a message from the server."""
        ready, _, _ = select.select([self.orders], [], [], seconds)
        return bool(ready) and bool(self.orders.recv(1))

    def close(self) -> None:
        """End the server; with it the connection, and every request in it, ends."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.orders.close()

    def _serve(self) -> None:
        LIBC.mlockall(3)
        self.fuse = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0"
        source = b"gup-finding"
        if LIBC.mount(source, bytes(self.path), b"fuse", 0, options.encode()):
            return
        self.master.send(b"!")
        while True:
            ready, _, _ = select.select([self.fuse, self.master], [], [])
            if self.master in ready:
                self.order(self.master.recv(2))
            if self.fuse in ready:
                self._take(os.read(self.fuse, 1 << 18))

    def _take(self, packet: bytes) -> None:
        _, opcode, unique, node, *_ = self.HEADER.unpack_from(packet)
        body = packet[self.HEADER.size :]
        attributes = self._attributes(node)
        if opcode == self.READ:
            self.read(unique, node, *struct.unpack_from("=QI", body, 8))
        elif opcode == self.WRITE:
            self.write(unique, struct.unpack_from("=Q", body, 8)[0], body[40:])
        elif opcode == self.LOOKUP:
            node = self.CACHED if body.startswith(b"cached") else 2
            entry = struct.pack("=QQQQII", node, 0, 0, 0, 0, 0)
            self.answer(unique, entry + self._attributes(node))
        elif opcode not in self.UNANSWERED:
            self.answer(unique, *self._housekeeping(opcode, node, attributes))

    def _housekeeping(
        self, opcode: int, node: int, attributes: bytes
    ) -> tuple[bytes, int]:
        direct = int(node != self.CACHED)
        answers = {
            self.INIT: struct.pack(
                *("=IIIIHHIIHHI28x", 7, 31, 0, 1 | 1 << 5, 64, 64),
                *(1 << 17, 1, 32, 0, 0),
            ),
            self.GETATTR: struct.pack("=QII", 0, 0, 0) + attributes,
            self.SETATTR: struct.pack("=QII", 0, 0, 0) + attributes,
            self.OPEN: struct.pack("=QII", node, direct, 0),
            self.STATFS: struct.pack("=QQQQQIII28x", *[1 << 20] * 5, PAGE, 255, PAGE),
        }
        is_known = opcode in {self.RELEASE, self.FSYNC, self.FLUSH, self.DESTROY}
        error = 0 if is_known or opcode in answers else errno.ENOSYS
        return answers.get(opcode, b""), error

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40700, 0) if node == 1 else (0o100600, self.SIZE)
        if node == self.CACHED:
            size = PAGE
        return struct.pack(
            "=QQQQQQIIIIIIIIII",
            node,
            size,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            mode,
            *[1, 0, 0, 0],
            PAGE,
            0,
        )

    def answer(self, unique: int, content: bytes, error: int = 0) -> None:
        """End a request."""
        header = struct.pack("=IiQ", 16 + len(content), -error, unique)
        with contextlib.suppress(OSError):
            os.write(self.fuse, header + content)

    # --- what a subclass is for

    def prepare(self) -> None:
        """Prepare, before the server is a process of its own."""

    def order(self, message: bytes) -> None:
        """Do what the script asks for; an empty message is the end of it."""

    def read(self, unique: int, node: int, offset: int, size: int) -> None:
        """Take a READ."""

    def write(self, unique: int, offset: int, content: bytes) -> None:
        """Take a WRITE."""


class Device(FuseServer):
    """A device that writes to the pages it was given when it is told to."""

    OFFSET = 1 << 24
    """Where in its file it is slow."""
    held: list[tuple[int, int]]

    def prepare(self) -> None:
        """Make the pipe that a page is handed over in."""
        self.held = []
        self.pipe = os.pipe()

    def read(self, unique: int, node: int, offset: int, size: int) -> None:
        """Keep the request, and with it the pages; not so whoever looks for tables."""
        if offset != self.OFFSET and node != self.CACHED:
            self.answer(unique, bytes(size))
            return
        self.held.append((unique, size))
        self.master.send(b"!")

    def order(self, message: bytes) -> None:
        """Write a value to all pages held and give them back; or hand over a page."""
        held, self.held = self.held, []
        if not message:
            os._exit(0)
        if message[:1] == b"S":
            # The page that is to be handed over was asked for last.
            unique, _ = held.pop()
            self.held = held
            reader, writer = os.pipe()
            os.write(writer, struct.pack("=IiQ", 16 + PAGE, 0, unique))
            os.splice(self.pipe[0], writer, PAGE)
            os.splice(reader, self.fuse, 16 + PAGE, flags=os.SPLICE_F_MOVE)
            os.close(reader)
            os.close(writer)
        else:
            for unique, size in held:
                self.answer(unique, message[1:] * size)

    def write_pages(self, value: int) -> None:
        """Write this value to all pages held, and give them back."""
        self.orders.send(b"V" + bytes([value]))

    def steal(self, path: Path) -> None:
        """Have a page of a file made a page of a FUSE file, by splice(2), moving.

        The kernel tries to take the page itself out of the page cache of its file
        (fuse_try_move_folio); where it cannot, it copies.
        """
        with path.open("rb", buffering=0) as file:
            os.splice(file.fileno(), self.pipe[1], PAGE, offset_src=0)
        thief = Child(lambda: len((self.path / "cached").read_bytes()))
        assert self.wait(PATIENCE), "the read that steals the page did not come"
        self.orders.send(b"S\0")
        assert thief.result() == str(PAGE), "the read that steals the page failed"


class FaultyDisk(FuseServer):
    """A disk whose next write of a page full of one value fails."""

    def __init__(self, path: Path, image: Path, size: int) -> None:
        self.image = image
        self.SIZE = size
        super().__init__(path)

    def prepare(self) -> None:
        """Open the image."""
        self.medium = os.open(self.image, os.O_RDWR)
        self.failing: bytes | None = None

    def order(self, message: bytes) -> None:
        """Fail the next write of this value."""
        if not message:
            os._exit(0)
        self.failing = message[1:] * PAGE
        self.master.send(b"!")

    def read(self, unique: int, node: int, offset: int, size: int) -> None:
        """Read from the image."""
        self.answer(unique, os.pread(self.medium, size, offset))

    def write(self, unique: int, offset: int, content: bytes) -> None:
        """Write to the image, or fail."""
        if self.failing is not None and self.failing in content:
            self.failing = None
            self.answer(unique, b"", errno.EIO)
            return
        os.pwrite(self.medium, content, offset)
        self.answer(unique, struct.pack("=II", len(content), 0))

    def fail_next(self, value: int) -> None:
        """Have the next write of a page full of this value fail."""
        self.orders.send(b"F" + bytes([value]))
        assert self.wait(PATIENCE), "the disk did not answer"
