"""The FUSE protocol, as much of it as a few files need.

Spoken over /dev/fuse directly. pyfuse3 is the well-kept library for this, and was
weighed: it has to be compiled against libfuse's headers on a machine that may have
neither, and it takes a request as soon as one comes and hides when it did. *When a
request is taken* is exactly what this lab has to control: a write that is queued
in the kernel has not been captured yet. Hence these lines, with no dependency.

Interface:
  * `connect` mounts a FUSE filesystem and returns the descriptor to serve it from.
  * `Connection.take` takes the next request: from here on it is *captured*. Not
    calling it leaves every request queued in the kernel, its content uncopied.
  * `Connection.answer` and `Connection.refuse` end a request.
  * `Server.serve` answers housekeeping (INIT, LOOKUP, OPEN, ...) itself; READ,
    WRITE, FSYNC and FALLOCATE are what a subclass is for.

Struct layouts: include/uapi/linux/fuse.h, protocol 7.31 and later.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable
from enum import IntEnum

import attrs

from pytest_gup.adapters.linux import kernel

MINOR_VERSION = 31
WRITE_MAX_BYTES = 1 << 20
PAGE_BYTES = 4096
PAGES_MAX = WRITE_MAX_BYTES // PAGE_BYTES
BACKGROUND_MAX = 4096
"""Requests that may wait at once; a held disk must not make a submitter wait."""
ROOT_NODE = 1

FUSE_ASYNC_READ = 1 << 0
FUSE_BIG_WRITES = 1 << 5
FUSE_ASYNC_DIO = 1 << 15
FUSE_MAX_PAGES = 1 << 22
FOPEN_DIRECT_IO = 1 << 0
FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6

_IN_HEADER = struct.Struct("=IIQQIIIHH")
_OUT_HEADER = struct.Struct("=IiQ")
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
_INIT_IN = struct.Struct("=IIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_TRANSFER_IN = struct.Struct("=QQIIQII")
_FALLOCATE_IN = struct.Struct("=QQQII")


class Opcode(IntEnum):
    """The requests that are answered; all others get ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43


HEADER_BYTES = _OUT_HEADER.size

SILENT = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT}
"""Requests that take no answer."""


@attrs.frozen
class Request:
    """One request, taken from the kernel."""

    opcode: int
    unique: int
    """What the answer must name."""
    node: int
    body: bytes
    """What follows the header."""

    def transfer(self) -> tuple[int, int]:
        """Offset and size of a READ or WRITE, in bytes."""
        _, offset, size, *_ = _TRANSFER_IN.unpack_from(self.body)
        return offset, size

    def payload(self) -> bytes:
        """The content of a WRITE."""
        return self.body[_TRANSFER_IN.size :]

    def fallocation(self) -> tuple[int, int, int]:
        """Mode, offset and length of a FALLOCATE."""
        _, offset, length, mode, _ = _FALLOCATE_IN.unpack(self.body)
        return mode, offset, length


def header_of_answer(unique: int, size: int) -> bytes:
    """Return what goes before the body of an answer that is none of an error."""
    return _OUT_HEADER.pack(_OUT_HEADER.size + size, 0, unique)


def connect(target: str, source: str) -> int:
    """Mount a FUSE filesystem and return the descriptor that serves it."""
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0"
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    try:
        kernel.mount(source, target, "fuse", flags, options)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@attrs.define(eq=False)
class Connection:
    """One end of /dev/fuse."""

    descriptor: int
    buffer: memoryview = attrs.field(
        factory=lambda: memoryview(bytearray(WRITE_MAX_BYTES + 4096))
    )

    def take(self) -> Request | None:
        """Take the next request; None: the filesystem is unmounted or aborted."""
        try:
            size = os.readv(self.descriptor, [self.buffer])
        except OSError as error:
            if error.errno in {errno.ENODEV, errno.ECONNABORTED}:
                return None
            if error.errno in {errno.EINTR, errno.EAGAIN, errno.ENOENT}:
                return self.take()
            raise
        _, opcode, unique, node, *_ = _IN_HEADER.unpack_from(self.buffer)
        return Request(opcode, unique, node, bytes(self.buffer[_IN_HEADER.size : size]))

    def answer(self, request: Request, body: bytes = b"") -> None:
        """End a request well."""
        self._send(request, 0, body)

    def refuse(self, request: Request, error: int) -> None:
        """End a request with an error number."""
        self._send(request, -error, b"")

    def _send(self, request: Request, error: int, body: bytes) -> None:
        header = _OUT_HEADER.pack(_OUT_HEADER.size + len(body), error, request.unique)
        try:
            os.writev(self.descriptor, [header, body])
        except OSError as failure:
            # ENOENT: the asker was killed and waits no longer.
            if failure.errno not in {errno.ENOENT, errno.ENODEV, errno.ECONNABORTED}:
                raise


