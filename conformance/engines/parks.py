"""Where a call that is drawn may be parked: at points that calls like it pass.

Interface:
  * `PARKS` has, by operation, what a `DrawnPark` is drawn from; half of the time there
    is none. Operations that are not in it are never parked.
"""

import attrs

from conformance.engines.drawing import Choice
from conformance.interface.points import (
    CLONE,
    CPU,
    FAULT,
    GUP_FAST,
    GUP_SLOW,
    MKWRITE,
    NOTIFIER,
    PUT,
    WRITEBACK,
)


@attrs.frozen
class DrawnPark:
    """Stop a call at a point while the operations that follow run."""

    at: str
    nth: int = 1
    """Which arrival at the point, from 1."""
    operations: int = 1
    """How many of those that follow have settled when it goes on."""


_READ_FAULT = ("fault.page_found", "fault.page_locked", "fault.page_unlocked")
_WRITE_FAULT = (*FAULT, *MKWRITE, "cow.page_copied", "cow.pte_set")
_SLOW = (
    *(*GUP_SLOW, *_WRITE_FAULT),
    *("unshare.page_copied", "longterm.zone_checked", "migrate.page_isolated"),
)
_SUBMIT = WRITEBACK[: WRITEBACK.index("writeback.waiting")]
_WRITE = (*_SUBMIT, "writeback.waiting")
_FSYNC = (*_WRITE, "fsync.started", "fsync.written", "fsync.flushed")
_RECLAIM = tuple(p for p in _SUBMIT if "page_found" not in p and "bounce" not in p)
_INVALIDATE = ("invalidate.started", "invalidate.drained")
_DIRTYING = ("dirty.page_locked", "dirty.flag_set")
_TRUNCATE = ("truncate.size_set", "truncate.unmapped", "truncate.page_removed")
_CLONE, _DEDUPE = (
    tuple(point for point in CLONE if point.startswith(who))
    for who in ("clone.", "dedupe.")
)
_MIRROR = NOTIFIER[: NOTIFIER.index("invalidate.started")]

PASSED: dict[str, tuple[str, ...]] = {
    "load": (CPU[0], *_READ_FAULT),
    "store": (CPU[0], *_WRITE_FAULT),
    "get_user_pages": _SLOW,
    "get_user_pages_fast": (*GUP_FAST, *_SLOW),
    "put_user_pages": ("put.entered", "put.released"),
    "put_user_pages_dirty": PUT,
    "put_user_pages_dirty_lock": (*PUT, *_DIRTYING),
    "set_page_dirty_lock": _DIRTYING,
    "device_complete": (*PUT, *_DIRTYING),
    "device_transfer": (
        *("transfer.pinned", "transfer.written") * 3,
        *(*GUP_SLOW, *MKWRITE, *PUT, *_DIRTYING),
    ),
    "direct_read": (
        *("direct_read.flushed", "direct_read.pinned", "direct_read.written") * 3,
        *(*GUP_SLOW, *MKWRITE, *PUT),
    ),
    "direct_write": (
        *("direct_write.pinned", "direct_write.flushed", "direct_write.invalidated"),
        *("direct_write.captured", "direct_write.mapped", "direct_write.submitted"),
        *("gup_fast.pte_read", "gup_fast.reference_taken", "write.prepared"),
    ),
    **dict.fromkeys(("fsync", "sync", "umount", "freeze"), _FSYNC),
    "writeback": _SUBMIT,
    "reclaim": (
        *("reclaim.page_found", "reclaim.unmapped", "reclaim.page_freed"),
        *(*_RECLAIM, *_INVALIDATE),
    ),
    "read": ("read.page_found", "read.page_locked", "read.page_filled"),
    "write": ("write.page_locked", "write.prepared", "write.copied"),
    "truncate": (*_TRUNCATE, *_INVALIDATE),
    "punch_hole": (*_TRUNCATE[1:], *_INVALIDATE),
    "clone": (*_CLONE, *_WRITE),
    "dedupe": (*_DEDUPE, *_WRITE),
    "mremap": ("mremap.pte_taken", "mremap.pte_moved", *_INVALIDATE),
    **dict.fromkeys(("munmap", "exit"), ("munmap.pte_cleared", *_INVALIDATE)),
    "mprotect": ("mprotect.pte_changed", *_INVALIDATE),
    "fork": ("fork.pte_copied", "fork.page_copied", *_INVALIDATE),
    "dontneed": ("dontneed.pte_cleared", *_INVALIDATE),
    "clear_refs": ("clear_refs.pte_protected", *_INVALIDATE),
    "mirror_read": (*_MIRROR, *_READ_FAULT),
    "mirror_write": (*_MIRROR, *MKWRITE, "fault.pte_set", "fault.page_dirtied"),
    "migrate": (
        *("migrate.page_isolated", "migrate.unmapped"),
        *("migrate.copied", "migrate.remapped", *_INVALIDATE),
    ),
    "merge": ("merge.protected",),
    "pageout": ("pageout.unmapped", "pageout.written", *_RECLAIM, *_INVALIDATE),
    "steal": ("steal.page_locked", "steal.page_removed"),
    "split": ("split.folio_frozen", "split.folio_split"),
}
"""The points that calls of an operation pass, if they get so far."""


def _parks(points: tuple[str, ...]) -> Choice:
    parks = [
        DrawnPark(point, nth, operations)
        for nth, operations in ((1, 1), (1, 2), (2, 1))
        for point in points
    ]
    return Choice((*(None for _ in parks), *parks))


PARKS = {name: _parks(points) for name, points in PASSED.items()}
