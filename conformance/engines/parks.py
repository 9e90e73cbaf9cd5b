"""Where a call that is drawn may be parked: at points that calls like it pass.

Interface:
  * `PARKS` has, by operation, what a `Park` is drawn from; half of the time there is
    none. Operations that are not in it are never parked.
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
class Park:
    """Stop a call at a point while the operations that follow run."""

    at: str
    nth: int = 1
    """Which arrival at the point, from 1."""
    operations: int = 1
    """How many of those that follow have settled when it goes on."""


_COW = ("cow.page_copied", "cow.pte_set", "unshare.page_copied")
_FAULTS = (*FAULT, *MKWRITE, *_COW)
_SLOW = (*GUP_SLOW, *_FAULTS, "longterm.zone_checked", "migrate.page_isolated")
_FSYNC = (*WRITEBACK, "fsync.started", "fsync.written", "fsync.flushed")
_INVALIDATE = ("invalidate.started", "invalidate.drained")
_DIRTYING = ("dirty.page_locked", "dirty.flag_set")
_TRUNCATE = ("truncate.size_set", "truncate.unmapped", "truncate.page_removed")
_CLONE, _DEDUPE = (
    tuple(point for point in CLONE if point.startswith(who))
    for who in ("clone.", "dedupe.")
)
_MIRROR = (*NOTIFIER[:6], *FAULT)

PASSED: dict[str, tuple[str, ...]] = {
    "load": (*CPU, *FAULT, *_COW),
    "store": (*CPU, *_FAULTS),
    "get_user_pages": _SLOW,
    "get_user_pages_fast": (*GUP_FAST, *_SLOW),
    **dict.fromkeys(("put_user_pages", "put_user_pages_dirty"), PUT),
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
        *(*GUP_FAST, "write.prepared"),
    ),
    **dict.fromkeys(("fsync", "sync", "umount", "freeze"), _FSYNC),
    "writeback": WRITEBACK,
    "reclaim": (
        *("reclaim.page_found", "reclaim.unmapped", "reclaim.page_freed"),
        *(*WRITEBACK[1:9], *_INVALIDATE),
    ),
    "read": ("read.page_found", "read.page_locked", "read.page_filled"),
    "write": ("write.page_locked", "write.prepared", "write.copied"),
    "truncate": (*_TRUNCATE, *_INVALIDATE),
    "punch_hole": (*_TRUNCATE[1:], *_INVALIDATE),
    "clone": (*_CLONE, *WRITEBACK),
    "dedupe": (*_DEDUPE, *WRITEBACK),
    "mremap": ("mremap.pte_taken", "mremap.pte_moved", *_INVALIDATE),
    **dict.fromkeys(("munmap", "exit"), ("munmap.pte_cleared", *_INVALIDATE)),
    "mprotect": ("mprotect.pte_changed", *_INVALIDATE),
    "fork": ("fork.pte_copied", "fork.page_copied", *_INVALIDATE),
    "dontneed": ("dontneed.pte_cleared", *_INVALIDATE),
    "clear_refs": ("clear_refs.pte_protected", *_INVALIDATE),
    "mirror_read": _MIRROR,
    "mirror_write": (*_MIRROR, *MKWRITE),
    "migrate": (
        *("migrate.page_isolated", "migrate.unmapped"),
        *("migrate.copied", "migrate.remapped", *_INVALIDATE),
    ),
    "merge": ("merge.protected", "merge.compared", "merge.pte_replaced", *_INVALIDATE),
    "pageout": ("pageout.unmapped", "pageout.written", *WRITEBACK[1:9], *_INVALIDATE),
    "steal": ("steal.page_locked", "steal.page_removed"),
    "split": ("split.folio_frozen", "split.folio_split"),
}
"""The points that calls of an operation pass, if they get so far."""


def _parks(points: tuple[str, ...]) -> Choice:
    parks = [
        Park(point, nth, operations)
        for nth, operations in ((1, 1), (1, 2), (2, 1))
        for point in points
    ]
    return Choice((*(None for _ in parks), *parks))


PARKS = {name: _parks(points) for name, points in PASSED.items()}
