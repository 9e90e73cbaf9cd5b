"""Stacks that get page_mkwrite wrong against what happens beside a fault."""

from functools import partial

from conformance.interface import Step
from reference_impl.fault import Access, Fault
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Pte, Vma
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- MKW-ORDER, MKW-RETLOCK, MKW-TRUNC --------------------------------------------


class _UnlocksBeforePte(Fault):
    """page_mkwrite dirties and unlocks the page; it is mapped writable after that."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        is_ready = yield from self.filesystem.page_mkwrite(
            vma.inode,
            page,
            vma.index_of(address),
            for_device=access.for_device,
            nowait=access.nowait,
        )
        if is_ready:
            self.filesystem.cache.mark_dirty(page)
            self.filesystem.end_pagefault()
            self.filesystem.cache.unlock(page)
        yield Step("fault.mkwrite_returned")
        if is_ready:
            pte = Pte(page, is_writable=True)
            self.tables.set_pte(vma.process, address, pte)


class _LocksAgainWithoutLooking(Fault):
    """page_mkwrite returns unlocked; its caller locks the page and looks no further."""

    def map_for_write(
        self, vma: Vma, address: int, page: Page, access: Access
    ) -> Stepped[None]:
        cache = self.filesystem.cache
        is_ready = yield from self.filesystem.page_mkwrite(
            vma.inode,
            page,
            vma.index_of(address),
            for_device=access.for_device,
            nowait=access.nowait,
        )
        if is_ready:
            self.filesystem.end_pagefault()
            cache.unlock(page)
        yield Step("fault.mkwrite_returned")
        if is_ready:
            yield from cache.lock(page, "fault")
            self.filesystem.start_pagefault()
            yield from self.finish_mkwrite(vma, address, page)


class _MapsOver(Fault):
    """A page that is not valid may be mapped where another fault has mapped its own."""

    def set_writable(self, vma: Vma, address: int, page: Page) -> None:
        old = vma.process.ptes.get(address)
        if old is None or old.page is page:
            super().set_writable(vma, address, page)
        else:
            pte = Pte(page, is_writable=True, is_dirty=True)
            self.tables.replace(vma.process, address, pte)


class _NeverRevalidates(Filesystem):
    """A page that was found is taken for the page of the file for ever."""

    def is_valid(self, inode: Inode, page: Page, index: int) -> bool:
        return True


class _LooksAtTheSizeOnly(Filesystem):
    """Under the lock only the size is asked for, not whose page it is."""

    def is_valid(self, inode: Inode, page: Page, index: int) -> bool:
        return index * self.geometry.words_per_page < inode.size_words


class _FaultsDuringPunch(Filesystem):
    """Pages come in over blocks that are about to be freed."""

    def bring_in(self, inode: Inode, index: int, *, nowait: bool) -> Stepped[None]:
        page = self.memory.allocate()
        self.cache.insert(inode.space, index, page)
        self.fill_or_drop(inode, page, index)
        yield Step("read.page_filled")


# --- MKW-RANGE --------------------------------------------------------------------


class _ShowsWhatWasBeyondTheEnd(Files):
    """A file that grows shows what was stored beyond its end."""

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        return
        yield


class _ZeroesDirtyPagesOnly(Files):
    """What was stored beyond the end is zeroed only in a page that is dirty."""

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        index = inode.size_words // self.filesystem.geometry.words_per_page
        page = inode.space.pages.get(index)
        if page is not None and page.is_dirty:
            yield from super().zero_last_page(inode)


class _GrowsToTheEndOfThePage(Fault):
    """A write fault makes the file as long as its pages are."""

    def finish_mkwrite(self, vma: Vma, address: int, page: Page) -> Stepped[None]:
        words_per_page = self.filesystem.geometry.words_per_page
        end = (page.index + 1) * words_per_page
        vma.inode.size_words = max(vma.inode.size_words, end)
        yield from super().finish_mkwrite(vma, address, page)


# --- MKW-FREEZE -------------------------------------------------------------------


class _WritesWhenFrozen(Filesystem):
    """page_mkwrite does not wait for thaw."""

    def must_wait_for_thaw(self) -> bool:
        return False


class _PinsWhenFrozen(Filesystem):
    """page_mkwrite for get_user_pages does not wait for thaw."""

    def lock_for_write(
        self, inode: Inode, page: Page, index: int, for_device: bool, nowait: bool
    ) -> Stepped[bool]:
        if not for_device:
            waits = for_device, nowait
            return (yield from super().lock_for_write(inode, page, index, *waits))
        yield from self.cache.lock(page, "page_mkwrite", nowait=nowait)
        while page.is_under_writeback or not self.may_be_dirtied(inode, index):
            self.cache.unlock(page)
            yield from self.cache.wait_writeback(page, nowait=nowait)
            yield from self.wait_for_sharing(inode, index, nowait=nowait)
            yield from self.cache.lock(page, "page_mkwrite", nowait=nowait)
        if not self.is_valid(inode, page, index):
            self.cache.unlock(page)
            return False
        self.start_pagefault()
        return True


class _WaitsForTheFirstFreezeOnly(Filesystem):
    """A page_mkwrite that has waited for thaw once is not kept waiting again."""

    was_frozen = False
    was_thawed = False

    def must_wait_for_thaw(self) -> bool:
        self.was_thawed |= self.was_frozen and not self.gate.is_closed
        self.was_frozen |= self.gate.is_closed
        return self.gate.is_closed and not self.was_thawed


FAULT_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "mkwrite.unlocks_before_pte",
        (
            "MKW-ORDER",
            "MKW-EVERY",
            "MKW-DEVICE",
            "MKW-RETLOCK",
            "MKW-TRUNC",
            "MKW-MTIME",
            "WB-PTEDIRTY",
            "REF-FREE",
        ),
        partial(boot, parts=Parts(make_fault=_UnlocksBeforePte)),
        "page_mkwrite unlocks the page, and the entry is made writable after that",
        "b827e496c893: page_mkwrite without handing over the lock",
    ),
    Mutant(
        "mkwrite.locks_again_without_looking",
        (
            "MKW-RETLOCK",
            "MKW-EVERY",
            "MKW-TRUNC",
            "MKW-MTIME",
            "WB-PTEDIRTY",
            "REF-FREE",
        ),
        partial(boot, parts=Parts(make_fault=_LocksAgainWithoutLooking)),
        "The caller of page_mkwrite locks the page again and does not look whose it is",
    ),
    Mutant(
        "mkwrite.never_revalidates",
        (
            "MKW-TRUNC",
            "MKW-EVERY",
            "MKW-RETLOCK",
            "MKW-UNRESERVE",
            "MKW-MTIME",
            "WB-PTEDIRTY",
            "REF-FREE",
        ),
        partial(
            boot, parts=Parts(make_filesystem=_NeverRevalidates, make_fault=_MapsOver)
        ),
        "page_mkwrite does not look again, under the lock, whose page it has",
    ),
    Mutant(
        "mkwrite.looks_at_the_size_only",
        (
            "MKW-TRUNC",
            "MKW-EVERY",
            "MKW-RETLOCK",
            "MKW-UNRESERVE",
            "MKW-MTIME",
            "WB-PTEDIRTY",
            "REF-FREE",
        ),
        partial(
            boot, parts=Parts(make_filesystem=_LooksAtTheSizeOnly, make_fault=_MapsOver)
        ),
        "page_mkwrite looks at the size of the file only, which may have grown back",
    ),
    Mutant(
        "mkwrite.faults_during_punch",
        ("MKW-TRUNC", "MKW-RANGE"),
        partial(boot, parts=Parts(make_filesystem=_FaultsDuringPunch)),
        "Nothing keeps faults out while a hole is punched",
        "Z31 (MKW-PUNCH): CVE-2015-8839, ea3d7209ca01",
    ),
    Mutant(
        "mkwrite.shows_what_was_beyond_the_end",
        ("MKW-RANGE", "BNC-FSYNC", "BNC-EOF"),
        partial(boot, parts=Parts(make_files=_ShowsWhatWasBeyondTheEnd)),
        "A file that grows shows what was stored beyond its end",
    ),
    Mutant(
        "mkwrite.zeroes_dirty_pages_only",
        ("MKW-RANGE",),
        partial(boot, parts=Parts(make_files=_ZeroesDirtyPagesOnly)),
        "What was stored beyond the end is zeroed in dirty pages only",
    ),
    Mutant(
        "mkwrite.grows_to_the_end_of_the_page",
        ("MKW-RANGE", "BNC-EOF", "BNC-FSYNC", "SNAP-ISOLATE"),
        partial(boot, parts=Parts(make_fault=_GrowsToTheEndOfThePage)),
        "A store into the last page makes the file as long as the page",
    ),
    Mutant(
        "mkwrite.writes_when_frozen",
        ("MKW-FREEZE",),
        partial(boot, parts=Parts(make_filesystem=_WritesWhenFrozen)),
        "page_mkwrite does not wait while the filesystem is frozen",
    ),
    Mutant(
        "mkwrite.pins_when_frozen",
        ("MKW-FREEZE",),
        partial(boot, parts=Parts(make_filesystem=_PinsWhenFrozen)),
        "page_mkwrite for get_user_pages does not wait while it is frozen",
    ),
    Mutant(
        "mkwrite.waits_for_the_first_freeze_only",
        ("MKW-FREEZE",),
        partial(boot, parts=Parts(make_filesystem=_WaitsForTheFirstFreezeOnly)),
        "Once a page_mkwrite has waited for thaw, none waits any more",
    ),
)
