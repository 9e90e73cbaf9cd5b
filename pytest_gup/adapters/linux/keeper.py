"""The keeper of the lab: the process that makes things, and takes them away again.

It lives in a mount namespace of its own, with the folder of the run, the loop device
and the mounts. Its master is the process that runs the tests: when that ends, however
it ends, the keeper reads the end of its orders and takes everything down. When the
keeper is killed as well, the workers die with it, their namespace goes, and with it
mount, loop device and FUSE, in that order; for the servers live outside of the
namespace, and end when they are unmounted.

Orders, each answered by `("done", answer)` or `("failed", errno, text)`:
  * `boot, filesystem, file_bytes, stable_writes`: file 0, mounted; where, on which
    device. Waits while a stack of another lab is up on this machine.
  * `offers, filesystem`: what this machine and a filesystem on it can do.
  * `spawn, threads`: a new process; its sockets.
  * `adopt, pid`: a process that a worker has forked belongs to the run.
  * `note_settings`, `restore_settings`: before and after settings of the machine are
    changed.
  * `power_cut`: all files on a copy of the disk.
  * `unboot`: take down what `boot` and `spawn` made.

An order that hangs in the kernel hangs the keeper; see `guard.py` for how it ends.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from pytest_gup.adapters.linux import (
    fuse,
    guard,
    kernel,
    offers,
    runfolder,
    server,
    wire,
    worker,
)
from pytest_gup.adapters.linux.device import Device
from pytest_gup.adapters.linux.disk import Disk
from pytest_gup.adapters.linux.filesystems import FILESYSTEMS
from pytest_gup.adapters.linux.identity import Identity
from pytest_gup.adapters.linux.master import Master
from pytest_gup.adapters.linux.volume import Volume, Volumes

PR_SET_CHILD_SUBREAPER = 36
TEAR_DOWN_SECONDS = 30
"""After this long the FUSE connections are aborted, so that nothing hangs."""
COUNTERS, QUEUE = "/proc/vmstat", "/proc/stat"
"""What is locked by the lab that has a stack, and by the one that is next."""
SERVERS: dict[str, type[server.Actor]] = {"disk": Disk, "device": Device}


def main(end: int) -> None:
    """Keep a lab for the process at the other end of this socket."""
    orders = socket.socket(fileno=end)
    signal.signal(signal.SIGTERM, _leave)
    try:
        keeper = Keeper(orders)
    except OSError as error:
        wire.send(orders, ("failed", error.errno, str(error)))
        sys.exit(1)
    try:
        keeper.serve()
    finally:
        keeper.take_down()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


class Keeper:
    """Everything that exists outside of the process that runs the tests."""

    def __init__(self, orders: socket.socket) -> None:
        self.orders = orders
        self.outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        kernel.name_process("gup-keeper")
        worker.prepare_heap()
        kernel.leave_mount_namespace()
        kernel.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        runfolder.mount_connections()
        runfolder.clean_leftovers()
        self.folder = runfolder.RunFolder.make()
        for name in (*SERVERS, "stack", "copy"):
            (self.folder.path / name).mkdir()
        self.masters: dict[str, Master] = {}
        self.workers: list[Identity] = []
        self.volume: Volume | None = None
        self.is_broken = False
        self.counters, self.queue = (
            os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (COUNTERS, QUEUE)
        )
        given = [self._start(name) for name in SERVERS]
        self.guard = guard.start(orders, self.folder.abort_connections)
        self.volumes = Volumes(self.folder.path, self.masters["disk"])
        self.machine = offers.of_machine()
        self.plain_orders: dict[str, Callable[[], object]] = {
            "note_settings": self.folder.note_settings,
            "restore_settings": self.folder.restore_settings,
            "power_cut": self.power_cut,
            "unboot": self.unboot,
        }
        disk = next(iter(self.folder.connections))
        wire.send(orders, ("done", str(self.folder.path), disk), tuple(given))
        for descriptor in given:
            os.close(descriptor)

    # --- life --------------------------------------------------------------------

    def serve(self) -> None:
        """Carry out orders until there is nobody to give them."""
        while not self.is_broken:
            message = wire.receive(self.orders)
            if message is None:
                return
            try:
                answer, given = self.order(message)
            except OSError as error:
                wire.send(self.orders, ("failed", error.errno, str(error)))
                continue
            wire.send(self.orders, ("done", answer), given)
            for descriptor in given:
                os.close(descriptor)

    def order(self, message: wire.Message) -> tuple[object, tuple[int, ...]]:
        """Carry out one order; return its answer, and descriptors."""
        answer: object = None
        given: tuple[int, ...] = ()
        match message:
            case ("boot", str(name), int(file_bytes), bool(stable)):
                answer = self.boot(name, file_bytes, stable_writes=stable)
            case ("spawn", int(threads)):
                given = self.spawn(threads)
            case ("adopt", int(pid)):
                self.workers.append(self.folder.note_process(pid))
            case (str(name),) if name in self.plain_orders:
                answer = self.plain_orders[name]()
            case ("offers", str(name)):
                answer = self.offers(name)
            case _:
                raise AssertionError(f"the keeper has no order {message!r}")
        return answer, given

    def take_down(self) -> None:
        """Take everything down, in order; what hangs is aborted."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for end in (self.unboot, self.folder.put_settings_back):
            with contextlib.suppress(OSError):
                end()
        for name in SERVERS:
            with contextlib.suppress(OSError):
                kernel.unmount(str(self.folder.path / name))
        for master in self.masters.values():
            master.end.close()
        for process in self.folder.processes[1:]:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
        os.kill(self.guard, signal.SIGKILL)
        os.waitpid(self.guard, 0)
        self.folder.remove()

    # --- orders ------------------------------------------------------------------

    def offers(self, name: str) -> list[str]:
        """Tell what this machine and a filesystem on it can do."""
        return sorted(self.machine | self.volumes.offers(FILESYSTEMS[name]))

    def power_cut(self) -> object:
        """Read all files on a copy of the disk."""
        assert self.volume is not None, "nothing is booted"
        return self.volume.power_cut()

    def boot(
        self, name: str, file_bytes: int, *, stable_writes: bool
    ) -> tuple[str, str]:
        """Mount a fresh filesystem; answer where, and on which device."""
        assert self.volume is None, "something is booted already"
        self._wait_for_machine()
        filesystem = FILESYSTEMS[name]
        self.masters["device"].order("open")
        self.volume = self.volumes.mount(
            filesystem, file_bytes, stable_writes=stable_writes
        )
        return str(self.volume.path), self.volume.device or ""

    def _wait_for_machine(self) -> None:
        """Wait until no other lab has a stack: the counters of pins are the machine's.

        A lab that boots again and again would be first each time; so whoever is next
        keeps the others from asking.
        """
        fcntl.flock(self.queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(self.counters, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self.queue, fcntl.LOCK_UN)

    def spawn(self, threads: int) -> tuple[int, ...]:
        """Start a worker; answer the sockets of its threads."""
        pairs = [wire.pair() for _ in range(threads)]
        pid = os.fork()
        if pid == 0:
            worker.main([there.detach() for _, there in pairs])
        for _, there in pairs:
            there.close()
        self.workers.append(self.folder.note_process(pid))
        return tuple(here.detach() for here, _ in pairs)

    def unboot(self) -> None:
        """Let go of everything that is held, end the workers, unmount.

        What hangs nevertheless is ended by aborting the connections; then this lab
        is of no more use, and ends.
        """
        signal.signal(signal.SIGALRM, self._abort)
        signal.setitimer(signal.ITIMER_REAL, TEAR_DOWN_SECONDS, 1)
        try:
            self._unboot()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _abort(self, number: int, frame: FrameType | None) -> None:
        self.is_broken = True
        self.folder.abort_connections()

    def _unboot(self) -> None:
        for name, order in (("disk", "release"), ("device", "close")):
            with contextlib.suppress(OSError):
                self.masters[name].order(order)
        if self.volume is not None:
            self.volume.thaw()
        workers, self.workers = self.workers, []
        for process in workers:
            process.kill()
        for process in workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
        self.folder.forget_processes(workers)
        self.folder.put_settings_back()
        # A freeze that waited for the disk may have come true meanwhile; what is
        # unmounted while frozen stays for ever.
        if self.volume is not None:
            self.volume.thaw()
        volume, self.volume = self.volume, None
        if volume is not None:
            volume.unmount()
        fcntl.flock(self.counters, fcntl.LOCK_UN)

    # --- servers -----------------------------------------------------------------

    def _start(self, name: str) -> int:
        """Start a server; answer a socket for orders."""
        path = str(self.folder.path / name)
        descriptor = fuse.connect(path, f"pytest-gup-{name}")
        ours, ours_there = wire.pair()
        theirs, theirs_there = wire.pair()
        pid = os.fork()
        if pid == 0:
            self._serve(name, descriptor, [ours_there, theirs_there])
        for end in (ours_there, theirs_there):
            end.close()
        os.close(descriptor)
        identity = self.folder.note_process(pid)
        number = runfolder.connection_number(path)
        self.folder.note_connection(number, identity)
        self.masters[name] = Master(ours)
        return theirs.detach()

    def _serve(self, name: str, descriptor: int, ends: list[socket.socket]) -> None:
        """Be a server; does not return."""
        try:
            kernel.call("setns", self.outside, kernel.CLONE_NEWNS)
            keep = {0, 1, 2, descriptor, *(end.fileno() for end in ends)}
            worker.close_all_but(keep)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            actor = SERVERS[name](fuse.Connection(descriptor))
            server.run(actor, ends, f"gup-{name}")
        except BaseException:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        finally:
            os._exit(0)
