"""Where the reference meets each rule: the line that matters, by the rule's id.

For readers who come from a rule and want to see how it is done. docs/rules.md links
here; a test holds that no rule is missing and that every function named exists.

Interface:
  * `ANSWERS[id]` are the functions, the most important first.
"""

from collections.abc import Callable

from reference_impl.advice import Advice
from reference_impl.blockdev import Disk
from reference_impl.clone import Sharing
from reference_impl.counters import Counters
from reference_impl.cow import Cow
from reference_impl.direct_io import DirectIo
from reference_impl.direct_write import DirectWrites
from reference_impl.dirty import Dirty
from reference_impl.dma import Devices
from reference_impl.fault import Fault
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.folio import Folios
from reference_impl.fork import ForkCopy
from reference_impl.gup import Grab, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.ksm import Ksm
from reference_impl.memory import Memory
from reference_impl.migrate import Migration
from reference_impl.mirror import Mirrors
from reference_impl.mm import Mm
from reference_impl.mounts import Mounts
from reference_impl.notifier import Notifiers
from reference_impl.pagecache import PageCache
from reference_impl.pagetable import PageTables
from reference_impl.reclaim import Reclaim
from reference_impl.rmap import Rmap
from reference_impl.space import Space
from reference_impl.steal import Thief
from reference_impl.swap import Swap
from reference_impl.throttle import Throttle
from reference_impl.writeback import Writeback

Function = Callable[..., object]

