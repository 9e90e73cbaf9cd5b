"""Stacks that put another page in the place of one that a device has."""

from functools import partial

from reference_impl.advice import Advice
from reference_impl.cow import Cow
from reference_impl.gup import Grab, GupFlags
from reference_impl.gup_fast import GupFast
from reference_impl.ksm import Ksm
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mm import Mm
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.swap import Swap

# --- exclusiveness --------------------------------------------------------------------


class _MergesPinnedPages(Ksm):
    """Equal pages are merged, whoever holds them."""

    def may_share(self, page: Page) -> bool:
        return True


class _AsksTheOtherPageOnly(Ksm):
    """Of two equal pages, the one that stays is not asked for pins."""

    def may_merge(self, owner: Process, earlier: int, address: int) -> bool:
        first, second = owner.ptes.get(earlier), owner.ptes.get(address)
        if first is None or second is None or first.page is second.page:
            return False
        return first.page.words == second.page.words and self.may_share(second.page)

    def protect(self, owner: Process, address: int) -> None:
        if address in owner.ptes:
            self.tables.protect(owner, address, clean=False)


class _ReadersShare(Grab):
    """Who only reads is given the page as it is, shared or not."""

    def must_unshare(self, pte: Pte, flags: GupFlags, *, is_private: bool) -> bool:
        is_anon = pte.page.anon is not None
        return not is_anon and super().must_unshare(pte, flags, is_private=is_private)


class _FastReadersShare(GupFast):
    """GUP-fast gives readers a page as it is, shared or not."""

    def must_unshare(self, pte: Pte, flags: GupFlags) -> bool:
        return pte.page.anon is None and super().must_unshare(pte, flags)


class _ParentsNeedNoCopy(Grab):
    """A page that the process wrote is thought to be its own, after a fork, too."""

    def must_unshare(self, pte: Pte, flags: GupFlags, *, is_private: bool) -> bool:
        must = super().must_unshare(pte, flags, is_private=is_private)
        return must and not (pte.page.anon is not None and pte.is_dirty)


class _CopiesWhatIsHeld(Cow):
    """A page that anybody else holds is copied before it is written to."""

    def may_reuse(self, page: Page) -> bool:
        return super().may_reuse(page) and page.refcount == 1


class _CopiesWhatIsPinnedTwice(Cow):
    """A page that two devices hold is thought to be shared."""

    def may_reuse(self, page: Page) -> bool:
        bias = self.filesystem.geometry.pin_bias
        return super().may_reuse(page) and page.refcount < 2 * bias


class _LastMappingOwnsThePage(Mm):
    """When one mapping of a page is left, the page belongs to its process alone."""

    def remove_vma(self, vma: Vma) -> Stepped[None]:
        ptes = vma.process.ptes
        pages = [ptes[a].page for a in vma.addresses if a in ptes]
        yield from super().remove_vma(vma)
        for page in pages:
            if len(self.rmap.entries_of(page)) == 1:
                page.is_exclusive = page.anon is not None


class _LastEntryOwnsThePage(Advice):
    """When a process gives a shared page up, it is the other's alone."""

    def give_up(self, vma: Vma, address: int) -> bool:
        pte = vma.process.ptes.get(address)
        is_anything = super().give_up(vma, address)
        if pte is not None and len(self.rmap.entries_of(pte.page)) == 1:
            pte.page.is_exclusive = pte.page.anon is not None
        return is_anything


# --- bookkeeping and swap -------------------------------------------------------------


class _ProtectsAsAForkDoes(Advice):
    """clear_refs write-protects pinned pages, and lets the next write copy them."""

    def may_protect(self, page: Page) -> bool:
        if page.anon is not None:
            page.is_exclusive = False
        return True


class _SwapsPinnedPages(Swap):
    """Pages go to swap, whoever holds them."""

    def may_move(self, page: Page) -> bool:
        return True


class _SwapsPagesPinnedOnce(Swap):
    """A page with a single pin is taken for one that is only being looked at."""

    def may_move(self, page: Page) -> bool:
        is_pinned = page.refcount >= 2 * self.memory.geometry.pin_bias
        return not is_pinned and page.refcount > 1


# --- giving up ------------------------------------------------------------------------


class _KeepsPinnedPages(Advice):
    """A page that is pinned is not given up."""

    def give_up(self, vma: Vma, address: int) -> bool:
        pte = vma.process.ptes.get(address)
        if pte is not None and self.memory.maybe_dma_pinned(pte.page):
            return False
        return super().give_up(vma, address)


