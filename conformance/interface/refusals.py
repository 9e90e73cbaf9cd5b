"""The table of refusals: which errors an operation may be refused with.

A refusal outside this table is a defect of the implementation (*crashed*). One
inside it is a legal answer, though a rule may still object to it.
"""

from conformance.interface.errors import Errno, KernelError, Signal, SignalName
from conformance.interface.operations import Operation

_SPACE = frozenset({Errno.ENOSPC, Errno.ENOMEM, Errno.EIO, Errno.EFBIG})
_PIN = frozenset(
    {
        Errno.EFAULT,
        Errno.ENOMEM,
        Errno.EINVAL,
        Errno.EINTR,
        Errno.EAGAIN,
        Errno.EOPNOTSUPP,
        Errno.EOVERFLOW,
        Errno.EBUSY,
        Errno.E2BIG,
    }
)
_DIRECT = _SPACE | _PIN
_BUSY = frozenset({Errno.EBUSY, Errno.ENOMEM, Errno.EIO, Errno.ENOSPC, Errno.EINVAL})
_MAP = frozenset({Errno.ENOMEM, Errno.EACCES, Errno.EINVAL, Errno.EAGAIN})
_SHARE = _SPACE | _BUSY | {Errno.EOPNOTSUPP, Errno.EAGAIN}
_MOVE = _BUSY | {Errno.EAGAIN, Errno.EFAULT, Errno.EOPNOTSUPP}
_MIRROR = _PIN | _SPACE
_ACCESS = frozenset(SignalName)

ERRNOS: dict[str, frozenset[Errno]] = {
    "create": _SPACE,
    "read": frozenset({Errno.EIO, Errno.ENOMEM}),
    "write": _SPACE,
    "truncate": _SPACE | _BUSY,
    "punch_hole": _SPACE | _BUSY,
    "fsync": _SPACE,
    "sync": _SPACE,
    "writeback": _SPACE,
    "evict": frozenset({Errno.EBUSY}),
    "unlink": frozenset({Errno.EBUSY, Errno.EIO}),
    "umount": _BUSY,
    "mount": frozenset({Errno.EIO, Errno.ENOMEM, Errno.EBUSY}),
    "freeze": _BUSY,
    "thaw": frozenset({Errno.EINVAL}),
    "fill_disk": frozenset({Errno.EIO}),
    "free_disk": frozenset({Errno.EIO}),
    "mmap": _MAP,
    "munmap": _MAP,
    "mprotect": _MAP,
    "mremap": _MAP,
    "fork": _MAP,
    "get_user_pages": _PIN,
    "get_user_pages_fast": _PIN,
    "put_user_pages": frozenset({Errno.EINVAL}),
    "put_user_pages_dirty": frozenset({Errno.EINVAL}),
    "put_user_pages_dirty_lock": frozenset({Errno.EINVAL}),
    "put_user_page": frozenset({Errno.EINVAL}),
    "put_page": frozenset({Errno.EINVAL}),
    "direct_read": _DIRECT,
    "direct_write": _DIRECT,
    "device_transfer": _DIRECT,
    "clone": _SHARE,
    "dedupe": _SHARE,
    "dontneed": _MAP | {Errno.EBUSY},
    "clear_refs": _MAP,
    "attach": _MIRROR,
    "detach": frozenset({Errno.EINVAL}),
    "mirror_write": _MIRROR,
    "mirror_read": _MIRROR,
    "reclaim": _SPACE,
    "pageout": _SPACE | _MOVE,
    "migrate": _MOVE,
    "merge": _MOVE,
    "steal": _MOVE,
    "split": _MOVE,
}
"""Allowed error numbers by operation; an operation not listed may not be refused."""

SIGNALS: dict[str, frozenset[SignalName]] = {"load": _ACCESS, "store": _ACCESS}
"""Allowed signals by operation."""


def is_allowed(operation: Operation, error: BaseException) -> bool:
    """Tell whether the contract allows this outcome of this operation."""
    if isinstance(error, KernelError):
        return error.errno in ERRNOS.get(operation.name, frozenset())
    if isinstance(error, Signal):
        return error.name in SIGNALS.get(operation.name, frozenset())
    return False
