"""Stacks that grant long-term pins of pages that are written back."""

from functools import partial

from conformance.interface import Errno, KernelError
from reference_impl.gup import GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte
from reference_impl.stack import boot


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


MUTANTS: tuple[Mutant, ...] = (
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
