"""What else a lie breaks, in programs that no scenario has.

A mutant names the rules that it violates in the scenarios, exactly. A random program
may meet the same lie in another situation. Two things can follow:

* Data that the mutant loses or corrupts is missed elsewhere. Which rule reports a
  wrong word depends on where it was read and on who wrote it last; those rules are one
  family, any of them may report a mutant that damages data, and nothing of it is
  listed here (`tests/test_mutants.py` knows the family).
* The lie breaks another rule, too. Each such rule is listed here, with the reason.

An entry is made after looking at the smallest program in which the rule was violated:
the lie breaks the rule there, or the rule cannot tell it from what would. If it is
the rule that is wrong, the rule is mended instead.
"""

CONSEQUENCES: dict[str, tuple[str, ...]] = {
    # The entry that the walk missed still allows writing when a copy is taken.
    "cleaning.forgets_after_truncate": ("STB-CAPTURE-ONCE",),
    "cleaning.cleans_mappings_that_begin_alike": ("STB-CAPTURE-ONCE",),
    # What never ends is waited for, whoever waits, and is on its way for ever,
    # also when another page has its block.
    "bounce.never_ends_a_failed_copy": (
        *("INV-BLOCKREUSE", "INV-PINWAIT", "LIVE-RECLAIM"),
    ),
    # The page that stays is written, and takes a block beyond the end of its file.
    "dirty.keeps_pinned_pages_on_truncate": ("MKW-UNRESERVE",),
    # A request for plain references changes the number of pins.
    "counters.references_count": ("REF-PARTIAL",),
    # The page that it cleans at the put can still be written through the page tables;
    # a dedupe compares it with another, finds them unlike and does not ask for pins.
    "dirty.cleans_at_the_put": ("SNAP-INHIBIT-SCOPE", "WB-PROTECT"),
    # A page that nobody wrote to is written back, and takes a block of a hole.
    "dirty.dirties_what_it_reads": ("MKW-UNRESERVE",),
    # Drivers write to pages that they never announced: in a frozen filesystem, too.
    "dirty.never_dirties": ("MKW-FREEZE",),
    # A sync of all files waits like the fsync of one.
    "liveness.waits_for_a_good_write": ("LIVE-SYNC",),
    # Reading a page under writeback waits, and dirties, like writing to it.
    "mkwrite.faults_for_writing": ("GWB-READ-OK", "DRT-READPIN"),
    # A page that is pinned twice and put once counts as not pinned: it is cleaned.
    "mkwrite.knows_pinned_or_not": ("WB-SKIP",),
    # What is mapped writable at once is not stopped by a freeze, or for want of space.
    "mkwrite.loads_map_writable": ("MKW-FREEZE", "MKW-FAIL"),
    # Devices fault, too; and the fsync that fails for such a page fails for all pages.
    "mkwrite.maps_despite_refusal": ("MKW-DEVICE", "MKW-RESERVE"),
    # Drivers fault like get_user_pages; and again the fsync fails for all pages.
    "mkwrite.maps_devices_despite_refusal": ("MKW-DEVICE", "MKW-RESERVE"),
    # What is dirty without a promise takes its block when it is written, for which the
    # fsync of a promised page fails, or a block that nobody gave back.
    "mkwrite.dirties_before_asking": ("MKW-RESERVE", "MKW-UNRESERVE", "SNAP-RESERVE"),
    # The fourth fault may be a device's.
    "mkwrite.misses_every_fourth": ("MKW-DEVICE",),
    # Pages beyond the end of the file stay mapped, and are granted.
    "mkwrite.never_revalidates": ("REF-PARTIAL",),
    # What the fast path hands out for writing, mapped for reading, is being written.
    "mkwrite.reads_on_for_the_second_page": ("GWB-NEVER",),
    # A page pinned for reading is not kept from its writer by a freeze.
    "mkwrite.transfers_into_read_pins": ("MKW-FREEZE",),
    # A back-off is put as a plain reference, too, and not counted as returned.
    "references.puts_a_pin_with_put_page": ("CNT-BACKOFF",),
    # What it has granted is never free again; and it refuses pages under writeback.
    "requests.refuses_after_granting": ("REF-FREE", "GWB-READ-OK"),
    # Writeback takes a folio for not pinned, and cleans it under the device;
    # what drivers get as a reference they put as a pin.
    "folios.slow_path_takes_references": (
        *("MKW-DEVICE", "REF-BALANCE", "REF-PARTIAL", "WB-SKIP"),
    ),
    # Requests that are shown late look like pins of those who are attached meanwhile.
    "counters.reads_requests_of_before": ("MMU-NOPIN",),
    # For what was never asked, no block was reserved: not in a shared place either.
    "mkwrite.asks_once_per_index": ("MKW-FAIL", "SNAP-RESERVE"),
    # It is written back between the unlock and the entry, which then allows writing.
    "mkwrite.unlocks_before_pte": ("STB-CAPTURE-ONCE",),
    # A page of a file is lent for writing while its entry says that it is clean.
    "gup.forces_its_way": ("MKW-DEVICE",),
    # What is counted at one end alone has no partner at the other.
    "zero.counts_pins": ("REF-BALANCE",),
    "zero.counts_puts": ("REF-BALANCE",),
    # Pins that no get_user_pages has made are in every account.
    "notifiers.pins_what_it_mirrors": (
        *("CNT-BAL", "CNT-MODERN", "REF-BALANCE", "REF-COMPOUND"),
        "REF-NOTINTERCHANGEABLE",
    ),
    # A page that nobody says is pinned is not free either when its file gives it up.
    "notifiers.pins_in_secret": (
        *("REF-BALANCE", "REF-FREE", "REF-NOTINTERCHANGEABLE"),
    ),
    # What is free has no count left that a pin could be seen in.
    # And who gets it next has a page with the pins of another.
    "requests.frees_the_pinned_orphan": (
        *("REF-BALANCE", "REF-BIAS", "REF-NOTINTERCHANGEABLE"),
    ),
    # The second put takes the count below that of the pins, or below none; the pins of
    # others are not seen then, by whoever asks.
    "references.puts_the_first_page_twice": (
        *("REF-BIAS", "REF-OVERFLOW", "REF-QUERY", "WB-SKIP"),
    ),
    # A pin that nobody knows of: a folio counts it, and the page is never free again.
    "references.leaks_the_buffer_of_a_direct_write": ("REF-COMPOUND", "REF-FREE"),
    "references.leaks_what_was_granted_short": ("REF-COMPOUND",),
    # What is counted is told of the call that returned it, and of no other.
    "folios.counts_folios": ("REF-BALANCE",),
    # A device writes to a page that nobody knows to be dirty: none of the gates is met.
    "notifiers.leaves_dirtying_to_the_device": (
        *("MKW-DEVICE", "MKW-MTIME", "WB-PROTECT"),
    ),
    "notifiers.forgets_what_it_wrote": (
        *("MKW-DEVICE", "MKW-FREEZE", "MKW-MTIME", "WB-PROTECT"),
    ),
    # On a full disk nobody can tell it from a block that was not to be had.
    "snapshots.writes_shared_blocks": ("SNAP-RESERVE",),
    # The references that it waits for may be held by those who wait for it.
    "snapshots.waits_for_many_references": ("LIVE-SYNC",),
    # Others want what it waits for itself, a page or a lock: a sync, a cut.
    "direct_io.locks_its_target_first": ("INV-PINWAIT", "LIVE-SYNC"),
    # An umount waits for those who write, and so for what they wait for.
    "invalidation.truncate_waits_for_pins": ("LIVE-UMOUNT",),
    # Who gets the page next has one with the pins of another.
    "invalidation.reuses_pinned_pages": ("REF-BALANCE",),
    # A folio that is kept whole is kept when its file goes, too.
    "folios.zeroes_the_first_page_again": ("INV-EVICT",),
    "folios.keeps_pinned_folios": ("INV-EVICT",),
    # A clone that waits holds the inode lock, for which a hole punch waits then.
    "bounce.waits_for_pins": ("INV-PINWAIT",),
    "liveness.waits_for_pins": ("INV-PINWAIT",),
    # An umount, or a cut, waits for the call that has locked itself out.
    "direct_io.bars_faults_while_it_pins": ("INV-PINWAIT", "LIVE-SYNC"),
    # What it takes back may be another's by now, and pinned.
    "invalidation.takes_back_what_was_cut": (
        *("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
    ),
    # An umount waits like a sync, and a cut for the clone that waits.
    "liveness.waits_for_the_second_pin": ("INV-PINWAIT", "LIVE-UMOUNT"),
    # Nobody owns the page any more, not even a name.
    "dirty.dirties_orphans": ("INV-EVICT",),
    # Paging memory out is reclaim, too.
    "liveness.reclaim_waits_for_pins": ("LIVE-GUP",),
    # The page that takes the place of the pinned one is not pinned.
    "invalidation.drops_pinned_pages_at_mremap": ("REF-QUERY",),
    # Whoever waits for the write that never ends seems to wait for the pin beside it.
    "liveness.never_ends_a_failed_write": (
        *("INV-PINWAIT", "LIVE-RECLAIM", "LIVE-UMOUNT"),
    ),
}
"""By name of the mutant: ids of rules."""
