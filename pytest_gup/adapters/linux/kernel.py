"""System calls that Python's standard library does not have.

Interface:
  * `call(name, *arguments)` calls a function of the C library and raises OSError
    where it answers -1. Arguments are integers, bytes or None.
  * `mount`, `unmount`, `leave_mount_namespace`, `lock_memory`, `die_with_parent`
    are what their names say.
"""

import contextlib
import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x20000
MCL_CURRENT = 1
MCL_FUTURE = 2
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_IO_FLUSHER = 57

LONG = frozenset({"mmap", "mremap", "read", "write", "pread64", "pwrite64", "syscall"})
"""Functions that answer a long, a size or an address; others answer an int."""

Argument = int | bytes | None


def call(name: str, *arguments: Argument) -> int:
    """Call a function of the C library with integers and byte strings.

    Raises:
        OSError: it answered -1.
    """
    function = LIBC[name]
    function.restype = ctypes.c_long if name in LONG else ctypes.c_int
    answer: int = function(*[_widened(argument) for argument in arguments])
    if answer == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return answer


def mount(
    source: str, target: str, fstype: str, flags: int = 0, options: str = ""
) -> None:
    """Mount a filesystem."""
    try:
        call(
            "mount",
            source.encode(),
            target.encode(),
            fstype.encode(),
            flags,
            options.encode(),
        )
    except OSError as error:
        error.strerror = f"mounting {fstype} at {target} failed: {error.strerror}"
        raise


def unmount(target: str, flags: int = 0) -> None:
    """Unmount what is mounted at `target`."""
    call("umount2", target.encode(), flags)


def leave_mount_namespace() -> None:
    """Give this process mounts of its own, which nobody else sees."""
    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def lock_memory(*, future: bool) -> None:
    """Keep the memory of this process from being paged out."""
    call("mlockall", MCL_CURRENT | (MCL_FUTURE if future else 0))


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the parent process ends."""
    call("prctl", PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def name_process(name: str) -> None:
    """Give this process a name that `ps` shows; 15 characters."""
    call("prctl", PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def become_io_flusher() -> None:
    """Tell memory reclaim that block writes depend on this process, if we may.

    It takes CAP_SYS_RESOURCE, which root in a container may lack. Without it the
    lab works as long as the machine is not out of memory.
    """
    with contextlib.suppress(PermissionError):
        call("prctl", PR_SET_IO_FLUSHER, 1, 0, 0, 0)


def go_first() -> None:
    """Have this thread win over the workers of the kernel, if we may.

    What a call promises has to hold when it answers, not when the kernel has got
    round to the rest. Whether the rest is quicker would be chance otherwise: with
    this, the same program has the same outcome.

    So do the threads that it starts, and the processes.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _widened(argument: Argument) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
