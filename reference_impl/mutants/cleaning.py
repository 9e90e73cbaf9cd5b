"""Stacks that clean pages wrongly: an entry forgotten, a dirty bit dropped."""

from functools import partial

import attrs

from conformance.interface import Step
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mm import Cpu, Mm
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagecache import AddressSpace
from reference_impl.pagetable import Vma
from reference_impl.reclaim import Reclaim
from reference_impl.rmap import Owner, Rmap
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- every entry --------------------------------------------------------------------


@attrs.define(eq=False)
class _FlushesNoTranslation(Cpu):
    """The CPU of another process stores on to a page until the page is unmapped."""

    translations: dict[tuple[int, int], Page] = attrs.field(
        factory=dict[tuple[int, int], Page]
    )
    """Pages of files, by process and address."""

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> Stepped[None]:
        owner, address = self.locate(process, mapping, page)
        pte = owner.ptes.get(address)
        stale = self.translations.get((process, address))
        if pte is not None and pte.page is stale and stale.mapping is not None:
            stale.words[word] = value
            return
        yield from super().store(process, mapping, page, word, value)
        pte = owner.ptes.get(address)
        is_of_file = pte is not None and isinstance(pte.page.mapping, AddressSpace)
        if pte is not None and is_of_file and process > 0:
            self.translations[process, address] = pte.page


class _CleansTheFirstMapping(Rmap):
    """The walk over the mappings of a page ends after the first."""

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        return super().vmas_to_clean(space)[:1]


class _CleansMappingsThatBeginAlike(Rmap):
    """A mapping that begins at another page of the file than the first is missed."""

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        vmas = super().vmas_to_clean(space)
        return [vma for vma in vmas if vma.first_page == vmas[0].first_page]


class _ForgetsChildren(Rmap):
    """A mapping that a process has from its parent is missed."""

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        found: list[Vma] = []
        for vma in super().vmas_to_clean(space):
            is_copy = any(
                vma.mapping == other.mapping and vma.start == other.start
                for other in found
            )
            if not is_copy:
                found.append(vma)
        return found


@attrs.define(eq=False)
class _ForgetsAfterTruncate(Rmap):
    """A mapping that a truncate found pages in is missed ever after, but for one."""

    truncated: set[AddressSpace] = attrs.field(factory=set[AddressSpace])

    def unmap_range(
        self, space: AddressSpace, first: int, end: int | None
    ) -> Stepped[None]:
        self.truncated.add(space)
        return super().unmap_range(space, first, end)

    def vmas_to_clean(self, space: AddressSpace) -> list[Vma]:
        vmas = super().vmas_to_clean(space)
        return vmas[:1] if space in self.truncated else vmas


# --- entries that move ----------------------------------------------------------------


class _DoesNotBarMremap(Mm):
    """mremap moves entries while a walk may be going on."""

    bars: tuple[str, ...] = ("munmap", "fork")

    def bar(self, vma: Vma, who: str) -> Stepped[None]:
        if who in self.bars:
            yield from super().bar(vma, who)

    def unbar(self, vma: Vma) -> None:
        if self.rmap.of(vma.owners[0]).lock.held_by in self.bars:
            super().unbar(vma)


class _DoesNotBarFork(_DoesNotBarMremap):
    """fork copies entries while a walk may be going on."""

    bars: tuple[str, ...] = ("munmap", "mremap")


class _WalksUnbarred(Rmap):
    """The walk bars nobody: mremap, fork and munmap go on beside it."""

    def bar_walk(self, space: Owner) -> Stepped[None]:
        yield from ()

    def unbar_walk(self, space: Owner) -> None:
        pass


# --- every dirty bit ------------------------------------------------------------------