@attrs.define(eq=False)
class Server:
    """Answers the requests of one connection.

    Every name that is looked up exists: it is a file of `size_bytes` bytes. That
    is all that a disk image, or a device file for each pin, needs.
    """

    connection: Connection
    size_bytes: int = 1 << 40
    names: dict[str, int] = attrs.field(factory=dict[str, int])
    """Node of each name that was looked up."""

    def serve(self, request: Request) -> None:
        """Answer one request, or keep it for later."""
        self._choices().get(request.opcode, self.answer_unknown)(request)

    def _choices(self) -> dict[int, Callable[[Request], None]]:
        return {
            Opcode.INIT: self.answer_init,
            Opcode.LOOKUP: self.answer_lookup,
            Opcode.GETATTR: self.answer_attributes,
            Opcode.SETATTR: self.answer_attributes,
            Opcode.OPEN: self.answer_open,
            Opcode.RELEASE: self.connection.answer,
            Opcode.FLUSH: self.connection.answer,
            Opcode.DESTROY: self.connection.answer,
            Opcode.STATFS: self.answer_statfs,
            Opcode.READ: self.read,
            Opcode.WRITE: self.write,
            Opcode.FSYNC: self.flush,
            Opcode.FALLOCATE: self.fallocate,
        }

    # --- what a subclass is for ------------------------------------------------

    def is_cached(self, node: int) -> bool:
        """Whether a file is one page, and read through the page cache."""
        return False

    def read(self, request: Request) -> None:
        """Answer a READ."""
        self.answer_unknown(request)

    def write(self, request: Request) -> None:
        """Answer a WRITE."""
        self.answer_unknown(request)

    def flush(self, request: Request) -> None:
        """Answer an FSYNC."""
        self.connection.answer(request)

    def fallocate(self, request: Request) -> None:
        """Answer a FALLOCATE."""
        self.answer_unknown(request)

    # --- housekeeping ----------------------------------------------------------

    def answer_unknown(self, request: Request) -> None:
        """Say that this is not implemented, where an answer is expected at all."""
        if request.opcode not in SILENT:
            self.connection.refuse(request, errno.ENOSYS)

    def answer_init(self, request: Request) -> None:
        """Agree on the protocol."""
        major, _, max_readahead, offered = _INIT_IN.unpack_from(request.body)
        wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES
        body = _INIT_OUT.pack(
            major,
            MINOR_VERSION,
            max_readahead,
            wanted & offered,
            BACKGROUND_MAX,
            BACKGROUND_MAX,
            WRITE_MAX_BYTES,
            1,
            PAGES_MAX,
            0,
            0,
        )
        self.connection.answer(request, body)

    def answer_lookup(self, request: Request) -> None:
        """Find a name: it exists, whatever it is."""
        name = request.body.rstrip(b"\0").decode()
        node = self.names.setdefault(name, ROOT_NODE + 1 + len(self.names))
        entry = struct.pack("=QQQQII", node, 0, 0, 0, 0, 0)
        self.connection.answer(request, entry + self._attributes(node))

    def answer_attributes(self, request: Request) -> None:
        """Tell size and kind of a node; they cannot be changed."""
        valid = struct.pack("=QII", 0, 0, 0)
        self.connection.answer(request, valid + self._attributes(request.node))

    def answer_open(self, request: Request) -> None:
        """Open a node, past the page cache unless it is a file that is cached."""
        flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES
        if self.is_cached(request.node):
            flags = 0
        self.connection.answer(request, struct.pack("=QII", request.node, flags, 0))

    def answer_statfs(self, request: Request) -> None:
        """Tell that there is plenty of space."""
        plenty = 1 << 30
        body = struct.pack(
            "=QQQQQIII28x", plenty, plenty, plenty, plenty, plenty, 4096, 255, 4096
        )
        self.connection.answer(request, body)

    def _attributes(self, node: int) -> bytes:
        is_root = node == ROOT_NODE
        mode = (stat.S_IFDIR | 0o700) if is_root else (stat.S_IFREG | 0o600)
        size = 0 if is_root else self.size_bytes
        if self.is_cached(node):
            size = PAGE_BYTES
        return _ATTRIBUTES.pack(
            node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0
        )
