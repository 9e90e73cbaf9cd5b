"""A process of a program: an address space, and threads that wait for work.

Each call of a program runs in a thread of its own in here, so that it can sleep in
the kernel while others go on. The threads exist before the first call, and so does
the memory that Python will need (`prepare_heap`): a thread that waits inside the
kernel may hold the mmap_lock, and nobody in this process can get memory meanwhile.

A call is a message `(name, arguments...)`; the answer is `(result, errno)`. A name
is one of `tasks.TASKS`, a method in here, or else a function of the C library, called
with integers and byte strings. Nothing of this module is imported by the process that
sends calls.

Interface:
  * `prepare_heap` once in the process that forks workers.
  * `main` is the whole life of the process, from the fork.
"""

import _thread
import contextlib
import ctypes
import errno
import gc
import mmap
import os
import signal
import socket
import traceback

from pytest_gup.adapters.linux import kernel, wire
from pytest_gup.adapters.linux.ring import Ring
from pytest_gup.adapters.linux.tasks import (
    PAGE_BYTES,
    TASKS,
    Task,
    cached_pages,
    entries,
    frame_of,
    wait_for_memory,
)
from pytest_gup.adapters.linux.touch import Touch
from pytest_gup.adapters.linux.uffd import Notice

STACK_BYTES = 1 << 18
SPARE_BYTES = 1 << 22
FILES_MAX = 1 << 20
ENVIRONMENT = {"PYTHONMALLOC": "malloc"}
"""What the process that forks workers must be started with."""
M_TOP_PAD, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX = -2, -3, -1, -8
"""Parameters of mallopt(3)."""

SYS_PIDFD_GETFD = 438

DEFECT = -1
"""Instead of an errno: the lab itself failed, and the result is a traceback."""


def prepare_heap() -> None:
    """Get memory from the kernel that a worker will not have to ask for.

    The C library is told to keep what it has, and to have one heap for all threads.
    Python must have been told to use it for everything (`ENVIRONMENT`): its own
    allocator gives memory back while all its threads wait.
    """
    for parameter, value in (
        (M_ARENA_MAX, 1),
        (M_TRIM_THRESHOLD, 1 << 30),
        (M_MMAP_THRESHOLD, 1 << 25),
        (M_TOP_PAD, SPARE_BYTES),
    ):
        kernel.LIBC.mallopt(parameter, value)
    spare = bytes(SPARE_BYTES)
    del spare


def main(descriptors: list[int]) -> None:
    """Work until the first of these sockets is closed; does not return."""
    kernel.die_with_parent(signal.SIGKILL)
    kernel.name_process("gup-worker")
    kernel.go_first()
    gc.disable()
    _live(Worker(), descriptors)


def _live(worker: "Worker", descriptors: list[int]) -> None:
    close_all_but({0, 1, 2, *descriptors})
    ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    # Not `threading.Thread`, which waits for each to have begun: half of the time
    # that a boot took.
    _thread.stack_size(STACK_BYTES)
    for end in ends[1:]:
        _thread.start_new_thread(_work, (worker, end))
    try:
        _work(worker, ends[0])
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        os._exit(0)


def _work(worker: "Worker", end: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        worker.work(end)


def close_all_but(wanted: set[int]) -> None:
    """Close every file of this process but these."""
    begin = 0
    for descriptor in (*sorted(wanted), FILES_MAX):
        if begin < descriptor:
            os.closerange(begin, descriptor)
        begin = descriptor + 1


class Worker:
    """The tasks of a process, and its threads."""

    def __init__(self) -> None:
        self.touch = Touch.install()
        self.tasks: dict[str, Task] = {
            **TASKS,
            "fill": self.touch.fill,
            "peek": self.peek,
            "device": self.device,
            "direct": self.direct,
            "frames": self.frames,
            "fork": self.fork,
            "clear_refs": self.clear_refs,
            "ring_register": self.ring_register,
            "ring_adopt": self.ring_adopt,
            "ring_complete": self.ring_complete,
            "ring_abort": self.ring_abort,
        }
        self.rings: dict[int, Ring] = {}
        self.notice: Notice | None = None

    def work(self, end: socket.socket) -> None:
        """Answer calls until the end is closed."""
        wire.send(end, (os.getpid(), _thread.get_native_id()))
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
        except Exception:  # noqa: BLE001 - a defect of ours, to be told
            return traceback.format_exc(), DEFECT

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
        are_cached = cached_pages(descriptor, pages)
        address = kernel.call(
            "mmap", None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0
        )
        try:
            return [
                self.frame(address + page * PAGE_BYTES) if is_cached else None
                for page, is_cached in enumerate(are_cached)
            ]
        finally:
            kernel.call("munmap", address, size)

    def frame(self, address: int) -> int | None:
        """Touch an address and tell the frame that it maps; None: it maps nothing."""
        if isinstance(self.peek(address, 1), int):
            return None
        (entry,) = entries(os.getpid(), address, 1)
        return frame_of(entry)

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

    def clear_refs(self, *ranges: int) -> None:
        """Have the next write to each page of these ranges noticed."""
        if self.notice is None:
            self.notice = Notice.open()
        self.notice.clear(list(zip(ranges[::2], ranges[1::2], strict=True)))

    def ring_register(self, address: int, size: int) -> tuple[int, bytes]:
        """Have a range pinned as the buffer of an io_uring."""
        ring = Ring.register(address, size)
        self.rings[ring.descriptor] = ring
        return ring.descriptor, ring.params

    def ring_adopt(
        self, process: int, number: int, params: bytes, address: int, size: int
    ) -> int:
        """Take over the ring of a process that is about to end."""
        there = os.pidfd_open(process)
        try:
            ring = kernel.call("syscall", SYS_PIDFD_GETFD, there, number, 0)
        finally:
            os.close(there)
        self.rings[ring] = Ring(ring, params, address, size)
        return ring

    def ring_complete(self, ring: int, stamp: int) -> None:
        """Have the kernel write to the pinned pages, past page tables; put them."""
        wait_for_memory()
        held = self.rings.pop(ring)
        held.fill(stamp)
        held.unregister()

    def ring_abort(self, ring: int) -> None:
        """Put the pages."""
        self.rings.pop(ring).unregister()

    def fork(self, *descriptors: int) -> int:
        """Make a child that works for these sockets, with threads of its own.

        Python keeps all its threads waiting while it forks; so wait first for what
        the fork would have to wait for.
        """
        wait_for_memory()
        child = os.fork()
        if child == 0:
            kernel.name_process("gup-worker")
            self.rings, self.notice = {}, None
            _live(self, list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        return child