class _ClearsBeforeItWalks(Writeback):
    """The dirty flag is cleared and the content taken; then the entries are cleaned.

    What the walk finds comes too late, and is dropped.
    """

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        if self.maybe_pinned(page):
            yield from super().write_page(inode, page, is_integrity=is_integrity)
            return
        self.renew_promise(inode, page, is_pinned=False)
        copy = self.filesystem.memory.allocate()
        words = self.filesystem.cut(inode, page.index, tuple(page.words))
        self.filesystem.cache.clear_dirty_for_io(page)
        yield from self.rmap.page_mkclean(inode.space, page)
        self.filesystem.cache.start_writeback(
            page, is_bounced=False, is_integrity=is_integrity
        )
        block = self.filesystem.map_block(inode, page)
        copy.words = list(self.filesystem.encrypt(block, words))
        self.submit(inode, page, copy, block)
        yield Step("writeback.submitted")


class _DropsWhatUnmapFinds(Reclaim):
    """Reclaim takes a page for clean that it has written, whatever unmapping finds."""

    def may_free(self, page: Page) -> bool:
        return not page.is_under_writeback and not self.is_held(page)


# --- one hold of the lock -------------------------------------------------------------


class _UnlocksInBetween(Writeback):
    """The page lock is dropped between clear dirty and start of writeback.

    Who takes it meanwhile finds a clean page, and may drop it, dirty it or write it:
    the writeback then takes its own work for done.
    """

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        yield from self.protect(inode, page)
        if self.maybe_pinned(page):
            yield from super().write_page(inode, page, is_integrity=is_integrity)
            return
        yield Step("writeback.pin_asked")
        self.renew_promise(inode, page, is_pinned=False)
        bounce = self.make_bounce(is_pinned=False)
        yield from self.clear_dirty(page)
        if self.is_as_left(inode, page):
            yield from self.write_out(inode, page, bounce, is_integrity=is_integrity)
        elif bounce is not None:
            self.filesystem.memory.put(bounce)

    def clear_dirty(self, page: Page) -> Stepped[None]:
        self.filesystem.cache.unlock(page)
        yield from super().clear_dirty(page)
        yield from self.filesystem.cache.lock(page, "writeback")

    def is_as_left(self, inode: Inode, page: Page) -> bool:
        is_clean = not (page.is_dirty or page.is_under_writeback)
        is_ours = page.mapping is inode.space
        return is_ours and is_clean and self.filesystem.is_prepared(inode, page)


class _UnlocksLaterPages(_UnlocksInBetween):
    """The same, but the first page of a file stays locked."""

    def clear_dirty(self, page: Page) -> Stepped[None]:
        if page.index:
            yield from super().clear_dirty(page)
        else:
            yield from Writeback.clear_dirty(self, page)


# --- one writeback --------------------------------------------------------------------


class _JoinsTheOlderWriteback(Writeback):
    """A sync that meets an older writeback waits for it, and writes nothing."""

    def lock_for_writing(self, page: Page, *, is_integrity: bool) -> Stepped[None]:
        yield from self.filesystem.cache.lock(page, "writeback")


