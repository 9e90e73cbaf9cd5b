"""Stacks that hand out pages that nobody may have, or not in this way."""

from functools import partial

import attrs

from conformance.interface import Step
from reference_impl.anon import is_zero
from reference_impl.cow import Access, Cow
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- FOLL_FORCE and the look after the fault ------------------------------------------


class _ForcesItsWay(Grab):
    """FOLL_FORCE writes to whatever page of a file is mapped, copied before or not."""

    def may_force(self, page: Page, flags: GupFlags) -> bool:
        return flags.force and not is_zero(page)


class _ForcesItsWayIntoZero(Grab):
    """FOLL_FORCE writes to the zero page as if it were the process's own."""

    def may_force(self, page: Page, flags: GupFlags) -> bool:
        return super().may_force(page, flags) or (flags.force and is_zero(page))


class _DropsTheWriteFlag(GupSlow):
    """After a write fault in a private mapping of a file only reading is asked for."""

    def get_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page]:
        page = self.follow_page(process, address, flags)
        while page is None:
            yield Step("gup_slow.pte_read")
            yield from self.fault_in(process, address, flags)
            yield Step("gup_slow.faulted")
            vma = process.find_vma(address)
            if vma is not None and vma.is_private and vma.backing is not None:
                flags = attrs.evolve(flags, write=False)
            page = self.follow_after_fault(process, address, flags)
        yield Step("gup_slow.reference_taken")
        return page


# --- private mappings of files --------------------------------------------------------


class _WritesToDirtyPagesOfFiles(Cow):
    """A page of a file that is dirty need not be copied before it is written to."""

    def change(self, vma: Vma, address: int, pte: Pte, access: Access) -> Stepped[None]:
        is_dirty = pte.page.mapping is not None and pte.page.is_dirty
        if access.write and vma.is_writable and is_dirty:
            pte = Pte(pte.page, is_writable=True, is_dirty=True)
            self.tables.set_pte(vma.process, address, pte)
        else:
            yield from super().change(vma, address, pte, access)


class _TellsTheFilesystem(Cow):
    """A write to a private mapping is a modification of the file."""

    def map_file(self, vma: Vma, address: int, access: Access) -> Stepped[None]:
        yield from super().map_file(vma, address, access)
        if access.write:
            vma.inode.mkwrites += 1
            self.filesystem.update_mtime(vma.inode)


# --- the zero page --------------------------------------------------------------------


class _CountsTheZeroPage(Grab):
    """A pin of the zero page is counted, and its put is not."""

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        super().take(page, flags, path)
        if is_zero(page) and flags.tracked:
            self.counters.count_slow()


class _CountsPutsOfTheZeroPage(Grab):
    """A put of the zero page is counted, and its pin is not."""

    def release(self, page: Page) -> None:
        super().release(page)
        if is_zero(page):
            self.counters.count_returned()


# --- long-term pins, and secrets ------------------------------------------------------


class _ReadersKeepPagesOfFiles(Grab):
    """Who reads for long is given the page that the first store will replace."""

    def must_unshare(self, pte: Pte, flags: GupFlags, *, is_private: bool) -> bool:
        is_anon = pte.page.anon is not None
        return is_anon and super().must_unshare(pte, flags, is_private=is_private)


class _FastReadersKeepPagesOfFiles(GupFast):
    """GUP-fast takes a private mapping for a shared one."""

    def must_unshare(self, pte: Pte, flags: GupFlags) -> bool:
        return self.grab.must_unshare(pte, flags, is_private=False)


class _ReadersKeepTheZeroPage(Grab):
    """Who reads for long is given the zero page."""

    def must_unshare(self, pte: Pte, flags: GupFlags, *, is_private: bool) -> bool:
        must = super().must_unshare(pte, flags, is_private=is_private)
        return must and not is_zero(pte.page)


class _FastPathTellsSecrets(GupFast):
    """GUP-fast does not look whether a page is secret."""

    def is_secret(self, page: Page) -> bool:
        return False


class _SlowPathTellsSecrets(GupSlow):
    """get_user_pages does not look whether a mapping is secret."""

    def check_secret(self, process: Process, address: int) -> None:
        pass


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gup.forces_its_way",
        ("ANON-FORCE", "INV-REUSE"),
        partial(boot, parts=Parts(make_grab=_ForcesItsWay)),
        "FOLL_FORCE writes to whatever page of a file is mapped, copied before or not",
        "Z4: CVE-2022-2590, 5535be309971, without proof of a copy",
    ),
    Mutant(
        "gup.forces_its_way_into_zero",
        ("ANON-FORCE", "CNT-BAL", "CNT-MODERN", "REF-BALANCE"),
        partial(boot, parts=Parts(make_grab=_ForcesItsWayIntoZero)),
        "FOLL_FORCE writes to the zero page as if it were the process's own",
        "Z2: CVE-2017-1000405, a8f97366452e",
    ),
    Mutant(
        "gup.drops_the_write_flag",
        ("GWB-WRITEBIT", "ANON-FORCE"),
        partial(boot, parts=Parts(make_gup_slow=_DropsTheWriteFlag)),
        "after a write fault in a private mapping of a file only reading is asked for",
        "Z1: CVE-2016-5195, 19be0eaffa3a",
    ),
    Mutant(
        "private.writes_to_dirty_pages_of_files",
        ("MKW-PRIVATE-MAP",),
        partial(boot, parts=Parts(make_cow=_WritesToDirtyPagesOfFiles)),
        "a page of a file that is dirty is not copied before it is written to",
    ),
    Mutant(
        "private.tells_the_filesystem",
        ("MKW-PRIVATE-MAP",),
        partial(boot, parts=Parts(make_cow=_TellsTheFilesystem)),
        "a write to a private mapping is taken for a modification of the file",
    ),
    Mutant(
        "zero.counts_pins",
        ("REF-ZERO",),
        partial(boot, parts=Parts(make_grab=_CountsTheZeroPage)),
        "a pin of the zero page is counted, and its put is not",
        "Z25: before 873aefb376bb and c8070b787519",
    ),
    Mutant(
        "zero.counts_puts",
        ("REF-ZERO",),
        partial(boot, parts=Parts(make_grab=_CountsPutsOfTheZeroPage)),
        "a put of the zero page is counted, and its pin is not",
        "Z25: the backport to 6.1.130, undone by 11537819950",
    ),
    Mutant(
        "longterm.readers_keep_pages_of_files",
        ("LT-RO",),
        partial(boot, parts=Parts(make_grab=_ReadersKeepPagesOfFiles)),
        "who reads for long is given the page that the first store will replace",
        "before 84209e87c696",
    ),
    Mutant(
        "longterm.fast_readers_keep_pages_of_files",
        ("LT-RO",),
        partial(boot, parts=Parts(make_gup_fast=_FastReadersKeepPagesOfFiles)),
        "GUP-fast takes a private mapping for a shared one",
    ),
    Mutant(
        "longterm.readers_keep_the_zero_page",
        ("LT-RO",),
        partial(boot, parts=Parts(make_grab=_ReadersKeepTheZeroPage)),
        "who reads for long is given the zero page",
    ),
    Mutant(
        "secret.fast_path_tells",
        ("LT-SECRETMEM",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathTellsSecrets)),
        "GUP-fast does not look whether a page is secret",
        "Z35: 65291dcfcf89",
    ),
    Mutant(
        "secret.slow_path_tells",
        ("LT-SECRETMEM",),
        partial(boot, parts=Parts(make_gup_slow=_SlowPathTellsSecrets)),
        "get_user_pages does not look whether a mapping is secret",
    ),
)
