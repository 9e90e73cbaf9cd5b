"""Stacks that do something wrong between looking at a page table and taking a page."""

from functools import partial

import attrs

from conformance.interface import Step
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

THIRD = 3

# --- GUP-fast looks again -----------------------------------------------------------


class _DoesNotLookAgain(GupFast):
    """GUP-fast grants a page by the entry that it read before it took the page."""

    def recheck(
        self, process: Process, address: int, pte: Pte, flags: GupFlags
    ) -> bool:
        return True


class _LooksOnlyAtThePage(GupFast):
    """GUP-fast asks for writeback, but not whether the entry is still the same."""

    def recheck(
        self, process: Process, address: int, pte: Pte, flags: GupFlags
    ) -> bool:
        return not self.grab.must_wait(pte.page, flags)


class _OverlooksTheWriteBit(GupFast):
    """GUP-fast compares which page the entry maps, and not whether for writing."""

    def recheck(
        self, process: Process, address: int, pte: Pte, flags: GupFlags
    ) -> bool:
        now = process.ptes.get(address)
        is_same = now is not None and now.page is pte.page
        return is_same and not self.grab.must_wait(pte.page, flags)


class _LooksAgainBeforeItCounts(GupFast):
    """GUP-fast reads the entry again first, and counts the pin after that."""

    def try_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page | None]:
        pte = self.find_pte(process, address, flags)
        if pte is None:
            return None
        yield Step("gup_fast.pte_read")
        if not self.recheck(process, address, pte, flags):
            return None
        yield Step("gup_fast.pte_checked")
        if not self.try_take(pte.page, flags):
            return None
        yield Step("gup_fast.reference_taken")
        return pte.page


class _IsCarefulOnce(GupFast):
    """GUP-fast does as it should with the first page, and not with the others."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        yield from super().get(process, addresses[:1], flags, granted)
        rest = addresses[len(granted) :]
        more: list[Page] = []
        careless = _LooksOnlyAtThePage(self.grab, self.slow)
        try:
            if rest:
                yield from careless.get(process, rest, flags, more)
        finally:
            granted.extend(more)


# --- back-offs ------------------------------------------------------------------------


class _BackOffKeepsTheReference(GupFast):
    """A back-off forgets to give the page back."""

    def back_off(self, page: Page, flags: GupFlags) -> None:
        self.grab.counters.gup_fast_backoffs += 1


@attrs.define(eq=False)
class _ThirdBackOffLeaks(GupFast):
    """The third back-off forgets to give the page back."""

    backoffs: int = 0

    def back_off(self, page: Page, flags: GupFlags) -> None:
        self.backoffs += 1
        if self.backoffs == THIRD:
            self.grab.counters.gup_fast_backoffs += 1
        else:
            super().back_off(page, flags)


class _BackOffDirties(GupFast):
    """A back-off marks the page dirty, as for a device that has written."""

    def back_off(self, page: Page, flags: GupFlags) -> None:
        self.slow.fault.filesystem.cache.mark_dirty(page)
        super().back_off(page, flags)


class _BackOffStaysInTheResult(GupFast):
    """A page that was given back is granted all the same."""

    def try_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page | None]:
        pte = process.ptes.get(address)
        backoffs = self.grab.counters.gup_fast_backoffs
        page = yield from super().try_page(process, address, flags)
        has_backed_off = self.grab.counters.gup_fast_backoffs > backoffs
        if page is None and pte is not None and has_backed_off:
            return pte.page
        return page


class _GoesOnAfterABackOff(GupFast):
    """The fast walk passes over a page that it had to give back."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        for address in addresses:
            page = yield from self.try_page(process, address, flags)
            if page is not None:
                granted.append(page)
                self.grab.tell_granted(page, flags, "fast")
                yield Step("gup_fast.page_granted")
        rest = addresses[len(granted) :]
        if rest:
            yield from self.slow.get(process, rest, flags, granted)


# --- slow GUP walks again -------------------------------------------------------------


