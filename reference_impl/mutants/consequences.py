"""What else a lie can lead to, in programs that no scenario has.

A mutant names the rules that it violates in the scenarios, exactly. A random program
may meet it in another situation: data that it loses is then missed by the rule that
looks there.

The entries are what random programs found; they were entered as they were seen, and
not examined one by one. That the stack is faulty is certain; that the rule named is
the one to blame is not. An entry that looks odd (STB-CPU for a flush that comes too
early) is a reason to look at `conformance/rules/blame.py`, not a fact to rely on.
"""

CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "bounce.cleans_pinned_pages_it_skips": ("DRT-AFTER",),
    "bounce.skips_pinned_pages": (
        "DRT-AFTER",
        "WB-SINGLE",
    ),
    "bounce.writes_a_pinned_page_once": ("DRT-AFTER",),
    "cleaning.forgets_after_truncate": ("STB-CAPTURE-ONCE",),
    "cleaning.unlocks_in_between": ("STB-CAPTURE-ONCE",),
    "counters.references_count": ("REF-PARTIAL",),
    "dirty.cleans_at_the_put": ("WB-WALK",),
    "dirty.flushes_before_it_waits": ("STB-CPU",),
    "dirty.leaves_it_to_a_worker": ("WB-LOCK",),
    "dirty.never_dirties": ("BNC-FSYNC",),
    "dirty.never_flushes": (
        "MKW-RANGE",
        "STB-CPU",
        "STB-PINNED",
        "WB-ERROR",
    ),
    "dirty.puts_a_direct_read_at_submit": ("MKW-NOTRACK",),
    "gup_fast.goes_on_after_a_backoff": (
        "DRT-BUFFERS",
        "DRT-FLUSH",
        "DRT-SKIP-IF-DIRTY",
        "MKW-DEVICE",
        "MKW-NOTRACK",
    ),
    "liveness.waits_for_a_good_write": ("LIVE-SYNC",),
    "mkwrite.knows_pinned_or_not": ("WB-SKIP",),
    "mkwrite.leaves_the_pte_writable": (
        "MKW-EVERY",
        "WB-PTEDIRTY",
    ),
    "mkwrite.loads_map_writable": ("WB-PTEDIRTY",),
    "mkwrite.maps_despite_refusal": (
        "MKW-DEVICE",
        "MKW-RESERVE",
    ),
    "mkwrite.maps_devices_despite_refusal": ("MKW-DEVICE",),
    "mkwrite.misses_every_fourth": ("MKW-DEVICE",),
    "mkwrite.reclaims_tmpfs": ("WB-PTEDIRTY",),
    "writeback.swallows_errors": (
        "DRT-FLUSH",
        "WB-UPTODATE",
    ),
}
"""By name of the mutant: ids of rules."""
