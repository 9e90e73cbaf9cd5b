"""A process of a program: an address space, and threads that wait for work.

Each call of a program runs in a thread of its own in here, so that it can sleep in
the kernel while others go on. The threads exist before the first call, and memory
that Python will need is there and locked: a thread that waits inside the kernel may
hold the mmap_lock, and nothing else in this process can get memory meanwhile.

A call is a message `(name, arguments...)`; the answer is `(result, errno)`. A name
is one of `TASKS`, or else a function of the C library, called with integers and
byte strings. Nothing of this module is imported by the process that sends calls.

Interface:
  * `main` is the whole life of the process, from the fork.
"""

import contextlib
import ctypes
import errno
import gc
import mmap
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable

from pytest_gup.adapters.linux import kernel, wire
from pytest_gup.adapters.linux.touch import Touch

STACK_BYTES = 1 << 18
SPARE_BYTES = 1 << 22
PAGE_BYTES = mmap.PAGESIZE
PAGEMAP_ENTRY = struct.Struct("=Q")
PAGEMAP_FRAME = (1 << 55) - 1
FRAME_UNKNOWN = 0

Task = Callable[..., object]


def main(descriptors: list[int]) -> None:
    """Work until the first of these sockets is closed; does not return."""
    kernel.die_with_parent(signal.SIGKILL)
    kernel.name_process("gup-worker")
    gc.disable()
    spare = bytearray(SPARE_BYTES)
    del spare
    kernel.lock_memory(future=False)
    _live(Worker(), descriptors)


def _live(worker: "Worker", descriptors: list[int]) -> None:
    close_all_but({0, 1, 2, *descriptors})
    ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    threading.stack_size(STACK_BYTES)
    for end in ends[1:]:
        threading.Thread(target=worker.work, args=(end,), daemon=True).start()
    try:
        worker.work(ends[0])
    finally:
        os._exit(0)


def close_all_but(wanted: set[int]) -> None:
    """Close every file of this process but these."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in wanted:
            with contextlib.suppress(OSError):
                os.close(int(name))


class Worker:
    """The tasks of a process, and its threads."""

    def __init__(self) -> None:
        self.touch = Touch.install()
        self.tasks: dict[str, Task] = {
            "fill": self.touch.fill,
            "peek": self.peek,
            "pread": os.pread,
            "pwrite": os.pwrite,
            "open": os.open,
            "stat": self.stat,
            "frame": self.frame,
            "fork": self.fork,
            "mount": kernel.mount,
            "umount": kernel.unmount,
        }

    def work(self, end: socket.socket) -> None:
        """Answer calls until the end is closed."""
        wire.send(end, (os.getpid(), threading.get_native_id()))
        while True:
            message, descriptors = wire.receive_with_descriptors(end)
            if message is None:
                return
            wire.send(end, self.answer((*message, *descriptors)))

    def answer(self, message: wire.Message) -> wire.Message:
        """Carry out one call."""
        name, *arguments = message
        try:
            task = self.tasks.get(str(name))
            if task is None:
                return kernel.call(str(name), *arguments), 0  # type: ignore[arg-type]
            return task(*arguments), 0
        except OSError as error:
            return None, error.errno or errno.EIO

    # --- tasks -------------------------------------------------------------------

    def peek(self, address: int, size: int) -> bytes | int:
        """Load bytes; answer them, or the number of a signal."""
        found = ctypes.create_string_buffer(size)
        return self.touch.copy(ctypes.addressof(found), address, size) or found.raw

    def stat(self, path: str) -> tuple[int, int, int]:
        """Tell modification time (nanoseconds), size and blocks of a file."""
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size, found.st_blocks

    def frame(self, descriptor: int, page: int) -> int | None:
        """Tell the frame of a cached page of a file; None: it is not cached.

        The page is mapped for the purpose, and not left mapped: a mapped page
        could not be evicted.
        """
        offset = page * PAGE_BYTES
        arguments = (PAGE_BYTES, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, offset)
        address = kernel.call("mmap", None, *arguments)
        try:
            resident = ctypes.create_string_buffer(1)
            where = ctypes.c_void_p(address)
            kernel.LIBC.mincore(where, PAGE_BYTES, resident)
            if not resident.raw[0] & 1 or isinstance(self.peek(address, 1), int):
                return None
            return frame_of("self", address)
        finally:
            kernel.call("munmap", address, PAGE_BYTES)

    def fork(self, *descriptors: int) -> int:
        """Make a child that works for these sockets, with threads of its own."""
        child = os.fork()
        if child == 0:
            kernel.name_process("gup-worker")
            _live(self, list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        return child


def frame_of(process: str, address: int) -> int:
    """Tell the frame that an address maps; `FRAME_UNKNOWN` if none is present."""
    with open(f"/proc/{process}/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(address // PAGE_BYTES * PAGEMAP_ENTRY.size)
        (entry,) = PAGEMAP_ENTRY.unpack(pagemap.read(PAGEMAP_ENTRY.size))
    is_present = bool(entry >> 63)
    return entry & PAGEMAP_FRAME if is_present else FRAME_UNKNOWN