class _JoinsIfUnmapped(Writeback):
    """A sync joins an older writeback if nobody maps the page writable."""

    def lock_for_writing(self, page: Page, *, is_integrity: bool) -> Stepped[None]:
        entries = () if page.mapping is None else self.entries_of(page)
        is_writable = any(entries)
        yield from super().lock_for_writing(
            page, is_integrity=is_integrity and is_writable
        )

    def entries_of(self, page: Page) -> list[bool]:
        assert isinstance(page.mapping, AddressSpace)
        entries = self.rmap.entries(page.mapping, page)
        return [pte.is_writable for _, _, pte in entries]


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "cleaning.cleans_the_first_mapping",
        (
            "WB-PROTECT",
            "WB-WALK",
            "WB-PTEDIRTY",
            "STB-CPU",
            "STB-CAPTURE-ONCE",
            "MMU-DOWNGRADE",
        ),
        partial(boot, parts=Parts(make_rmap=_CleansTheFirstMapping)),
        "The walk over the mappings of a page ends after the first",
    ),
    Mutant(
        "cleaning.flushes_no_translation",
        ("WB-PROTECT", "MKW-EVERY", "MKW-MTIME", "STB-CPU", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_cpu=_FlushesNoTranslation)),
        "The CPU of another process stores on to a page until the page is unmapped",
        "WB-TLB; its relative Z30 (eb66ae030829) flushed too late",
    ),
    Mutant(
        "cleaning.cleans_mappings_that_begin_alike",
        ("WB-PROTECT", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_rmap=_CleansMappingsThatBeginAlike)),
        "A mapping that begins at another page of the file than the first is missed",
    ),
    Mutant(
        "cleaning.forgets_children",
        (
            "WB-PROTECT",
            "WB-PTEDIRTY",
            "STB-CPU",
            "STB-CAPTURE-ONCE",
            "MMU-DOWNGRADE",
        ),
        partial(boot, parts=Parts(make_rmap=_ForgetsChildren)),
        "A mapping that a process has from its parent is missed",
    ),
    Mutant(
        "cleaning.forgets_after_truncate",
        ("WB-PROTECT",),
        partial(boot, parts=Parts(make_rmap=_ForgetsAfterTruncate)),
        "After a truncate the walk over the mappings of the file ends with the first",
    ),
    Mutant(
        "cleaning.does_not_bar_mremap",
        ("WB-WALK", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_mm=_DoesNotBarMremap)),
        "mremap moves entries while a walk may be going on",
    ),
    Mutant(
        "cleaning.does_not_bar_fork",
        ("WB-WALK", "WB-PROTECT", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_mm=_DoesNotBarFork)),
        "fork copies entries while a walk may be going on",
    ),
    Mutant(
        "cleaning.walks_unbarred",
        ("WB-WALK", "WB-PROTECT", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_rmap=_WalksUnbarred)),
        "The walk bars nobody: mremap, fork and munmap go on beside it",
    ),
    Mutant(
        "cleaning.clears_before_it_walks",
        ("WB-PTEDIRTY",),
        partial(boot, parts=Parts(make_writeback=_ClearsBeforeItWalks)),
        "The dirty flag is cleared and the content taken before the entries are "
        "cleaned; dirty bits found then are dropped",
        "Z7: 7658cc289288, the 2.6.19 corruption of mapped files",
    ),
    Mutant(
        "cleaning.drops_what_unmap_finds",
        ("WB-PTEDIRTY", "MKW-EVERY", "GWB-REDIRTY-DURING"),
        partial(boot, parts=Parts(make_reclaim=_DropsWhatUnmapFinds)),
        "Reclaim takes a page for clean that it has written, whatever unmapping finds",
        "Z8: 46d2277c796f, ecdfc9787fe5",
    ),
    Mutant(
        "cleaning.unlocks_in_between",
        ("WB-LOCK", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_writeback=_UnlocksInBetween)),
        "The page lock is dropped between clear dirty and start of writeback",
    ),
    Mutant(
        "cleaning.unlocks_later_pages",
        ("WB-LOCK", "WB-PTEDIRTY"),
        partial(boot, parts=Parts(make_writeback=_UnlocksLaterPages)),
        "The same, but the first page of a file stays locked",
    ),
    Mutant(
        "cleaning.joins_the_older_writeback",
        (
            "WB-SINGLE",
            "GWB-REDIRTY-DURING",
            "WB-PTEDIRTY",
            "BNC-KEEPDIRTY",
            "DRT-FSYNC",
        ),
        partial(boot, parts=Parts(make_writeback=_JoinsTheOlderWriteback)),
        "A sync that meets an older writeback waits for it, and writes nothing",
    ),
    Mutant(
        "cleaning.joins_the_older_writeback_if_unmapped",
        ("WB-SINGLE", "GWB-REDIRTY-DURING", "BNC-KEEPDIRTY", "DRT-FSYNC"),
        partial(boot, parts=Parts(make_writeback=_JoinsIfUnmapped)),
        "A sync joins an older writeback if nobody maps the page writable",
    ),
)
