"""Stacks that lose count of large folios, or of their parts."""

from functools import partial

import attrs

from reference_impl.dma import Devices, Get, Pin
from reference_impl.files import Files
from reference_impl.filesystem import Filesystem
from reference_impl.folio import Folios
from reference_impl.gup import Grab, GupFlags
from reference_impl.gup_fast import GupFast
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Memory, Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagecache import PageCache
from reference_impl.reclaim import Reclaim
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

# --- one count for all pages --------------------------------------------------------


class _OnePinForAFolio(Devices):
    """Of a folio one pin is taken, however many of its pages are handed out."""

    def grant(
        self,
        get: Get,
        process: int,
        mapping: int,
        first: int,
        pages: int,
        flags: GupFlags,
    ) -> Stepped[Pin]:
        pin = yield from super().grant(get, process, mapping, first, pages, flags)
        held: set[int] = set()
        for page in pin.pages:
            if page is None or not page.is_large:
                continue
            if page.head.pfn not in held:
                held.add(page.head.pfn)
            elif flags.tracked:
                self.grab.memory.unpin(page)
        return pin

    def release(self, page: Page) -> None:
        if page.head.pin_count > 0 or not page.is_large:
            super().release(page)
        else:
            self.grab.counters.count_returned()


class _SlowPathTakesReferences(Grab):
    """get_user_pages takes a plain reference of a folio, and it is put as a pin."""

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        if page.is_large and path == "slow":
            self.memory.get(page)
        else:
            super().take(page, flags, path)


class _PutsOfTailsAreForgotten(Memory):
    """The pin of a later page of a folio ends, and its reference stays."""

    def unpin(self, page: Page) -> None:
        if page.is_large and page is not page.head:
            page.head.pin_count -= 1
        else:
            super().unpin(page)


class _FirstPutEndsAllPins(Memory):
    """The first put of a page of a folio ends the pins of all its pages."""

    def unpin(self, page: Page) -> None:
        if page.is_large:
            page.head.pin_count = 0
            self.put(page)
        else:
            super().unpin(page)


class _FreesWithTheHead(Memory):
    """A folio is freed with its first page: the pins of others do not keep it."""

    def drop(self, page: Page, count: int) -> None:
        is_last = page.is_large and page is page.head and not page.cached_parts
        super().drop(page, count)
        is_only_pinned = 0 < page.refcount == page.head.pin_count
        if is_last and is_only_pinned and not page.is_frozen:
            page.refcount = 0
            self.free_page(page)


class _TakesFoliosForContiguous(Devices):
    """A device that is given a page of a folio takes the next ones to lie behind it."""

    def write_word(self, handle: int, page: int, word: int, value: int) -> None:
        first = self.find(handle, 0)
        memory = self.grab.memory
        if first is None or not first.is_large or self.find(handle, page) is None:
            super().write_word(handle, page, word, value)
        elif first.pfn + page < len(memory.pages):
            hit = memory.pages[first.pfn + page]
            if hit.words:  # nothing is kept of what nobody owns
                hit.words[word] = value


class _SplitsPinnedFolios(Folios):
    """A folio is split though it is pinned; what is pinned of it is forgotten."""

    def may_split(self, page: Page) -> bool:
        return not any(part.is_under_writeback for part in page.parts)

    def freeze(self, page: Page) -> bool:
        head = page.head
        pins, head.pin_count = head.pin_count, 0
        expected = len(page.cached_parts) + 1 + pins
        is_frozen = self.filesystem.memory.freeze(page, expected)
        head.pin_count = 0 if is_frozen else pins
        return is_frozen


class _GuardsTheWrongCount(Memory):
    """The guard against overflow asks the page, and not the first one of its folio."""

    def has_room(self, page: Page, count: int) -> bool:
        limit = self.geometry.refcount_max - self.geometry.pin_bias
        return page.own_count + count <= limit


@attrs.define(eq=False)
class _CountsFolios(Grab):
    """A folio counts as one request, and what GUP-fast gives back of it as returned."""

    last: Page | None = None
    """The folio that was taken last."""

    def take(self, page: Page, flags: GupFlags, path: str) -> None:
        super().take(page, flags, path)
        is_same = self.last is page.head
        self.last = page.head if page.is_large and path == "fast" else None
        if is_same and self.last is not None and flags.tracked:
            self.counters.gup_fast_requested -= 1

    def give_back(self, page: Page, flags: GupFlags) -> None:
        super().give_back(page, flags)
        if page.is_large and flags.tracked:
            self.counters.gup_fast_backoffs -= 1