ANSWERS: dict[str, tuple[Function, ...]] = {
    # --- page_mkwrite
    "MKW-EVERY": (Fault.map_for_write, Filesystem.page_mkwrite),
    "MKW-DEVICE": (Writeback.may_clear_dirty, Mirrors.fault_in),
    "MKW-ORDER": (Fault.finish_mkwrite,),
    "MKW-RETLOCK": (Filesystem.lock_for_write,),
    "MKW-TRUNC": (Filesystem.is_valid,),
    "MKW-RANGE": (Filesystem.cut, Files.zero_last_page),
    "MKW-FAIL": (Filesystem.page_mkwrite,),
    "MKW-RESERVE": (Filesystem.prepare_dirty, Filesystem.blocks_wanted),
    "MKW-UNRESERVE": (Space.unreserve, Filesystem.orphan),
    "MKW-MTIME": (Filesystem.update_mtime,),
    "MKW-FREEZE": (Filesystem.must_wait_for_thaw,),
    "MKW-RO-GUP": (GupSlow.access,),
    "MKW-NOTRACK": (Fault.map_page,),
    "MKW-PRIVATE-MAP": (Cow.copy,),
    "MKW-PRIVATE-STATE": (PageCache.attach_buffers,),
    "MKW-SWAPFILE": (Filesystem.page_mkwrite,),
    # --- get_user_pages against writeback
    "GWB-NEVER": (Grab.must_wait, Filesystem.must_wait_for_writeback),
    "GWB-FAST-RECHECK": (GupFast.recheck,),
    "GWB-FAST-ORDER": (GupFast.try_page, Writeback.write_page),
    "GWB-BACKOFF-CLEAN": (GupFast.back_off,),
    "GWB-SLOW-RETRY": (GupSlow.follow_after_fault,),
    "GWB-WRITEBIT": (Grab.may_use, Grab.may_force),
    "GWB-READ-OK": (Grab.must_wait,),
    "GWB-NOSLEEP": (GupSlow.access, PageCache.wait_writeback),
    "GWB-REDIRTY-DURING": (PageCache.end_writeback,),
    "GWB-FAST-WINDOW": (Writeback.maybe_pinned,),
    "GWB-LOCKHELD": (Mm.munmap,),
    # --- cleaning
    "WB-PROTECT": (Rmap.page_mkclean,),
    "WB-WALK": (Rmap.bar_walk, Mm.mremap),
    "WB-PTEDIRTY": (Rmap.clean_pte, Writeback.protect),
    "WB-LOCK": (Writeback.write_page,),
    "WB-SINGLE": (Writeback.lock_for_writing,),
    "WB-SKIP": (Writeback.skips_pinned,),
    "WB-RECLAIM": (Reclaim.may_strip, Reclaim.may_free),
    "WB-ERROR": (Writeback.end_io, Writeback.make_durable),
    "WB-UPTODATE": (Filesystem.find_page,),
    # --- stable content, bounce pages
    "STB-CPU": (Filesystem.must_wait_for_writeback,),
    "STB-PINNED": (Writeback.make_bounce, Writeback.capture),
    "STB-CAPTURE-ONCE": (Writeback.capture, Writeback.checksum),
    "BNC-KEEPDIRTY": (Writeback.may_clear_dirty,),
    "BNC-FSYNC": (Writeback.fsync,),
    "BNC-RESERVE": (Writeback.renew_promise, Filesystem.data_landed),
    "BNC-EOF": (Writeback.capture, Filesystem.cut),
    "BNC-ERR": (Writeback.make_bounce, Filesystem.data_lost),
    "BNC-COMPLETE": (Writeback.end_io,),
    # --- dirtying
    "DRT-AFTER": (DirectIo.put, Devices.put_slots),
    "DRT-LOCK": (Dirty.set_page_dirty_lock,),
    "DRT-SKIP-IF-DIRTY": (Dirty.may_skip,),
    "DRT-ORPHAN": (PageCache.mark_dirty,),
    "DRT-BUFFERS": (Dirty.set_page_dirty, Reclaim.may_strip),
    "DRT-ACCT": (PageCache.mark_dirty, PageCache.clear_dirty_for_io),
    "DRT-ITERBVEC": (DirectIo.put,),
    "DRT-COMPOUND": (PageCache.mark_dirty,),
    "DRT-READPIN": (DirectIo.put_clean,),
    "DRT-FLUSH": (Writeback.flush, Disk.flush),
    "DRT-FSYNC": (Writeback.make_durable,),
    # --- references
    "REF-BALANCE": (Devices.put_slots,),
    "REF-NOTINTERCHANGEABLE": (Devices.take_slot,),
    "REF-BIAS": (Memory.pin, Memory.pin_worth),
    "REF-QUERY": (Memory.maybe_dma_pinned,),
    "REF-FALSEPOS": (Memory.maybe_dma_pinned, Writeback.skips_pinned),
    "REF-NEG": (Memory.maybe_dma_pinned,),
    "REF-OVERFLOW": (Memory.has_room,),
    "REF-COMPOUND": (Memory.pin, Memory.unpin),
    "REF-STABLEHEAD": (GupFast.is_stable,),
    "REF-FREE": (Memory.drop,),
    "REF-STATBEFOREPUT": (Grab.release,),
    "REF-ZERO": (Grab.take, Grab.release),
    "REF-PARTIAL": (Devices.get_pages,),
    "REF-ERRNPAGES": (Devices.slots,),
    "REF-NULLSKIP": (Devices.put_slots,),
    "REF-VALIDFLAGS": (Devices.grant,),
    "REF-EXTRA-PIN": (Memory.pin,),
    "REF-DAX": (),
    "REF-TOUCH": (),
    # --- counters
    "CNT-BAL": (Counters.count_returned,),
    "CNT-BACKOFF": (Counters.count_backoff,),
    "CNT-MONO": (Counters.vmstat,),
    "CNT-OVERFLOW": (Counters.count_overflow,),
    "CNT-FAIL0": (GupSlow.check_vma,),
    "CNT-MODERN": (Counters.count_slow, Counters.count_returned),
    # --- long-term pins
    "LT-REFUSE": (GupSlow.refuses_longterm,),
    "LT-RO": (Grab.must_unshare,),
    "LT-DAX": (),
    "LT-ZONE": (Devices.must_settle, Migration.settle),
    "LT-NOMOVE": (Migration.may_move, Ksm.may_share),
    "LT-MEMLOCK": (Devices.uncharge,),
    "LT-SECRETMEM": (GupSlow.allows,),
    "LT-HOTPLUG": (),
    "INV-STEAL": (Thief.may_steal,),
    # --- snapshots
    "SNAP-ISOLATE": (Sharing.make_clone, Sharing.copy),
    "SNAP-RESERVE": (Sharing.copy, Filesystem.blocks_wanted),
    "SNAP-INHIBIT-SCOPE": (Sharing.refuse_busy,),
    "SNAP-FALSEPOS": (Sharing.is_busy,),
    "SNAP-DEDUPE": (Sharing.dedupe_locked,),
    "SNAP-ENCRYPT": (Writeback.capture, Filesystem.encrypt),
    # --- anonymous memory
    "ANON-FORK-COPY": (ForkCopy.must_copy,),
    "ANON-FORK-SEQ": (GupFast.is_same_seq, ForkCopy.keep_gup_fast_off),
    "ANON-FORK-FILE": (ForkCopy.is_own,),
    "ANON-FORK-SNAPSHOT": (ForkCopy.protect, ForkCopy.copy_page),
    "ANON-EXCL": (ForkCopy.share, Ksm.share),
    "ANON-UNSHARE": (Grab.must_unshare, Cow.copy),
    "ANON-WRITEREUSE": (Cow.may_reuse,),
    "ANON-NOWP": (Advice.may_protect,),
    "ANON-NOSWAP": (Swap.may_move,),
    "ANON-FORCE": (Grab.may_force, GupSlow.allows),
    "ANON-ISOLATION": (Cow.may_reuse,),
    "ANON-DONTNEED": (Advice.give_up,),
    # --- notifiers
    "MMU-NOPIN": (Mirrors.attach,),
    "MMU-ORDER": (Notifiers.invalidate_start, Mirrors.drain),
    "MMU-SEQ": (Notifiers.read_retry, Mirrors.take_over),
    "MMU-DOWNGRADE": (Mirrors.downgrade, Rmap.announce_clean),
    "MMU-DIRTY": (Mirrors.carry_dirty,),
    "MMU-NONBLOCK": (Notifiers.invalidate_start,),
    "MMU-FORKCOW": (Cow.announce_copy,),
    "MMU-MIXED": (Devices.grant,),
    # --- direct I/O
    "DIO-BUF-WRITE": (DirectIo.direct_read,),
    "DIO-BUF-READ": (DirectWrites.make_copy,),
    "DIO-NOSYNC": (DirectIo.direct_write,),
    "DIO-INV-BEFORE": (DirectWrites.make_way,),
    "DIO-INV-AFTER": (DirectWrites.invalidate_again,),
    "DIO-READ-FLUSH": (DirectIo.flush,),
    "DIO-SELF": (DirectIo.pin_buffer,),
    "DIO-PARTIAL": (DirectIo.count_read, DirectWrites.answer),
    "DIO-ASYNC-LIFETIME": (DirectIo.end,),
    "DIO-TRUNC": (DirectWrites.write,),
    # --- pages that leave their file
    "INV-UNMAP": (PageTables.zap,),
    "INV-ORPHAN": (Filesystem.orphan, PageCache.remove),
    "INV-PINWAIT": (Files.remove_pages,),
    "INV-REFILL": (PageCache.insert,),
    "INV-REUSE": (Memory.drop,),
    "INV-BLOCKREUSE": (Files.lock_quiet, Files.remove_pages),
    "INV-EVICT": (Files.forget_if_unused,),
    "INV-SPLIT": (Folios.may_split, Folios.split_edge),
    "INV-HWPOISON": (),
    # --- liveness
    "LIVE-GUP": (GupSlow.get_page,),
    "LIVE-SYNC": (Writeback.wait_pages,),
    "LIVE-UMOUNT": (Mounts.umount,),
    "LIVE-THROTTLE": (Throttle.counts,),
    "LIVE-RECLAIM": (Reclaim.try_free,),
    "LIVE-KILL": (),
}