class _TakesThePageOfTheFault(GupSlow):
    """After the fault the page of the file is taken, whatever the page table says."""

    def follow_after_fault(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        vma = process.find_vma(address)
        if vma is None or vma.anon is not None:
            return self.follow_page(process, address, flags)
        page = vma.space.pages.get(vma.index_of(address))
        if not page or not self.grab.has_room(page, flags):
            return self.follow_page(process, address, flags)
        self.grab.take(page, flags, "slow")
        return page


class _LooksAfterTheFaultAsAReader(GupSlow):
    """After a write fault the page table is walked as if for reading."""

    def follow_after_fault(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        return self.follow_page(process, address, attrs.evolve(flags, write=False))


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gup_fast.does_not_look_again",
        ("GWB-FAST-RECHECK", "MKW-DEVICE", "GWB-NEVER"),
        partial(boot, parts=Parts(make_gup_fast=_DoesNotLookAgain)),
        "GUP-fast grants a page by the entry that it read before it took the page",
    ),
    Mutant(
        "gup_fast.looks_only_at_the_page",
        ("GWB-FAST-RECHECK", "MKW-DEVICE"),
        partial(boot, parts=Parts(make_gup_fast=_LooksOnlyAtThePage)),
        "GUP-fast asks for writeback, but not whether the entry is still the same",
        "Z36: 70cbc3cc78a9, 2ba99c5e0881, a look again at one half of what may change",
    ),
    Mutant(
        "gup_fast.overlooks_the_write_bit",
        ("GWB-FAST-RECHECK", "MKW-DEVICE"),
        partial(boot, parts=Parts(make_gup_fast=_OverlooksTheWriteBit)),
        "GUP-fast compares which page the entry maps, and not whether for writing",
    ),
    Mutant(
        "gup_fast.looks_again_for_the_first_page",
        ("GWB-FAST-RECHECK", "MKW-DEVICE"),
        partial(boot, parts=Parts(make_gup_fast=_IsCarefulOnce)),
        "GUP-fast looks again for the first page of a request, and for no other",
    ),
    Mutant(
        "gup_fast.looks_again_before_it_counts",
        ("GWB-FAST-ORDER", "MKW-DEVICE"),
        partial(boot, parts=Parts(make_gup_fast=_LooksAgainBeforeItCounts)),
        "GUP-fast reads the entry again first, and counts the pin after that",
    ),
    Mutant(
        "gup_fast.backoff_keeps_the_reference",
        (
            "GWB-BACKOFF-CLEAN",
            "REF-NOTINTERCHANGEABLE",
            "REF-FREE",
            "CNT-BAL",
            "CNT-BACKOFF",
            "CNT-MODERN",
            "REF-COMPOUND",
        ),
        partial(boot, parts=Parts(make_gup_fast=_BackOffKeepsTheReference)),
        "A back-off forgets to give the page back",
    ),
    Mutant(
        "gup_fast.third_backoff_leaks",
        (
            "GWB-BACKOFF-CLEAN",
            "REF-NOTINTERCHANGEABLE",
            "CNT-BAL",
            "CNT-BACKOFF",
            "CNT-MODERN",
        ),
        partial(boot, parts=Parts(make_gup_fast=_ThirdBackOffLeaks)),
        "The third back-off forgets to give the page back",
    ),
    Mutant(
        "gup_fast.backoff_dirties",
        ("GWB-BACKOFF-CLEAN", "MKW-UNRESERVE", "MKW-RO-GUP"),
        partial(boot, parts=Parts(make_gup_fast=_BackOffDirties)),
        "A back-off marks the page dirty, as for a device that has written",
    ),
    Mutant(
        "gup_fast.backoff_stays_in_the_result",
        (
            "GWB-BACKOFF-CLEAN",
            "MKW-DEVICE",
            "GWB-NEVER",
            "GWB-FAST-RECHECK",
            "GWB-FAST-ORDER",
            "WB-RECLAIM",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
            "REF-QUERY",
            "REF-FREE",
            "CNT-BAL",
            "CNT-BACKOFF",
            "CNT-MODERN",
            "REF-COMPOUND",
            "ANON-FORK-SEQ",
            "ANON-EXCL",
        ),
        partial(boot, parts=Parts(make_gup_fast=_BackOffStaysInTheResult)),
        "A page that was given back is granted all the same",
    ),
    Mutant(
        "gup_fast.goes_on_after_a_backoff",
        (
            "GWB-BACKOFF-CLEAN",
            "GWB-NEVER",
            "GWB-REDIRTY-DURING",
            "WB-RECLAIM",
            "REF-NOTINTERCHANGEABLE",
            "REF-QUERY",
            "MKW-DEVICE",
            "DRT-FSYNC",
            "INV-UNMAP",
        ),
        partial(boot, parts=Parts(make_gup_fast=_GoesOnAfterABackOff)),
        "The fast walk passes over a page that it had to give back",
    ),
    Mutant(
        "gup.takes_the_page_of_the_fault",
        ("GWB-SLOW-RETRY", "MKW-DEVICE"),
        partial(boot, parts=Parts(make_gup_slow=_TakesThePageOfTheFault)),
        "After the fault the page of the file is taken, whatever the page table says",
    ),
    Mutant(
        "gup.looks_after_the_fault_as_a_reader",
        (
            "GWB-SLOW-RETRY",
            "MKW-DEVICE",
            "GWB-WRITEBIT",
            "ANON-FORCE",
            "REF-BALANCE",
            "CNT-BAL",
            "CNT-MODERN",
        ),
        partial(boot, parts=Parts(make_gup_slow=_LooksAfterTheFaultAsAReader)),
        "After a write fault the page table is walked as if for reading",
        "Z1: CVE-2016-5195, fix 19be0eaffa3a",
    ),
)
