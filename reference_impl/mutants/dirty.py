"""Stacks that lie about dirty pages and what writeback needs of them."""

from collections.abc import Callable
from functools import partial

import attrs

from conformance.interface import Step
from reference_impl.dirty import Dirty
from reference_impl.dma import Devices, Pin
from reference_impl.files import Files
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants import drivers, durable
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagecache import AddressSpace, PageCache
from reference_impl.reclaim import Reclaim
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- locks ------------------------------------------------------------------------


class _DirtiesWithoutTheLock(Dirty):
    """set_page_dirty_lock looks up the file of a page and takes no lock."""

    def set_page_dirty_lock(self, page: Page) -> Stepped[None]:
        mapping = page.mapping
        yield Step("dirty.mapping_read")
        yield Step("dirty.page_locked")
        if mapping is not None and not page.is_dirty:
            page.is_dirty = True
            self.filesystem.cache.counters.dirty += 1


class _DirtiesForTheFileItHad(Dirty):
    """A put as dirty goes by the file that the page had when it was called."""

    def make_dirty_lock(self, page: Page) -> Stepped[None]:
        mapping = page.mapping
        yield Step("put.dirty_checked")
        if mapping is not None and not page.is_dirty:
            page.is_dirty = True
            self.filesystem.cache.counters.dirty += 1


# --- passing over -----------------------------------------------------------------


@attrs.define(eq=False)
class _WritesAfterTheQuestion(Devices):
    """What a device wrote reaches its page after it was put as dirty."""

    posted: dict[int, dict[int, int]] = attrs.field(factory=dict[int, dict[int, int]])

    def write_word(self, handle: int, page: int, word: int, value: int) -> None:
        found = self.find(handle, page)
        if found is not None:
            self.posted.setdefault(found.pfn, {})[word] = value

    def put_slots(
        self,
        pin: Pin,
        slots: range,
        make_dirty: Callable[[Page], Stepped[None]] | None,
    ) -> Stepped[None]:
        pages = [page for page in pin.pages if page is not None]
        yield from super().put_slots(pin, slots, make_dirty)
        for page in pages:
            for word, value in self.posted.pop(page.pfn, {}).items():
                page.words[word] = value


class _AsksWhenItPins(Devices):
    """Whether a page is dirty is asked when it is pinned, not when it is put."""

    def put_slots(
        self,
        pin: Pin,
        slots: range,
        make_dirty: Callable[[Page], Stepped[None]] | None,
    ) -> Stepped[None]:
        # get_user_pages for writing has made every page dirty.
        yield from super().put_slots(pin, slots, None)


class _CleansLikeLinux(Writeback):
    """A pinned page is clean when it is written; it counts on being put as dirty."""

    def may_clear_dirty(self, *, is_pinned: bool) -> bool:
        return True


# --- orphans ----------------------------------------------------------------------


class _DirtiesOrphans(Dirty):
    """An orphan that is marked dirty is counted, as if it had a file."""

    def set_page_dirty(self, page: Page) -> None:
        if page.mapping is None and not page.is_dirty:
            page.is_dirty = True
            self.filesystem.cache.counters.dirty += 1
        super().set_page_dirty(page)


class _KeepsPinnedPagesOnTruncate(Files):
    """A pinned page stays the file's when it is cut off; it is only zeroed."""

    def remove_pages(self, inode: Inode, first: int, end: int | None) -> Stepped[None]:
        memory = self.filesystem.memory
        kept: dict[int, Page] = {}
        for index, page in list(inode.space.pages.items()):
            is_cut = index >= first and (end is None or index < end)
            if is_cut and memory.maybe_dma_pinned(page):
                page.words[:] = [0] * len(page.words)
                kept[index] = inode.space.pages.pop(index)
        yield from super().remove_pages(inode, first, end)
        inode.space.pages.update(kept)


# --- buffers ----------------------------------------------------------------------


class _StripsPinnedPages(Reclaim):
    """Reclaim takes the buffers of a page whether or not it can be freed."""

    def may_strip(self, page: Page) -> bool:
        return page.has_buffers and not page.is_under_writeback


class _DropsBarePages(Writeback):
    """A dirty page without buffers is dropped by writeback with a warning."""

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        if page.has_buffers:
            yield from super().write_page(inode, page, is_integrity=is_integrity)
        else:
            self.filesystem.cache.clear_dirty_for_io(page)
            self.filesystem.space.unreserve(page)


class _StripsWhenEvicting(Reclaim):
    """Dropping clean pages takes the buffers of all others on its way."""

    def evict(self, inode: Inode) -> None:
        super().evict(inode)
        for page in inode.space.pages.values():
            if page.has_buffers and not page.is_under_writeback:
                self.filesystem.cache.release_buffers(page)


# --- the account ------------------------------------------------------------------


class _CountsTruncatedPagesForEver(PageCache):
    """A dirty page that leaves its file stays in the account of dirty pages."""

    def remove(self, space: AddressSpace, page: Page) -> None:
        self.counters.dirty += page.is_dirty
        super().remove(space, page)


class _CountsBarePagesForEver(Reclaim):
    """Buffers that are taken from a page leave it clean, and counted as dirty."""

    def may_strip(self, page: Page) -> bool:
        if page.is_dirty and not page.is_under_writeback:
            page.is_dirty = False
        return super().may_strip(page)


