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
import traceback
from collections.abc import Callable

from pytest_gup.adapters.linux import kernel, wire
from pytest_gup.adapters.linux.ring import Ring
from pytest_gup.adapters.linux.touch import Touch

STACK_BYTES = 1 << 18
SPARE_BYTES = 1 << 22
FILL_STEP_BYTES = 1 << 26
PAGE_BYTES = mmap.PAGESIZE
PAGEMAP_ENTRY = struct.Struct("=Q")
PAGEMAP_FRAME = (1 << 55) - 1

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
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
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
            "remove": remove,
            "fadvise": os.posix_fadvise,
            "fill_disk": fill_disk,
            "free_disk": free_disk,
            "map": map_pages,
            "device": self.device,
            "direct": self.direct,
            "mtime": mtime,
            "frames": self.frames,
            "fork": self.fork,
            "ring_register": self.ring_register,
            "ring_complete": self.ring_complete,
            "ring_abort": self.ring_abort,
        }
        self.rings: dict[int, Ring] = {}

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

    def frames(self, descriptor: int, pages: int) -> list[int | None]:
        """Tell the frame of each page of a file; None: it is not cached.

        The pages are mapped for the purpose, and not left mapped: what is mapped
        could not be evicted.
        """
        size = pages * PAGE_BYTES
        address = kernel.call(
            "mmap", None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0
        )
        try:
            resident = ctypes.create_string_buffer(pages)
            kernel.LIBC.mincore(ctypes.c_void_p(address), size, resident)
            return [
                self.frame(address + page * PAGE_BYTES) if is_cached & 1 else None
                for page, is_cached in enumerate(resident.raw)
            ]
        finally:
            kernel.call("munmap", address, size)

    def frame(self, address: int) -> int | None:
        """Touch an address and tell the frame that it maps; None: it maps nothing."""
        if isinstance(self.peek(address, 1), int):
            return None
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(address // PAGE_BYTES * PAGEMAP_ENTRY.size)
            (entry,) = PAGEMAP_ENTRY.unpack(pagemap.read(PAGEMAP_ENTRY.size))
        is_present = bool(entry >> 63)
        return entry & PAGEMAP_FRAME if is_present else None

    def device(self, kind: str, path: str, address: int, size: int) -> int:
        """Read from a device file into a range, or write to it from there."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return kernel.call(kind, descriptor, address, size)
        finally:
            os.close(descriptor)

    def direct(self, kind: str, path: str, address: int, size: int, at: int) -> int:
        """Read from a file into a range with O_DIRECT, or write to it from there."""
        flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        try:
            return kernel.call(kind, descriptor, address, size, at)
        finally:
            os.close(descriptor)

    def ring_register(self, address: int, size: int) -> int:
        """Have a range pinned as the buffer of an io_uring."""
        ring = Ring.register(address, size)
        self.rings[ring.descriptor] = ring
        return ring.descriptor

    def ring_complete(self, ring: int, stamp: int) -> None:
        """Have the kernel write to the pinned pages, past page tables; put them."""
        held = self.rings.pop(ring)
        held.fill(stamp)
        held.unregister()

    def ring_abort(self, ring: int) -> None:
        """Put the pages."""
        self.rings.pop(ring).unregister()

    def fork(self, *descriptors: int) -> int:
        """Make a child that works for these sockets, with threads of its own."""
        child = os.fork()
        if child == 0:
            kernel.name_process("gup-worker")
            _live(self, list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        return child


def map_pages(
    path: str | None, address: int, size: int, protection: int, flags: int, offset: int
) -> int:
    """Map a file, or anonymous memory, at an address."""
    if path is None:
        flags |= mmap.MAP_ANONYMOUS
        return kernel.call("mmap", address, size, protection, flags, -1, 0)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return kernel.call("mmap", address, size, protection, flags, descriptor, offset)
    finally:
        os.close(descriptor)


def remove(path: str, descriptor: int | None) -> None:
    """Remove a name, and close what was open under it."""
    os.unlink(path)
    if descriptor is not None:
        os.close(descriptor)


def mtime(descriptor: int) -> int:
    """Tell the modification time of a file, in nanoseconds."""
    return os.fstat(descriptor).st_mtime_ns


def free_disk(path: str, root: int) -> None:
    """Give back the blocks of a file; some filesystems do so at the next commit."""
    os.unlink(path)
    kernel.call("syncfs", root)


def fill_disk(path: str) -> None:
    """Have a file take all free blocks, down to the last one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        offset, step = 0, FILL_STEP_BYTES
        while step >= PAGE_BYTES:
            try:
                os.posix_fallocate(descriptor, offset, step)
                offset += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
    finally:
        os.close(descriptor)
