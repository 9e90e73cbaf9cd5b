"""get_user_pages and the device behind it.

A short-term pin: a thread of the process reads from a device file into the range
(or writes to the file from it, for a device that only reads). The kernel pins the
pages, the request arrives at the device, and there the pin is granted; the read is
answered when the device is done. Both document names take this one path, which is
pin_user_pages_fast with its fall back to the slow one.

A long-term pin: the range is registered as a buffer of an io_uring, which the kernel
always pins for writing.

Put is not an operation of its own here: when the answer of the device arrives, the
kernel marks the pages dirty and puts them in one go. It marks them dirty after an
answer that is an error, too; so a given-up pin leaves its pages dirty.
"""

import attrs

from conformance.interface import Done, Errno, KernelError, Running
from pytest_gup.adapters.linux.bench import Bench, Call, CallState, Pin
from pytest_gup.adapters.linux.calls import Task
from pytest_gup.adapters.linux.files import wait_for_tick

THREADS_SPARE = 6
"""Threads of a process that pins may not take, so that other calls find one."""


@attrs.define(eq=False)
class Pinning:
    """A get_user_pages that is on its way."""

    bench: Bench
    handle: int
    pin: Pin
    call: Call
    done: Done | None = None

    def state(self) -> CallState:
        """Tell how far it is: granted once the request has arrived."""
        if self.done is None:
            taken = taken_bytes(self.bench, self.pin)
            if taken is None:
                return self._refused_or_pending()
            self.pin.pages = taken // self.bench.geometry.page_size_bytes
            self.bench.pins[self.handle] = self.pin
            self.bench.moment += 1
            self.done = Done(self.pin.pages)
        return self.done

    def _refused_or_pending(self) -> CallState:
        state = self.call.state()
        if isinstance(state, Done):
            self.done = state
        return state


class Pins:
    """get_user_pages, and what a device does with the pages."""

    bench: Bench

    def get_user_pages(
        self,
        process: int,
        mapping: int,
        page: int,
        pages: int,
        pin: int,
        write: bool,
        longterm: bool,
    ) -> Pinning | Call:
        """Have pages pinned for a device."""
        wait_for_tick(self.bench.last_mtime)
        address = self.bench.address(process, mapping, page)
        size = pages * self.bench.geometry.page_size_bytes
        if longterm:
            return self._register(process, address, size, pin, write=write)
        worker = self.bench.processes[process]
        if len(worker.idle) <= THREADS_SPARE:
            raise KernelError(Errno.EAGAIN, "too many pins for the threads of the lab")
        name = self.bench.fresh_pin_name("pin")
        path = f"{self.bench.lab.folder}/device/{name}"
        kind = "read" if write else "write"
        call = self.bench.begin(worker, "device", kind, path, address, size)
        return Pinning(self.bench, pin, Pin(name, call.task, process), call)

    get_user_pages_fast = get_user_pages

    def device_complete(self, pin: int, value: int) -> "Call | Parting":
        """Fill the pages, have them marked dirty and put."""
        held = self.bench.pins.pop(pin)
        if held.task is None:
            return self._of_ring(held, "ring_complete", value)
        self.bench.lab.device.order("complete", held.name, value)
        return self._put(held)

    def device_abort(self, pin: int) -> "Call | Parting":
        """Give the pages back."""
        held = self.bench.pins.pop(pin)
        if held.task is None:
            return self._of_ring(held, "ring_abort")
        self.bench.lab.device.order("abort", held.name)
        return self._put(held)

    def device_transfer(
        self, process: int, mapping: int, page: int, pages: int, value: int
    ) -> Call:
        """Pin pages, fill them, have them marked dirty and put, in one call."""
        wait_for_tick(self.bench.last_mtime)
        size = self.bench.geometry.page_size_bytes
        address = self.bench.address(process, mapping, page)
        name = self.bench.fresh_pin_name(f"fill-{value}")
        path = f"{self.bench.lab.folder}/device/{name}"
        worker = self.bench.processes[process]
        return self.bench.begin(
            worker, "device", "read", path, address, pages * size, then=self._pages
        )

    def _put(self, held: Pin) -> "Call | Parting":
        """Wait for the thread that holds the pages: it answers when they are put."""
        assert held.task is not None, f"pin {held.name} has no thread"
        self.bench.moment += 1
        if held.is_orphan:
            return Parting(held.task)
        return Put(self.bench, held.task, lambda _: None)

    def _register(
        self, process: int, address: int, size: int, pin: int, *, write: bool
    ) -> Call:
        if not write:
            raise KernelError(
                Errno.EOPNOTSUPP, "io_uring registers buffers for writing only"
            )
        worker = self.bench.processes[process]
        page_size = self.bench.geometry.page_size_bytes

        def keep(ring: object) -> int:
            assert isinstance(ring, tuple), f"io_uring answered {ring!r}"
            descriptor, params = ring
            pages, buffer = size // page_size, (params, address, size)
            held = Pin(str(descriptor), None, process, pages, buffer)
            self.bench.pins[pin] = held
            return pages

        return self.bench.begin(worker, "ring_register", address, size, then=keep)

    def _of_ring(self, held: Pin, name: str, *arguments: object) -> Call:
        worker = self.bench.processes.get(held.process, self.bench.shell)
        return self.bench.begin(worker, name, int(held.name), *arguments)

    def _pages(self, size: object) -> int:
        assert isinstance(size, int), f"a transfer answered {size!r}"
        return size // self.bench.geometry.page_size_bytes


class Put(Call):
    """A pin on its way back; an error is what the device answered, not a refusal."""

    def state(self) -> CallState:
        """Tell whether the pages have been put."""
        state = super().state()
        return Done() if isinstance(state, Done) else state


@attrs.define(eq=False)
class Parting:
    """A pin of a process that has ended, on its way back."""

    task: Task

    def state(self) -> CallState:
        """Tell whether the thread that held the pages has gone; so they are put."""
        return Running() if self.task.thread.is_alive() else Done()


def taken_bytes(bench: Bench, pin: Pin) -> int | None:
    """Tell how many bytes the device holds for a pin; None: no request has come."""
    (taken,) = bench.lab.device.order("taken", pin.name)
    assert taken is None or isinstance(taken, int), f"the device answered {taken!r}"
    return taken
