"""Stacks that grant long-term pins of pages that are written back."""

from functools import partial

from conformance.interface import Errno, KernelError
from reference_impl.dma import Devices, Pin
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.ksm import Ksm
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.migrate import Migration
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte
from reference_impl.stack import boot
from reference_impl.steal import CACHE_AND_OURS, Thief


class _GrantsAll(GupSlow):
    """Long-term write pins of file pages are granted like any other."""

    def refuses_longterm(self, flags: GupFlags, *, is_tracked: bool) -> bool:
        return False


class _SlowPathGrants(GupSlow):
    """get_user_pages does not look at the file; the fast path does."""

    def check_vma(self, process: Process, address: int, flags: GupFlags) -> None:
        vma = process.find_vma(address)
        if vma is None or (flags.write and not vma.is_writable):
            raise KernelError(Errno.EFAULT, f"address {address} is not mapped so")


class _FastPathGrants(GupFast):
    """get_user_pages_fast does not look whose page it is; the slow path does."""

    def may_use(self, pte: Pte, flags: GupFlags) -> bool:
        return self.grab.may_use(pte, flags)


class _FastPathGrantsDirtyPages(GupFast):
    """get_user_pages_fast thinks that a page that is dirty need not be tracked."""

    def may_use(self, pte: Pte, flags: GupFlags) -> bool:
        if pte.page.is_dirty:
            return self.grab.may_use(pte, flags)
        return super().may_use(pte, flags)


class _Inverted(GupSlow):
    """The test is the wrong way round: pages without write-back are refused."""

    def refuses_longterm(self, flags: GupFlags, *, is_tracked: bool) -> bool:
        return flags.longterm and flags.write and not is_tracked


class _NeedsBoth(GupSlow):
    """Only plain references are refused for the long term, not pins."""

    def refuses_longterm(self, flags: GupFlags, *, is_tracked: bool) -> bool:
        refused = super().refuses_longterm(flags, is_tracked=is_tracked)
        return refused and not flags.tracked


class _ForgetsChildren(GupSlow):
    """The mappings that a child has inherited are not looked at."""

    def check_vma(self, process: Process, address: int, flags: GupFlags) -> None:
        try:
            super().check_vma(process, address, flags)
        except KernelError:
            vma = process.find_vma(address)
            if process.pid == 0 or vma is None or not vma.is_writable:
                raise


# --- staying where they are -----------------------------------------------------------


class _LeavesThemMovable(Devices):
    """Long-term pins are granted wherever the pages are."""

    def must_settle(self, pages: list[Page]) -> bool:
        return False


class _LooksAtTheFirstPage(Devices):
    """Of a long-term pin only the first page is looked at."""

    def must_settle(self, pages: list[Page]) -> bool:
        return super().must_settle(pages[:1])


class _MigratesPinnedPages(Migration):
    """Pages are moved whoever has a reference of them."""

    def may_begin(self, page: Page) -> bool:
        return not page.is_large and not page.is_under_writeback

    def may_move(self, page: Page) -> bool:
        return True


class _AsksTooEarly(Migration):
    """Who holds a page is asked before its entries are changed, and not again."""

    def may_begin(self, page: Page) -> bool:
        return super().may_begin(page) and Migration.may_move(self, page)

    def may_move(self, page: Page) -> bool:
        return True


class _MergesPinnedPages(Ksm):
    """Equal pages are merged though one of them is pinned."""

    def may_share(self, page: Page) -> bool:
        return True


class _NeverCharges(Devices):
    """Long-term pins cost nothing."""

    def keep(self, handle: int, pin: Pin) -> int:
        if pin.flags.longterm:
            self.grab.counters.pinned_vm -= len(pin.pages)
        return super().keep(handle, pin)

    def uncharge(self, pin: Pin) -> None:
        return None


class _KeepsTheCharge(Devices):
    """What is put page by page is charged for ever."""

    def put_user_page(self, handle: int, page: int) -> None:
        if self.find_pin(handle).flags.longterm:
            self.grab.counters.pinned_vm += 1
        super().put_user_page(handle, page)


class _StealsPinnedPages(Thief):
    """A clean page is stolen though it is pinned, if it is not mapped."""

    def is_held(self, page: Page) -> bool:
        bias = self.filesystem.memory.geometry.pin_bias
        return page.refcount % bias != CACHE_AND_OURS


