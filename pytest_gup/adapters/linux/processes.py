"""Processes that begin by fork(2) and end by a signal.

A process ends as processes do: when its other threads have finished what they are
at. A thread whose pages a device still holds cannot finish, so it stays, in the
kernel, until they are put, and with it the address space; so what the process has
mapped of files is unmapped first. A ring with a buffer registered is handed to the
shell first, which keeps the pages pinned.
"""

import attrs

from conformance.interface import Blocked, Done, Running
from pytest_gup.adapters.linux import wire
from pytest_gup.adapters.linux.bench import Bench, Call, CallState, Mapping, Pin
from pytest_gup.adapters.linux.calls import Process, Task
from pytest_gup.adapters.linux.lab import THREADS


class Processes:
    """fork and exit."""

    bench: Bench

    def fork(self, process: int, child: int) -> Call:
        """Fork a process; the child's threads answer through sockets given to it."""
        bench = self.bench
        pairs = [wire.pair() for _ in range(THREADS)]
        given = tuple(there.fileno() for _, there in pairs)

        def keep(pid: object) -> None:
            assert isinstance(pid, int), f"fork answered {pid!r}"
            bench.lab.adopt(pid)
            ours = [here.detach() for here, _ in pairs]
            bench.processes[child] = Process.join(ours)
            for (owner, number), there in list(bench.mappings.items()):
                if owner == process:
                    bench.mappings[child, number] = there

        call = bench.begin(bench.processes[process], "fork", then=keep, give=given)
        for _, there in pairs:
            there.close()
        return call

    def exit(self, process: int) -> "Exiting":
        """End a process, once its calls have answered; its pins stay."""
        bench = self.bench
        bench.moment += 1
        return Exiting(bench, process, bench.processes.pop(process))


@attrs.define(eq=False)
class Exiting:
    """A process on its way out."""

    bench: Bench
    number: int
    """What the program calls it."""
    process: Process
    unmapping: list[Task] | None = None
    """Calls that take its mappings down; None: not begun."""
    is_quiet: bool = False
    """None of its calls was under way when this was last looked at."""
    is_killed: bool = False
    is_done: bool = False

    def state(self) -> CallState:
        """Tell whether nothing is left of it but threads whose pages are held."""
        if self.is_done:
            return Done()
        if not self.is_killed and self._is_busy():
            return Blocked("the calls of its threads")
        if not self._is_gone():
            return Running()
        self.is_done = True
        self.bench.moment += 1
        return Done()

    def _is_gone(self) -> bool:
        """Unmap its files, kill it, and tell whether that has taken effect."""
        if not self._has_unmapped():
            return False
        if not self.is_killed:
            self._kill()
        pins = {pin.task.thread.number for pin in self._pins() if pin.task is not None}
        return all(thread.number in pins for thread in self.process.living())

    def _has_unmapped(self) -> bool:
        """Have files unmapped, where a thread stays, which would keep them in use."""
        if self.unmapping is None:
            stays = any(pin.task is not None for pin in self._pins())
            size = self.bench.geometry.page_size_bytes
            self.unmapping = [
                self.process.start("munmap", mapping.address, mapping.pages * size)
                for mapping in (self._mappings().values() if stays else ())
                if mapping.file is not None
            ]
        return all(task.answer(0) is not None for task in self.unmapping)

    def _mappings(self) -> dict[tuple[int, int], Mapping]:
        """Tell its mappings; a new process of this number has its own."""
        bench = self.bench
        is_mine = self.number not in bench.processes
        return {
            k: m for k, m in bench.mappings.items() if is_mine and k[0] == self.number
        }

    def _pins(self) -> list[Pin]:
        pins = self.bench.pins.values()
        return [pin for pin in pins if pin.process == self.number]

    def _is_busy(self) -> bool:
        held = [pin.task for pin in self._pins()]
        self.bench.tasks = [one for one in self.bench.tasks if one.answer(0) is None]
        was_quiet, self.is_quiet = (
            self.is_quiet,
            not any(
                task.owner is self.process and task not in held
                for task in self.bench.tasks
            ),
        )
        # What has just answered is told first; it is asked for before this again.
        is_telling = any(one.task.owner is self.process for one in self.bench.resting)
        return not (was_quiet and self.is_quiet) or is_telling

    def _kill(self) -> None:
        self.is_killed = True
        for pin in self._pins():
            if pin.task is None:
                self._hand_over(pin)
            else:
                pin.is_orphan = True
        owned = [one for one in self.bench.tasks if one.owner is self.process]
        self.bench.tasks = [one for one in self.bench.tasks if one not in owned]
        self._forget_mappings()
        self.process.kill()

    def _forget_mappings(self) -> None:
        """Strike out its mappings; a call that has ended late may have made some."""
        for key in self._mappings():
            del self.bench.mappings[key]

    def _hand_over(self, pin: Pin) -> None:
        """Give the ring of a pin to the shell."""
        assert pin.ring is not None, f"ring {pin.name} has no buffer"
        self.bench.has_ended_rings = True
        bench, process = self.bench, self.process.number
        found = bench.shell.ask("ring_adopt", process, int(pin.name), *pin.ring)
        pin.name, pin.process = str(found), SHELL


SHELL = -1
"""Stands for the shell where the number of a process is expected."""
