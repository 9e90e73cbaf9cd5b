"""Rules that are listed and not judged, each with one of a closed set of reasons.

They stand in the catalogue so that nobody takes their absence for a pass.
"""

from collections.abc import Iterator
from enum import Enum

from conformance.rules.rule import (
    DOCUMENT,
    KERNEL,
    THREAD,
    Case,
    Clause,
    Finding,
    Rule,
)
from conformance.verdicts import Kind, Level


class Reason(Enum):
    """Why a rule cannot be judged; there are no other reasons."""

    NOT_VISIBLE = "not visible from outside"
    HARDWARE = "needs hardware"
    PERMITS = "permits, forbids nothing"
    SAME = "same observation as"


def _rule(
    id: str, clause: Clause, reason: Reason, why: str, *, same_as: str = ""
) -> Rule:
    """List a rule; `same_as` names the rule that makes the same observation."""

    def check(_: Case) -> Iterator[Finding]:
        return iter(())

    check.__doc__ = clause.norm[0].upper() + clause.norm[1:] + "."
    words = f"{reason.value} {same_as}".strip()
    return Rule(
        id,
        clause,
        Kind.DISCIPLINE,
        Level.MAY,
        Level.MAY,
        check,
        untested=f"{words}: {why}",
    )


UNTESTED: tuple[Rule, ...] = (
    _rule(
        "MKW-PRIVATE-STATE",
        Clause(
            DOCUMENT,
            "S9",
            "what writeback needs of a page is attached by page_mkwrite and stays "
            "until the page is written or truncated",
        ),
        Reason.SAME,
        "a dirty page without buffers is what both are about",
        same_as="DRT-BUFFERS",
    ),
    _rule(
        "MKW-SWAPFILE",
        Clause(
            KERNEL,
            "mm/filemap.c, IS_SWAPFILE",
            "page_mkwrite fails for the pages of an active swap file",
        ),
        Reason.SAME,
        "a swap file is one more reason for which page_mkwrite may fail",
        same_as="MKW-FAIL",
    ),
    _rule(
        "GWB-FAST-WINDOW",
        Clause(
            DOCUMENT,
            "S24, S26",
            "get_user_pages_fast may have re-checked the entry just before it is "
            "write-protected; the page is then pinned before its writeback begins",
        ),
        Reason.SAME,
        "what the device then does to the page is stable content's affair",
        same_as="STB-PINNED",
    ),
    _rule(
        "GWB-LOCKHELD",
        Clause(
            KERNEL,
            "mm/memory.c, do_page_mkwrite",
            "get_user_pages may wait for writeback with the mmap_lock held; who ends "
            "the writeback must not need that lock",
        ),
        Reason.PERMITS,
        "it binds whoever serves the disk, not the stack",
    ),
    _rule(
        "DRT-ITERBVEC",
        Clause(
            THREAD,
            "direct I/O from ITER_BVEC, 2014",
            "direct I/O does not dirty pages that belong to the kernel itself",
        ),
        Reason.NOT_VISIBLE,
        "such pages have no mapping that a program could name",
    ),
    _rule(
        "REF-NEG",
        Clause(
            KERNEL,
            "include/linux/mm.h, folio_maybe_dma_pinned",
            "a count that has overflowed still reads as pinned",
        ),
        Reason.SAME,
        "a stack that refuses in time has no such count to show",
        same_as="REF-OVERFLOW",
    ),
    _rule(
        "REF-NULLSKIP",
        Clause(
            KERNEL,
            "mm/gup.c, unpin_user_pages",
            "the release of an array of pages skips entries that are empty",
        ),
        Reason.NOT_VISIBLE,
        "the array is the driver's own",
    ),
    _rule(
        "REF-EXTRA-PIN",
        Clause(
            KERNEL,
            "mm/gup.c, folio_add_pin",
            "one more pin of a page is taken only by who has one already",
        ),
        Reason.NOT_VISIBLE,
        "who asks for it is kernel code",
    ),
    _rule(
        "REF-DAX",
        Clause(
            KERNEL,
            "fs/dax.c",
            "the last put of a page of persistent memory wakes who waits to truncate",
        ),
        Reason.HARDWARE,
        "persistent memory that is mapped directly",
    ),
    _rule(
        "REF-TOUCH",
        Clause(
            KERNEL,
            "mm/gup.c, FOLL_TOUCH",
            "get_user_pages may mark what it hands out as accessed and dirty",
        ),
        Reason.PERMITS,
        "hints may be set or not",
    ),
    _rule(
        "REF-STATBEFOREPUT",
        Clause(
            KERNEL,
            "4509b42c3896",
            "counters are updated before the last reference is dropped",
        ),
        Reason.NOT_VISIBLE,
        "the order shows only by an access to freed memory",
    ),
    _rule(
        "LT-DAX",
        Clause(
            KERNEL,
            "mm/gup.c, check_vma_flags; 5fac7408d828",
            "long-term pins of persistent memory are refused; truncation waits for "
            "the short ones",
        ),
        Reason.HARDWARE,
        "persistent memory that is mapped directly",
    ),
    _rule(
        "LT-HOTPLUG",
        Clause(
            KERNEL,
            "Documentation/core-api/pin_user_pages.rst",
            "pages of a device that can be removed are not pinned for long",
        ),
        Reason.HARDWARE,
        "a device with memory of its own",
    ),
    _rule(
        "SNAP-ENCRYPT",
        Clause(
            DOCUMENT,
            "S17, S18",
            "encryption, compression and parity work on content that was captured",
        ),
        Reason.SAME,
        "content that changes meanwhile is unreadable afterwards",
        same_as="STB-PINNED",
    ),
    _rule(
        "MMU-NONBLOCK",
        Clause(
            KERNEL,
            "include/linux/mmu_notifier.h",
            "a notifier that may not sleep answers EAGAIN instead",
        ),
        Reason.NOT_VISIBLE,
        "only the out-of-memory reaper asks so",
    ),
    _rule(
        "MMU-MIXED",
        Clause(
            KERNEL,
            "Documentation/core-api/pin_user_pages.rst",
            "who registers a notifier and pins as well keeps the rules of pins",
        ),
        Reason.SAME,
        "a pin is a pin",
        same_as="MKW-DEVICE",
    ),
    _rule(
        "DIO-NOSYNC",
        Clause(
            DOCUMENT,
            "S4",
            "direct I/O is not ordered with accesses through a mapping, nor with "
            "changes of the mapping",
        ),
        Reason.PERMITS,
        "every order is allowed, and the oracle allows it",
    ),
    _rule(
        "INV-HWPOISON",
        Clause(
            KERNEL,
            "mm/memory-failure.c",
            "a pinned page whose memory fails is not replaced by zeros in silence",
        ),
        Reason.HARDWARE,
        "memory that fails",
    ),
    _rule(
        "LIVE-KILL",
        Clause(
            KERNEL,
            "mm/gup.c, fatal_signal_pending",
            "get_user_pages ends early in a process that is being killed",
        ),
        Reason.NOT_VISIBLE,
        "how long a killed process takes is not told to anybody",
    ),
)
