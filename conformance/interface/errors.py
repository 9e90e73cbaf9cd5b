"""The outcomes of a call other than an answer.

Three kinds, never mixed: a refusal that the contract allows (`KernelError`,
`Signal`), a call that cannot go on now (`WouldBlock`), and everything else, which
is a defect of the implementation and becomes the verdict *crashed*.
"""

from collections.abc import Callable
from enum import Enum


class Errno(Enum):
    """The error numbers that a call may be refused with, by their C names."""

    E2BIG = "E2BIG"
    EACCES = "EACCES"
    EAGAIN = "EAGAIN"
    EBUSY = "EBUSY"
    EEXIST = "EEXIST"
    EFAULT = "EFAULT"
    EFBIG = "EFBIG"
    EINTR = "EINTR"
    EINVAL = "EINVAL"
    EIO = "EIO"
    ENOENT = "ENOENT"
    ENOMEM = "ENOMEM"
    ENOSPC = "ENOSPC"
    EOPNOTSUPP = "EOPNOTSUPP"
    EOVERFLOW = "EOVERFLOW"
    EROFS = "EROFS"


class SignalName(Enum):
    """The signals that a memory access may end in."""

    SIGBUS = "SIGBUS"
    SIGSEGV = "SIGSEGV"


class KernelError(Exception):
    """A call is refused; nothing has changed that its caller could see.

    Allowed where the table of refusals (`refusals.py`) says so.
    """

    def __init__(self, errno: Errno, reason: str = "") -> None:
        super().__init__(f"{errno.value}: {reason}" if reason else errno.value)
        self.errno = errno
        self.reason = reason


class Signal(Exception):  # noqa: N818 - it is not an error of the implementation
    """A load or store ends in a signal instead of an answer."""

    def __init__(self, name: SignalName, reason: str = "") -> None:
        super().__init__(f"{name.value}: {reason}" if reason else name.value)
        self.name = name
        self.reason = reason


class WouldBlock(Exception):  # noqa: N818 - it is not an error of the implementation
    """A real kernel would sleep here (immediate style only).

    `raise WouldBlock(on)`: nothing has changed, call the method again later.
    `raise WouldBlock(on, resume=f)`: the call has begun; call `f()` later. `f` may
    raise `WouldBlock` again.
    """

    def __init__(self, on: str, resume: Callable[[], object] | None = None) -> None:
        super().__init__(on)
        self.on = on
        self.resume = resume
