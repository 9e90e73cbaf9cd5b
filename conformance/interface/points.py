"""The names of the places where a stepped call may be preempted.

A stepped stack yields `Step` with one of these names, as many of them as it has.
A program can park a call at the n-th time that it reaches a point, let others run,
and let it go on. Names are `who.what`, in the order in which they are met.
"""

GUP_FAST = (
    "gup_fast.pte_read",
    "gup_fast.reference_taken",
    "gup_fast.pte_checked",
    "gup_fast.backed_off",
    "gup_fast.page_granted",
)
GUP_SLOW = (
    "gup_slow.vma_checked",
    "gup_slow.pte_read",
    "gup_slow.faulting",
    "gup_slow.faulted",
    "gup_slow.reference_taken",
    "gup_slow.page_granted",
)
FAULT = (
    "fault.page_found",
    "fault.page_locked",
    "fault.mkwrite_called",
    "fault.mkwrite_returned",
    "fault.pte_set",
    "fault.page_dirtied",
    "fault.page_unlocked",
)
MKWRITE = (
    "mkwrite.entered",
    "mkwrite.page_locked",
    "mkwrite.revalidated",
    "mkwrite.stable",
    "mkwrite.thawed",
    "mkwrite.prepared",
)
CPU = ("cpu.pte_checked", "cpu.accessed")
WRITEBACK = (
    "writeback.page_found",
    "writeback.page_locked",
    "mkclean.entered",
    "mkclean.pte",
    "mkclean.done",
    "writeback.pin_asked",
    "writeback.dirty_cleared",
    "writeback.started",
    "writeback.bounce_captured",
    "writeback.submitted",
    "writeback.page_unlocked",
    "writeback.waiting",
    "writeback.ended",
)
DISK = (
    "disk.request_taken",
    "disk.captured",
    "disk.written",
    "disk.flushed",
)
DIRTY = (
    "dirty.page_locked",
    "dirty.mapping_read",
    "dirty.buffers_attached",
    "dirty.flag_set",
)
PUT = ("put.entered", "put.dirty_checked", "put.dirtied", "put.released")
FILE = (
    "read.page_found",
    "read.page_locked",
    "read.page_filled",
    "write.page_locked",
    "write.prepared",
    "write.copied",
    "truncate.size_set",
    "truncate.unmapped",
    "truncate.page_removed",
    "fsync.started",
    "fsync.written",
    "fsync.flushed",
)
ADDRESS_SPACE = (
    "mremap.pte_taken",
    "mremap.pte_moved",
    "munmap.pte_cleared",
    "fork.pte_copied",
    "mprotect.pte_changed",
)
RECLAIM = (
    "reclaim.page_found",
    "reclaim.unmapped",
    "reclaim.buffers_released",
    "reclaim.page_freed",
)
DIRECT_IO = (
    "direct_read.flushed",
    "direct_read.pinned",
    "direct_read.written",
    "direct_write.pinned",
    "direct_write.flushed",
    "direct_write.invalidated",
    "direct_write.captured",
    "direct_write.mapped",
    "direct_write.submitted",
    "direct_write.landed",
    "transfer.pinned",
    "transfer.written",
)

ANON = (
    "cow.page_copied",
    "cow.pte_set",
    "unshare.page_copied",
    "fork.page_copied",
    "dontneed.pte_cleared",
    "clear_refs.pte_protected",
)
NOTIFIER = (
    "notifier.sequence_read",
    "notifier.pte_found",
    "notifier.sequence_checked",
    "notifier.mirror_set",
    "mirror.started",
    "mirror.accessed",
    "invalidate.started",
    "invalidate.drained",
    "invalidate.ended",
)
CLONE = (
    "clone.locked",
    "clone.written",
    "clone.page_captured",
    "clone.extent_shared",
    "dedupe.locked",
    "dedupe.compared",
    "dedupe.extent_shared",
)
MIGRATE = (
    "migrate.page_isolated",
    "migrate.unmapped",
    "migrate.pin_asked",
    "migrate.copied",
    "migrate.remapped",
    "longterm.zone_checked",
    "merge.protected",
    "merge.compared",
    "merge.pte_replaced",
    "pageout.unmapped",
    "pageout.written",
    "steal.page_locked",
    "steal.page_removed",
    "split.folio_frozen",
    "split.folio_split",
)

POINTS: tuple[str, ...] = (
    *GUP_FAST,
    *GUP_SLOW,
    *FAULT,
    *MKWRITE,
    *CPU,
    *WRITEBACK,
    *DISK,
    *DIRTY,
    *PUT,
    *FILE,
    *ADDRESS_SPACE,
    *RECLAIM,
    *DIRECT_IO,
    *ANON,
    *NOTIFIER,
    *CLONE,
    *MIGRATE,
)
