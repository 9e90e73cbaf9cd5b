"""How mainline Linux meets each rule, or does not: for readers, not for judging.

What a running kernel really does is found out by `--gup-impl=linux:FS`; what it was
found to do stands in docs/linux-findings.md.

Interface:
  * `MAINLINE[id]` for every rule of the catalogue; a test holds that none is missing.
"""

MAINLINE: dict[str, str] = {
    # --- page_mkwrite
    "MKW-EVERY": "Entries of shared writable mappings begin read-only where writes "
    "are tracked (vma_needs_dirty_tracking); the write fault calls do_page_mkwrite, "
    "and folio_mkclean makes the entry read-only again.",
    "MKW-DEVICE": "Not met for short pins: after fsync has cleaned a pinned page, the "
    "device writes to it and unpin_user_pages_dirty_lock dirties it with no call of "
    "page_mkwrite. Long pins for writing are refused instead.",
    "MKW-ORDER": "VM_FAULT_LOCKED: page_mkwrite returns with the page locked, "
    "finish_mkwrite_fault sets the entry, fault_dirty_shared_page marks the page and "
    "unlocks it (b827e496c893).",
    "MKW-RETLOCK": "do_page_mkwrite takes the lock itself if it was not handed over, "
    "and looks at folio->mapping again.",
    "MKW-TRUNC": "Each filesystem looks at mapping and size under the page lock and "
    "answers VM_FAULT_NOPAGE; hole punching also excludes faults by the invalidate "
    "lock.",
    "MKW-RANGE": "Writeback zeroes what lies beyond the end of the file in the last "
    "page; a truncate upwards zeroes it again.",
    "MKW-FAIL": "vmf_fs_error turns ENOSPC and the like into VM_FAULT_SIGBUS; "
    "get_user_pages reports EFAULT.",
    "MKW-RESERVE": "Delayed allocation reserves in page_mkwrite (ext4_da_get_block_"
    "prep, the COW fork of xfs, btrfs_delalloc_reserve_space). A page dirtied behind "
    "its back has no reservation.",
    "MKW-UNRESERVE": "Reservations go back with the delalloc extents that truncate "
    "and invalidation remove.",
    "MKW-MTIME": "file_update_time in page_mkwrite, or else in "
    "fault_dirty_shared_page.",
    "MKW-FREEZE": "sb_start_pagefault at the head of each page_mkwrite.",
    "MKW-RO-GUP": "Without FOLL_WRITE the fault is a read fault.",
    "MKW-NOTRACK": "shmem and hugetlb have neither page_mkwrite nor writeback; their "
    "entries are writable from the first write fault on.",
    "MKW-PRIVATE-MAP": "do_cow_fault and wp_page_copy give the process an anonymous "
    "copy before anything is written.",
    "MKW-PRIVATE-STATE": "Buffers or iomap state are attached in page_mkwrite and "
    "released by filemap_release_folio only from clean pages.",
    "MKW-SWAPFILE": "page_mkwrite answers VM_FAULT_SIGBUS for IS_SWAPFILE inodes.",
    # --- get_user_pages against writeback
    "GWB-NEVER": "get_user_pages does not look at PG_writeback. A read-only entry "
    "makes it fault, and the fault waits in folio_wait_stable only where the device "
    "wants stable pages; btrfs always waits.",
    "GWB-FAST-RECHECK": "gup_fast_pte_range compares the entry, and the one above "
    "it, after taking the reference (70cbc3cc78a9).",
    "GWB-FAST-ORDER": "A full barrier in try_grab_folio_fast pairs with those who "
    "change entries and ask folio_maybe_dma_pinned afterwards.",
    "GWB-BACKOFF-CLEAN": "gup_put_folio gives the reference back and the walk stops "
    "there, so the result is a prefix.",
    "GWB-SLOW-RETRY": "__get_user_pages walks the page table again after every fault "
    "(goto retry).",
    "GWB-WRITEBIT": "can_follow_write_pte demands a writable entry, or an exclusive "
    "anonymous page for FOLL_FORCE; the flag is never dropped again (19be0eaffa3a).",
    "GWB-READ-OK": "A read fault waits for no writeback.",
    "GWB-NOSLEEP": "FOLL_NOWAIT and FOLL_FAST_ONLY end before anything that sleeps.",
    "GWB-REDIRTY-DURING": "folio_end_writeback leaves PG_dirty alone.",
    "GWB-FAST-WINDOW": "The window is there; nothing but stable content could close "
    "it.",
    "GWB-LOCKHELD": "do_page_mkwrite waits with the mmap_lock held.",
    # --- cleaning
    "WB-PROTECT": "folio_clear_dirty_for_io calls folio_mkclean, which write-protects "
    "each entry with a flush and tells the notifiers.",
    "WB-WALK": "The walk holds i_mmap_rwsem; mremap moves entries under the same lock.",
    "WB-PTEDIRTY": "A dirty entry found by folio_mkclean marks the folio dirty before "
    "the flag is tested and cleared.",
    "WB-LOCK": "folio_clear_dirty_for_io and folio_start_writeback under one hold of "
    "the folio lock.",
    "WB-SINGLE": "WB_SYNC_ALL waits for PG_writeback in writeback_iter and then "
    "writes again.",
    "WB-SKIP": "Memory-cleaning writeback writes pinned pages like any other; a "
    "patch to skip them (2023) was not merged.",
    "WB-RECLAIM": "shrink_folio_list asks folio_maybe_dma_pinned after unmapping "
    "(d824ec2a1546).",
    "WB-ERROR": "mapping_set_error and errseq: each fsync reports an error once. The "
    "page stays clean after a failed write.",
    "WB-UPTODATE": "Only folios that are up to date are marked dirty by a mapping.",
    # --- stable content, bounce pages
    "STB-CPU": "folio_wait_stable in page_mkwrite and write_begin, where "
    "AS_STABLE_WRITES is set; btrfs waits always.",
    "STB-PINNED": "Not met: a pinned page is written from where it lies, and the "
    "device may change it after the checksum was made.",
    "STB-CAPTURE-ONCE": "There are no bounce pages for writeback; btrfs and the "
    "encryption layer read the page once for each purpose.",
    "BNC-KEEPDIRTY": "Not met: the page becomes clean, and is dirtied again by "
    "unpin_user_pages_dirty_lock.",
    "BNC-FSYNC": "fsync writes pinned pages and waits for no pin.",
    "BNC-RESERVE": "Not met: a page that was dirtied by an unpin has no reservation; "
    "btrfs has a worker that makes one afterwards.",
    "BNC-EOF": "The part beyond the end of the file is zeroed in the page itself.",
    "BNC-ERR": "A failed write sets the error and ends the writeback; what the page "
    "holds stays in memory only, taken for clean.",
    "BNC-COMPLETE": "folio_end_writeback once for each folio_start_writeback.",
    # --- dirtying
    "DRT-AFTER": "bio_check_pages_dirty and unpin_user_pages_dirty_lock dirty after "
    "the last transfer and before the pin goes.",
    "DRT-LOCK": "folio_mark_dirty wants the folio lock or a mapping that cannot go; "
    "the _lock variants take it.",
    "DRT-SKIP-IF-DIRTY": "unpin_user_pages_dirty_lock leaves dirty folios alone.",
    "DRT-ORPHAN": "folio_mark_dirty does nothing for a folio without mapping "
    "(noop_dirty_folio).",
    "DRT-BUFFERS": "ext4 warns of a dirty page without buffers and drops the dirt "
    "(cc5095747edf); reclaim has been kept from making one since 6.4.",
    "DRT-ACCT": "folio_account_dirtied and folio_account_cleaned; the path that warns "
    "and drops leaked until 2026.",
    "DRT-ITERBVEC": "bio_release_pages dirties only what user_backed_iter says.",
    "DRT-COMPOUND": "folio_mark_dirty works on the folio; iomap keeps dirt by block.",
    "DRT-READPIN": "unpin_user_pages without dirtying.",
    "DRT-FLUSH": "blkdev_issue_flush, or a flush with the commit of the journal.",
    "DRT-FSYNC": "Met where the dirtied page is found by writeback. On btrfs such a "
    "page goes through an asynchronous worker first.",
    # --- references
    "REF-BALANCE": "pin_user_pages and unpin_user_pages, get and put_page: a "
    "discipline of the callers.",
    "REF-NOTINTERCHANGEABLE": "FOLL_GET takes one reference, FOLL_PIN a bias; mixing "
    "them is a bug that nothing checks.",
    "REF-BIAS": "GUP_PIN_COUNTING_BIAS is 1024 for single pages; large folios count "
    "pins exactly.",
    "REF-QUERY": "folio_maybe_dma_pinned compares with >=, unsigned.",
    "REF-FALSEPOS": "Who asks treats yes as maybe: fork copies, reclaim keeps, "
    "migration refuses.",
    "REF-NEG": "The comparison is unsigned, so a wrapped count reads as pinned.",
    "REF-OVERFLOW": "try_grab_folio refuses when the count is not positive.",
    "REF-COMPOUND": "_pincount on the head, one for each subpage; any split of the "
    "puts is allowed.",
    "REF-STABLEHEAD": "try_get_folio looks again whether the page still belongs to "
    "the head.",
    "REF-FREE": "folio_put_refs frees when the count reaches zero.",
    "REF-STATBEFOREPUT": "node_stat_mod_folio comes before the put (4509b42c3896).",
    "REF-ZERO": "is_zero_folio is left alone by pin and unpin (c8070b787519).",
    "REF-PARTIAL": "The number of pages pinned is the result, if it is not zero.",
    "REF-ERRNPAGES": "unpin_user_pages warns of a negative count and returns.",
    "REF-NULLSKIP": "unpin_user_pages steps over NULL since the array may have been "
    "emptied by migration.",
    "REF-VALIDFLAGS": "is_valid_gup_args.",
    "REF-EXTRA-PIN": "folio_add_pin warns unless the folio is pinned.",
    "REF-DAX": "The last reference wakes who waits in dax_break_layout.",
    "REF-TOUCH": "FOLL_TOUCH is set by get_user_pages, not by pin_user_pages.",
    # --- counters
    "CNT-BAL": "Of the document's five counters none was merged.",
    "CNT-BACKOFF": "A back-off counts as one pin acquired and one released.",
    "CNT-MONO": "Counters by processor that are folded now and then; "
    "/proc/sys/vm/stat_refresh folds them at once.",
    "CNT-OVERFLOW": "There is no such counter; the kernel warns once.",
    "CNT-FAIL0": "A refused request should leave nr_foll_pin_acquired alone; a "
    "refused long-term pin was seen to raise it, and released with it.",
    "CNT-MODERN": "nr_foll_pin_acquired and nr_foll_pin_released, one for each page.",
    # --- long-term pins
    "LT-REFUSE": "writable_file_mapping_allowed and gup_fast_folio_allowed "
    "(8ac268436e6d).",
    "LT-RO": "FAULT_FLAG_UNSHARE breaks copy-on-write before a read-only pin "
    "(84209e87c696).",
    "LT-DAX": "EOPNOTSUPP for long pins; truncation waits for the short ones.",
    "LT-ZONE": "check_and_migrate_movable_folios, and EAGAIN until no page is left "
    "there.",
    "LT-NOMOVE": "Migration compares the reference count with what it expects; KSM "
    "and swap ask folio_maybe_dma_pinned or for an exclusive page.",
    "LT-MEMLOCK": "Each subsystem charges RLIMIT_MEMLOCK and pinned_vm by itself.",
    "LT-SECRETMEM": "vma_is_secretmem and folio_is_secretmem refuse, slow and fast "
    "(65291dcfcf89).",
    "LT-HOTPLUG": "FOLL_LONGTERM with FOLL_PCI_P2PDMA is refused.",
    "INV-STEAL": "page_cache_pipe_buf_try_steal releases the private data before "
    "remove_mapping finds the extra reference.",
    # --- snapshots
    "SNAP-ISOLATE": "Not met: remap_file_range does not look at pins, and what a "
    "device writes later may go to the shared extent.",
    "SNAP-RESERVE": "page_mkwrite finds the extent shared and reserves; a device's "
    "write does not go through it.",
    "SNAP-INHIBIT-SCOPE": "Nothing is inhibited.",
    "SNAP-FALSEPOS": "Nothing asks, so nothing is mistaken.",
    "SNAP-DEDUPE": "vfs_dedupe_file_range compares under the folio locks; a device "
    "is not kept out.",
    "SNAP-ENCRYPT": "The encryption layer writes from a copy of its own.",
    # --- anonymous memory
    "ANON-FORK-COPY": "copy_present_page copies pages that may be pinned "
    "(70e806e4e645).",
    "ANON-FORK-SEQ": "mm->write_protect_seq makes get_user_pages_fast undo its work "
    "(57efa1fe5957).",
    "ANON-FORK-FILE": "Only anonymous folios are copied early.",
    "ANON-FORK-SNAPSHOT": "The parent's entry is write-protected and flushed before "
    "the copy (2025).",
    "ANON-EXCL": "PageAnonExclusive: only such pages are pinned, and a pinned one "
    "never loses it (6c287605fd56).",
    "ANON-UNSHARE": "gup_must_unshare and FAULT_FLAG_UNSHARE.",
    "ANON-WRITEREUSE": "An exclusive page is reused by a write fault, whatever its "
    "reference count.",
    "ANON-NOWP": "clear_refs leaves pinned pages writable (9348b73c2e1b).",
    "ANON-NOSWAP": "folio_maybe_dma_pinned is asked before a page is put into the "
    "swap cache (feb889fb40fa).",
    "ANON-FORCE": "can_follow_write_common: private mappings, exclusive anonymous "
    "pages.",
    "ANON-ISOLATION": "Follows from exclusivity: what is shared is not written in "
    "place.",
    "ANON-DONTNEED": "zap_pte_range drops the mapping's reference; the pin has its "
    "own.",
    # --- notifiers
    "MMU-NOPIN": "hmm_range_fault takes no reference.",
    "MMU-ORDER": "mmu_notifier_invalidate_range_start returns when the driver has "
    "stopped the device.",
    "MMU-SEQ": "mmu_interval_read_begin and mmu_interval_read_retry.",
    "MMU-DOWNGRADE": "folio_mkclean announces MMU_NOTIFY_PROTECTION_PAGE.",
    "MMU-DIRTY": "The driver marks pages that its device wrote when it unmaps them.",
    "MMU-NONBLOCK": "mmu_notifier_range_blockable, and EAGAIN.",
    "MMU-FORKCOW": "wp_page_copy announces the change before it switches the entry.",
    "MMU-MIXED": "The rules of pins apply.",
    # --- direct I/O
    "DIO-BUF-WRITE": "A read into a mapping of a file is a device write to a page of "
    "the file, with all that does not hold for it.",
    "DIO-BUF-READ": "btrfs falls back to buffered writes where checksums would not "
    "match (968f19c5b1b7); xfs copies where stable pages are wanted (2026).",
    "DIO-NOSYNC": "Nothing is ordered.",
    "DIO-INV-BEFORE": "kiocb_invalidate_pages.",
    "DIO-INV-AFTER": "kiocb_invalidate_post_direct_write; a failure is warned of and "
    "EIO noted (5a9d929d6e13).",
    "DIO-READ-FLUSH": "kiocb_write_and_wait.",
    "DIO-SELF": "The buffer is faulted in with no lock of the file held, and the "
    "call retried (generic/647, generic/729).",
    "DIO-PARTIAL": "iov_iter_extract_pages gives a prefix; the filesystem answers "
    "what was done, or EFAULT though part of the buffer was written.",
    "DIO-ASYNC-LIFETIME": "The pins are put by the completion of the bio.",
    "DIO-TRUNC": "inode_dio_begin and inode_dio_wait.",
    # --- pages that leave their file
    "INV-UNMAP": "zap_pte_range drops the mapping's reference and looks at no pin.",
    "INV-ORPHAN": "truncate_cleanup_folio and filemap_remove_folio; folio->mapping is "
    "NULL from then on.",
    "INV-PINWAIT": "truncate_inode_pages_range waits for the folio lock and for "
    "writeback, not for pins. DAX does wait.",
    "INV-REFILL": "The fault allocates a folio; the XArray holds one for each index.",
    "INV-REUSE": "A page with references is not free.",
    "INV-BLOCKREUSE": "Truncate waits for writeback before it frees blocks.",
    "INV-EVICT": "evict removes all pages from the mapping, pinned ones too.",
    "INV-SPLIT": "split_folio fails with extra references; truncate_inode_partial_"
    "folio zeroes what is cut off and keeps the folio.",
    "INV-HWPOISON": "memory_failure isolates the page and kills who maps it.",
    # --- liveness
    "LIVE-GUP": "The fault waits for one writeback and is taken again.",
    "LIVE-SYNC": "write_cache_pages tags what it has to write and ends.",
    "LIVE-UMOUNT": "EBUSY counts mounts and open files; generic_shutdown_super evicts "
    "inodes whatever is pinned.",
    "LIVE-THROTTLE": "Pinned dirty pages count in nr_dirty like others; as they are "
    "cleaned by writeback, nobody hangs.",
    "LIVE-RECLAIM": "shrink_folio_list activates pinned folios and goes on.",
    "LIVE-KILL": "__get_user_pages looks for a fatal signal on every round.",
}
