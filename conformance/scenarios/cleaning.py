"""Scenarios on cleaning pages: every entry, and every dirty bit."""

from conformance.interface import (
    Evict,
    Fork,
    Fsync,
    Hold,
    HoldPoint,
    Load,
    Mmap,
    Mremap,
    Munmap,
    PowerCut,
    Read,
    Reclaim,
    Release,
    Store,
    Truncate,
    Write,
    Writeback,
)
from conformance.program import Preempt, Program
from conformance.scenarios.scenario import Scenario

_PROTECT = (
    Scenario(
        "two-processes-store-after-fsync",
        ("WB-PROTECT",),
        Program(
            (
                Mmap(process=1, mapping=1),
                Store(value=1),
                Store(process=1, mapping=1, word=1, value=2),
                Fsync(),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                PowerCut(),
                Store(value=4),
                Fsync(),
                PowerCut(),
            )
        ),
        "Two processes map the page; each of them stores again after it was written.",
    ),
    Scenario(
        "one-process-maps-page-twice",
        ("WB-PROTECT",),
        Program(
            (
                Mmap(process=0, mapping=1, page=1, pages=1),
                Store(mapping=0, page=1, value=1),
                Store(mapping=1, page=0, word=1, value=2),
                Fsync(),
                Store(mapping=1, page=0, word=1, value=3),
                Fsync(),
                PowerCut(),
            )
        ),
        "The second mapping begins at another page of the file.",
    ),
    Scenario(
        "child-stores-after-fsync",
        ("WB-PROTECT",),
        Program(
            (
                Store(value=1),
                Fork(),
                Store(process=1, word=1, value=2),
                Fsync(),
                Store(process=1, word=1, value=3),
                Fsync(),
                PowerCut(),
            )
        ),
        "The second mapping is a child's copy of the first.",
    ),
    Scenario(
        "two-mappings-after-truncate",
        ("WB-PROTECT",),
        Program(
            (
                Mmap(process=1, mapping=1),
                Store(value=1),
                Truncate(words=0),
                Truncate(words=8),
                Store(value=2),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                Store(process=1, mapping=1, word=1, value=4),
                Munmap(process=1, mapping=1),
                Munmap(),
                Evict(),
                Mmap(mapping=2),
                Load(mapping=2, word=1),
            )
        ),
        "The page is a new one after a truncate; what was stored last must survive "
        "the eviction.",
    ),
)

_WALK = (
    Scenario(
        "mremap-while-page-is-cleaned",
        ("WB-WALK",),
        Program(
            (
                Store(value=1),
                Fsync(),
                Store(value=2),
                Mmap(process=1, mapping=1),
                Store(process=1, mapping=1, word=1, value=3),
                Mremap(),
                Fsync(),
                Mremap(),
                Store(value=4),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=6, at="mkclean.entered", until=7),),
        ),
        "A mapping moves while the page tables of its page are walked.",
    ),
    Scenario(
        "mremap-between-two-entries",
        ("WB-WALK",),
        Program(
            (
                Mmap(process=1, mapping=1),
                Store(value=1),
                Store(process=1, mapping=1, word=1, value=2),
                Fsync(),
                Mremap(process=1, mapping=1),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=3, at="mkclean.pte", until=4),),
        ),
        "The first entry has been cleaned when the mapping of the second moves.",
    ),
    Scenario(
        "mremap-half-done-when-page-is-cleaned",
        ("WB-WALK",),
        Program(
            (
                Store(value=1),
                Fsync(),
                Store(value=2),
                Writeback(),
                Store(value=3),
                Mremap(),
                Fsync(),
                Store(value=4),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=5, at="mremap.pte_taken", until=6),),
        ),
        "The entry is in nobody's page table when the walk would come by.",
    ),
    Scenario(
        "fork-while-page-is-cleaned",
        ("WB-WALK",),
        Program(
            (
                Store(value=1),
                Fsync(),
                Fork(),
                Store(process=1, word=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=1, at="mkclean.entered", until=2),),
        ),
        "A child gets a copy of an entry that the walk is about to clean.",
    ),
    Scenario(
        "fork-between-two-entries",
        ("WB-WALK",),
        Program(
            (
                Mmap(process=0, mapping=1),
                Store(value=1),
                Store(mapping=1, word=1, value=2),
                Fsync(),
                Fork(),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=3, at="mkclean.pte", until=4),),
        ),
        "The walk has cleaned one of two entries when a child is made of both.",
    ),
)

_DIRTY_BITS = (
    Scenario(
        "stores-while-reclaim-waits",
        ("WB-PTEDIRTY",),
        Program(
            (
                Store(value=1),
                Hold(at=HoldPoint.AFTER_CAPTURE),
                Reclaim(),
                Store(value=2),
                Store(word=1, value=3),
                Release(),
                Fsync(),
                PowerCut(),
                Load(word=1),
            )
        ),
        "Reclaim waits for the disk; what is stored meanwhile is found by its unmap.",
    ),
    Scenario(
        "second-store-needs-no-fault",
        ("WB-PTEDIRTY",),
        Program(
            (
                Store(value=1),
                Store(word=1, value=2),
                Fsync(),
                PowerCut(),
            )
        ),
        "The second store sets a dirty bit in a page table and nothing else.",
    ),
    Scenario(
        "store-while-page-is-cleaned",
        ("WB-PTEDIRTY",),
        Program(
            (
                Store(value=1),
                Fsync(),
                Store(word=1, value=2),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=1, at="mkclean.entered", until=2),),
        ),
        "The store finds its entry still writable when cleaning has begun.",
    ),
    Scenario(
        "store-through-second-entry-while-page-is-cleaned",
        ("WB-PTEDIRTY",),
        Program(
            (
                Mmap(process=1, mapping=1),
                Store(value=1),
                Store(process=1, mapping=1, value=2),
                Fsync(),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                PowerCut(),
            ),
            schedule=(Preempt(call=3, at="mkclean.pte", until=4),),
        ),
        "One entry has been cleaned; the other is stored through, and then cleaned.",
    ),
    Scenario(
        "write-and-store-in-one-page",
        ("WB-PTEDIRTY", "WB-LOCK"),
        Program(
            (
                Write(value=1),
                Store(word=1, value=2),
                Store(word=1, value=3),
                Fsync(),
                PowerCut(),
                Munmap(),
                Evict(),
                Read(),
            )
        ),
        "write(2) and stores share a page; all of it is written, dropped, read back.",
    ),
)

_TRANSLATIONS = (
    Scenario(
        "store-through-a-stale-translation",
        ("WB-PROTECT",),
        Program(
            (
                Mmap(process=1, mapping=1),
                Store(value=1),
                Store(process=1, mapping=1, value=2),
                Store(process=1, mapping=1, word=1, value=3),
                Fsync(),
                Store(process=1, mapping=1, value=4),
                Fsync(),
                PowerCut(),
            )
        ),
        "Another CPU has stored to the page and kept the translation; then the entry "
        "is write-protected. A missing flush of the TLB (WB-TLB) has no rule of its "
        "own: an entry that is protected in the page table alone is not "
        "protected, and the damage is that of WB-PROTECT.",
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    *_PROTECT,
    *_TRANSLATIONS,
    *_WALK,
    *_DIRTY_BITS,
)