class _ZeroesInPlace(Advice):
    """A page of one process is zeroed where it is, instead of being given up."""

    def give_up(self, vma: Vma, address: int) -> bool:
        pte = vma.process.ptes.get(address)
        if pte is None or not pte.page.is_exclusive or vma.backing is not None:
            return super().give_up(vma, address)
        pte.page.words = [0] * len(pte.page.words)
        return True


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "ksm.merges_pinned_pages",
        ("ANON-EXCL", "LT-NOMOVE"),
        partial(boot, parts=Parts(make_ksm=_MergesPinnedPages)),
        "equal pages are merged, whoever holds them",
    ),
    Mutant(
        "ksm.asks_the_other_page_only",
        ("ANON-EXCL",),
        partial(boot, parts=Parts(make_ksm=_AsksTheOtherPageOnly)),
        "of two equal pages, the one that stays is not asked for pins",
    ),
    Mutant(
        "gup.readers_share",
        ("ANON-UNSHARE",),
        partial(boot, parts=Parts(make_grab=_ReadersShare)),
        "who only reads is given the page as it is, shared or not",
        "Z3: CVE-2020-29374, 17839856fd58",
    ),
    Mutant(
        "gup_fast.readers_share",
        ("ANON-UNSHARE",),
        partial(boot, parts=Parts(make_gup_fast=_FastReadersShare)),
        "GUP-fast gives readers a page as it is, shared or not",
    ),
    Mutant(
        "gup.parents_need_no_copy",
        ("ANON-UNSHARE",),
        partial(boot, parts=Parts(make_grab=_ParentsNeedNoCopy)),
        "a page that the process wrote is thought to be its own, after a fork, too",
        "Z2: a8f97366452e, a dirty bit was taken for a proof of a copy",
    ),
    Mutant(
        "cow.copies_what_is_held",
        ("ANON-WRITEREUSE", "ANON-FORK-COPY", "ANON-UNSHARE", "LT-RO"),
        partial(boot, parts=Parts(make_cow=_CopiesWhatIsHeld)),
        "a page that anybody else holds is copied before it is written to",
        "Z20: 09854ba94c6a, until 6c287605fd56",
    ),
    Mutant(
        "cow.copies_what_is_pinned_twice",
        ("ANON-WRITEREUSE",),
        partial(boot, parts=Parts(make_cow=_CopiesWhatIsPinnedTwice)),
        "a page that two devices hold is thought to be shared",
    ),
    Mutant(
        "mm.last_mapping_owns_the_page",
        ("ANON-ISOLATION", "ANON-UNSHARE"),
        partial(
            boot, parts=Parts(make_mm=_LastMappingOwnsThePage, make_grab=_ReadersShare)
        ),
        "when one mapping of a page is left, its process writes to it in place, "
        "whoever reads it",
        "Z3: CVE-2020-29374, 17839856fd58",
    ),
    Mutant(
        "mm.last_entry_owns_the_page",
        ("ANON-ISOLATION", "ANON-UNSHARE"),
        partial(
            boot,
            parts=Parts(make_advice=_LastEntryOwnsThePage, make_grab=_ReadersShare),
        ),
        "when a process has given a shared page up, the other writes to it in place",
        "Z3: CVE-2020-29374, 17839856fd58",
    ),
    Mutant(
        "clear_refs.protects_as_a_fork_does",
        ("ANON-NOWP", "ANON-EXCL"),
        partial(boot, parts=Parts(make_advice=_ProtectsAsAForkDoes)),
        "clear_refs write-protects pinned pages, and lets the next write copy them",
        "Z23: before 9348b73c2e1b",
    ),
    Mutant(
        "swap.swaps_pinned_pages",
        ("ANON-NOSWAP", "LT-NOMOVE"),
        partial(boot, parts=Parts(make_swap=_SwapsPinnedPages)),
        "pages go to swap, whoever holds them",
        "Z24: before feb889fb40fa",
    ),
    Mutant(
        "swap.swaps_pages_pinned_once",
        ("ANON-NOSWAP", "LT-NOMOVE"),
        partial(boot, parts=Parts(make_swap=_SwapsPagesPinnedOnce)),
        "a page with a single pin is taken for one that is only being looked at",
    ),
    Mutant(
        "madvise.keeps_pinned_pages",
        ("ANON-DONTNEED", "INV-REUSE"),
        partial(boot, parts=Parts(make_advice=_KeepsPinnedPages)),
        "a page that is pinned is not given up",
    ),
    Mutant(
        "madvise.zeroes_in_place",
        ("ANON-DONTNEED", "INV-REUSE"),
        partial(boot, parts=Parts(make_advice=_ZeroesInPlace)),
        "a page is zeroed where it is, instead of being given up",
    ),
)