# --- split while GUP-fast is on its way -----------------------------------------------


class _TrustsTheHead(GupFast):
    """GUP-fast does not ask again for the head whose count it has raised."""

    def is_stable(self, page: Page, head: Page) -> bool:
        return True


class _TrustsSinglePages(GupFast):
    """GUP-fast asks for the head again only if the page is part of a folio still."""

    def is_stable(self, page: Page, head: Page) -> bool:
        return not page.is_large or super().is_stable(page, head)


@attrs.define(eq=False)
class _GivesBackTheWrongPage(GupFast):
    """What GUP-fast took of a head that has changed is given back by the page."""

    wanted: Page | None = None

    def is_stable(self, page: Page, head: Page) -> bool:
        self.wanted = page
        return super().is_stable(page, head)

    def back_off(self, page: Page, flags: GupFlags) -> None:
        super().back_off(self.wanted or page, flags)


# --- dirty --------------------------------------------------------------------------


class _CleansTheFolio(PageCache):
    """A page that is written cleans its folio, of which nothing else is written."""

    def clear_dirty_for_io(self, page: Page) -> None:
        super().clear_dirty_for_io(page)
        for part in page.cached_parts:
            if part.is_dirty:
                super().clear_dirty_for_io(part)


class _EvictsByTheHead(Reclaim):
    """A folio is clean for eviction if its first page is."""

    def is_clean(self, page: Page) -> bool:
        return super().is_clean(page.head)


# --- cut ----------------------------------------------------------------------------


class _KeepsPinnedFolios(Filesystem):
    """What is cut off a pinned folio is zeroed, and stays in the file for next time."""

    def orphan(self, inode: Inode, page: Page) -> None:
        is_pinned = page.is_large and self.memory.maybe_dma_pinned(page)
        if not is_pinned or not self.is_mounted or not self.is_kept(inode, page):
            super().orphan(inode, page)
            return
        if page.is_dirty:
            self.cache.clear_dirty_for_io(page)
        self.space.unreserve(page)
        page.words = list(self.disk.zeros)

    def is_kept(self, inode: Inode, page: Page) -> bool:
        """Tell whether the first page of the folio stays in the file."""
        size = self.geometry.words_per_page
        head = page.head
        return page is not head and head.index * size < inode.size_words