@attrs.define(eq=False)
class _CountsOutOfBandTwice(Dirty):
    """A page that is put as dirty is counted again when it is dirty already."""

    def may_skip(self, page: Page) -> bool:
        if page.is_dirty and page.index > 0:
            self.filesystem.cache.counters.dirty += 1
        return super().may_skip(page)


def _mutant(
    name: str, violates: tuple[str, ...], parts: Parts, lie: str, origin: str = ""
) -> Mutant:
    return Mutant(f"dirty.{name}", violates, partial(boot, parts=parts), lie, origin)


MUTANTS: tuple[Mutant, ...] = (
    *drivers.MUTANTS,
    _mutant(
        "dirties_without_the_lock",
        ("DRT-LOCK", "DRT-ACCT"),
        Parts(make_dirty=_DirtiesWithoutTheLock),
        "set_page_dirty_lock looks up the file of a page and takes no lock",
    ),
    _mutant(
        "dirties_for_the_file_it_had",
        ("DRT-LOCK", "DRT-ACCT"),
        Parts(make_dirty=_DirtiesForTheFileItHad),
        "a put as dirty goes by the file that the page had when it was called",
    ),
    _mutant(
        "writes_after_the_question",
        ("DRT-SKIP-IF-DIRTY", "DRT-FSYNC"),
        Parts(make_devices=_WritesAfterTheQuestion),
        "what a device wrote reaches its page after it was put as dirty",
    ),
    _mutant(
        "asks_when_it_pins",
        (
            "DRT-SKIP-IF-DIRTY",
            "MKW-DEVICE",
            "GWB-REDIRTY-DURING",
            "WB-SINGLE",
            "WB-RECLAIM",
            "BNC-KEEPDIRTY",
            "BNC-FSYNC",
            "BNC-RESERVE",
            "DRT-AFTER",
            "DRT-FSYNC",
            "DRT-FLUSH",
            "DIO-BUF-WRITE",
            "INV-STEAL",
            "SNAP-RESERVE",
        ),
        Parts(make_devices=_AsksWhenItPins, make_writeback=_CleansLikeLinux),
        "whether a page is dirty is asked when it is pinned, not when it is put",
    ),
    _mutant(
        "dirties_orphans",
        ("DRT-ORPHAN", "DRT-LOCK", "DRT-ACCT"),
        Parts(make_dirty=_DirtiesOrphans),
        "an orphan that is marked dirty is counted, as if it had a file",
    ),
    _mutant(
        "keeps_pinned_pages_on_truncate",
        (
            "DRT-ORPHAN",
            "MKW-RANGE",
            "INV-SPLIT",
            "MKW-EVERY",
            "INV-ORPHAN",
            "INV-REFILL",
            "INV-REUSE",
        ),
        Parts(make_files=_KeepsPinnedPagesOnTruncate),
        "a pinned page stays the file's when it is cut off; it is only zeroed",
    ),
    _mutant(
        "strips_pinned_pages",
        ("DRT-BUFFERS", "WB-RECLAIM"),
        Parts(make_reclaim=_StripsPinnedPages),
        "reclaim takes the buffers of a page whether or not it can be freed",
        "Z11, Z14 (d824ec2a1546): Kara's report of 2018",
    ),
    _mutant(
        "drops_bare_pages",
        (
            "DRT-BUFFERS",
            "MKW-DEVICE",
            "GWB-REDIRTY-DURING",
            "WB-PTEDIRTY",
            "WB-RECLAIM",
            "BNC-KEEPDIRTY",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FSYNC",
        ),
        Parts(make_reclaim=_StripsPinnedPages, make_writeback=_DropsBarePages),
        "a page whose buffers reclaim took is dropped by writeback with a warning",
        "Z12 (cc5095747edf): ext4 warns, cleans the page, and fsync answers 0",
    ),
    _mutant(
        "strips_when_evicting",
        ("DRT-BUFFERS", "WB-RECLAIM"),
        Parts(make_reclaim=_StripsWhenEvicting),
        "dropping clean pages takes the buffers of all others on its way",
    ),
    _mutant(
        "counts_truncated_pages_for_ever",
        ("DRT-ACCT", "DRT-LOCK"),
        Parts(make_cache=_CountsTruncatedPagesForEver),
        "a dirty page that leaves its file stays in the account of dirty pages",
        "Z8 (3e67c0987d75): truncated dirty pages were not discounted",
    ),
    _mutant(
        "counts_bare_pages_for_ever",
        ("DRT-ACCT", "MKW-EVERY", "MKW-DEVICE", "GWB-REDIRTY-DURING", "WB-PTEDIRTY"),
        Parts(make_reclaim=_CountsBarePagesForEver),
        "reclaim drops the dirty flag of a page, and not its place in the account",
        "Z8 (46d2277c796f), Z13: a flag cleared past the account",
    ),
    _mutant(
        "counts_out_of_band_twice",
        ("DRT-ACCT", "DRT-LOCK"),
        Parts(make_dirty=_CountsOutOfBandTwice),
        "a second page that is put as dirty is counted again though it was dirty",
    ),
    *durable.MUTANTS,
)