class _StripsBeforeItLooks(Thief):
    """The buffers of a page go before it is known whether the page may."""

    def may_steal(self, page: Page) -> bool:
        is_quiet = not page.is_dirty and not page.is_under_writeback
        if page.has_buffers and is_quiet:
            self.filesystem.cache.release_buffers(page)
        return super().may_steal(page)


MOVE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "longterm.leaves_them_movable",
        ("LT-ZONE",),
        partial(boot, parts=Parts(make_devices=_LeavesThemMovable)),
        "long-term pins are granted wherever the pages are",
        "Z38: d1e153fea2a8, pins in ZONE_MOVABLE block hotplug",
    ),
    Mutant(
        "longterm.looks_at_the_first_page",
        ("LT-ZONE",),
        partial(boot, parts=Parts(make_devices=_LooksAtTheFirstPage)),
        "of a long-term pin only the first page is looked at",
    ),
    Mutant(
        "longterm.migrates_pinned_pages",
        ("LT-NOMOVE", "DRT-SKIP-IF-DIRTY", "DRT-FSYNC", "REF-QUERY", "ANON-NOSWAP"),
        partial(boot, parts=Parts(make_migration=_MigratesPinnedPages)),
        "pages are moved whoever has a reference of them",
    ),
    Mutant(
        "longterm.asks_too_early",
        ("LT-NOMOVE", "REF-QUERY"),
        partial(boot, parts=Parts(make_migration=_AsksTooEarly)),
        "who holds a page is asked before its entries are changed, and not again",
    ),
    Mutant(
        "longterm.merges_pinned_pages",
        ("LT-NOMOVE", "ANON-EXCL"),
        partial(boot, parts=Parts(make_ksm=_MergesPinnedPages)),
        "equal pages are merged though one of them is pinned",
    ),
    Mutant(
        "longterm.never_charges",
        ("LT-MEMLOCK",),
        partial(boot, parts=Parts(make_devices=_NeverCharges)),
        "long-term pins cost nothing",
    ),
    Mutant(
        "longterm.keeps_the_charge",
        ("LT-MEMLOCK",),
        partial(boot, parts=Parts(make_devices=_KeepsTheCharge)),
        "what is put page by page is charged for ever",
    ),
    Mutant(
        "longterm.steals_pinned_pages",
        ("INV-STEAL", "REF-QUERY", "LT-NOMOVE"),
        partial(boot, parts=Parts(make_thief=_StealsPinnedPages)),
        "a clean page is stolen though it is pinned, if it is not mapped",
    ),
    Mutant(
        "longterm.strips_before_it_looks",
        ("INV-STEAL",),
        partial(boot, parts=Parts(make_thief=_StripsBeforeItLooks)),
        "the buffers of a page go before it is known whether the page may",
        "page_cache_pipe_buf_try_steal of today's kernel",
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    *MOVE_MUTANTS,
    Mutant(
        "longterm.grants_all",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_slow=_GrantsAll)),
        "long-term write pins of file pages are granted like any other",
        "Z15: before 8ac268436e6d",
    ),
    Mutant(
        "longterm.slow_path_grants",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_slow=_SlowPathGrants)),
        "get_user_pages does not look at the file; the fast path does",
        "Z15: 8ac268436e6d",
    ),
    Mutant(
        "longterm.fast_path_grants",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathGrants)),
        "get_user_pages_fast does not look whose page it is; the slow path does",
        "Z15: before the fast path had its check",
    ),
    Mutant(
        "longterm.fast_path_grants_dirty_pages",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathGrantsDirtyPages)),
        "get_user_pages_fast thinks that a page that is dirty need not be tracked",
    ),
    Mutant(
        "longterm.inverted",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_slow=_Inverted)),
        "the test is the wrong way round: pages without write-back are refused",
        "Z16: inverted logic, found in review of the series of 8ac268436e6d",
    ),
    Mutant(
        "longterm.needs_both",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_slow=_NeedsBoth)),
        "only plain references are refused for the long term, not pins",
        "Z16: PIN or LONGTERM where both were meant",
    ),
    Mutant(
        "longterm.forgets_children",
        ("LT-REFUSE",),
        partial(boot, parts=Parts(make_gup_slow=_ForgetsChildren)),
        "the mappings that a child has inherited are not looked at",
    ),
)