class _ZeroesTheFirstPageAgain(Files):
    """When the file grows, only the first page of what comes back is zeroed again."""

    def zero_last_page(self, inode: Inode) -> Stepped[None]:
        yield from super().zero_last_page(inode)
        size = self.filesystem.geometry.words_per_page
        page = inode.space.pages.get(-(-inode.size_words // size))
        if page is not None:
            page.words = list(self.filesystem.disk.zeros)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "folios.one_pin_for_a_folio",
        ("REF-COMPOUND", "REF-QUERY", "WB-LOCK", "INV-ORPHAN", "INV-REUSE"),
        partial(boot, parts=Parts(make_devices=_OnePinForAFolio)),
        "of a folio one pin is taken, however many of its pages are handed out",
        "D3: gup_huge_pmd adds the bias once for all pages",
    ),
    Mutant(
        "folios.slow_path_takes_references",
        ("REF-COMPOUND", "REF-QUERY", "CNT-BAL", "CNT-BACKOFF", "CNT-MODERN"),
        partial(boot, parts=Parts(make_grab=_SlowPathTakesReferences)),
        "get_user_pages takes a plain reference of a folio, and it is put as a pin",
        "D4: follow_trans_huge_pmd was not converted",
    ),
    Mutant(
        "folios.puts_of_tails_are_forgotten",
        ("REF-COMPOUND",),
        partial(boot, parts=Parts(make_memory=_PutsOfTailsAreForgotten)),
        "the pin of a later page of a folio ends, and its reference stays",
    ),
    Mutant(
        "folios.first_put_ends_all_pins",
        ("REF-COMPOUND", "REF-QUERY"),
        partial(boot, parts=Parts(make_memory=_FirstPutEndsAllPins)),
        "the first put of a page of a folio ends the pins of all its pages",
    ),
    Mutant(
        "folios.frees_with_the_head",
        ("REF-COMPOUND", "REF-QUERY", "WB-LOCK", "INV-ORPHAN", "INV-REUSE"),
        partial(boot, parts=Parts(make_memory=_FreesWithTheHead)),
        "a folio is freed with its first page: the pins of others do not keep it",
    ),
    Mutant(
        "folios.takes_folios_for_contiguous",
        ("REF-COMPOUND", "DRT-SKIP-IF-DIRTY", "WB-LOCK"),
        partial(boot, parts=Parts(make_devices=_TakesFoliosForContiguous)),
        "a device that is given a page of a folio takes the next to lie behind it",
        "Z29: CVE-2023-2598, 776617db78c6",
    ),
    Mutant(
        "folios.splits_pinned_folios",
        (
            "REF-COMPOUND",
            "REF-QUERY",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
        ),
        partial(boot, parts=Parts(make_folios=_SplitsPinnedFolios)),
        "a folio is split whoever holds it; what is held of it is forgotten",
    ),
    Mutant(
        "folios.guards_the_wrong_count",
        ("REF-OVERFLOW",),
        partial(boot, parts=Parts(make_memory=_GuardsTheWrongCount)),
        "the guard against overflow asks the page, not the first one of its folio",
        "Z6: d63206ee32b6, the guard missed the head",
    ),
    Mutant(
        "folios.counts_folios",
        ("CNT-BAL", "CNT-BACKOFF"),
        partial(boot, parts=Parts(make_grab=_CountsFolios)),
        "a folio counts as one request, and giving it back is no back-off",
        "D7: gup_huge_pmd counts one request and no back-off",
    ),
    Mutant(
        "folios.trusts_the_head",
        (
            "REF-STABLEHEAD",
            "REF-COMPOUND",
            "REF-QUERY",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
            "MKW-DEVICE",
        ),
        partial(boot, parts=Parts(make_gup_fast=_TrustsTheHead)),
        "GUP-fast does not ask again for the head whose count it has raised",
    ),
    Mutant(
        "folios.trusts_single_pages",
        (
            "REF-STABLEHEAD",
            "REF-COMPOUND",
            "REF-QUERY",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
            "MKW-DEVICE",
        ),
        partial(boot, parts=Parts(make_gup_fast=_TrustsSinglePages)),
        "GUP-fast asks for the head again only if the page is part of a folio still",
    ),
    Mutant(
        "folios.gives_back_the_wrong_page",
        (
            "REF-STABLEHEAD",
            "REF-COMPOUND",
            "REF-QUERY",
            "REF-BALANCE",
            "REF-NOTINTERCHANGEABLE",
            "MKW-DEVICE",
            "GWB-BACKOFF-CLEAN",
        ),
        partial(boot, parts=Parts(make_gup_fast=_GivesBackTheWrongPage)),
        "what GUP-fast took of a head that has changed is given back by the page",
    ),
    Mutant(
        "folios.cleans_the_folio",
        ("DRT-COMPOUND", "DRT-FSYNC", "WB-PTEDIRTY", "BNC-FSYNC", "MKW-UNRESERVE"),
        partial(boot, parts=Parts(make_cache=_CleansTheFolio)),
        "a page that is written cleans its folio, of which nothing else is written",
    ),
    Mutant(
        "folios.evicts_by_the_head",
        ("DRT-COMPOUND", "WB-LOCK"),
        partial(boot, parts=Parts(make_reclaim=_EvictsByTheHead)),
        "a folio is clean for eviction if its first page is",
    ),
    Mutant(
        "folios.keeps_pinned_folios",
        ("INV-SPLIT", "DRT-ORPHAN", "MKW-RANGE", "INV-ORPHAN"),
        partial(boot, parts=Parts(make_filesystem=_KeepsPinnedFolios)),
        "what is cut off a pinned folio is zeroed, and stays in the file for next time",
    ),
    Mutant(
        "folios.zeroes_the_first_page_again",
        ("INV-SPLIT", "DRT-ORPHAN", "MKW-RANGE", "INV-ORPHAN"),
        partial(
            boot,
            parts=Parts(
                make_filesystem=_KeepsPinnedFolios, make_files=_ZeroesTheFirstPageAgain
            ),
        ),
        "of what is cut off a pinned folio and kept, one page is zeroed once more",
    ),
)
