"""Stacks whose syncs leave out what a device wrote."""

from functools import partial

import attrs

from reference_impl.dirty import Dirty
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants.mutant import Mutant
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback


@attrs.define(eq=False)
class _LeavesItToAWorker(Writeback):
    """What was written while pinned is left to a worker by the next sync."""

    suspects: set[int] = attrs.field(factory=set[int])

    def write_page(
        self, inode: Inode, page: Page, *, is_integrity: bool
    ) -> Stepped[None]:
        is_pinned = self.maybe_pinned(page)
        if page.pfn in self.suspects and not is_pinned:
            self.suspects.discard(page.pfn)
            return
        yield from super().write_page(inode, page, is_integrity=is_integrity)
        if is_pinned:
            self.suspects.add(page.pfn)


class _CleansAtThePut(Dirty):
    """A page that is put as dirty is handed to a worker, and clean until it runs."""

    def make_dirty_lock(self, page: Page) -> Stepped[None]:
        yield from super().make_dirty_lock(page)
        is_idle = not page.is_locked and not page.is_under_writeback
        if page.is_dirty and is_idle:
            self.filesystem.cache.clear_dirty_for_io(page)
            self.filesystem.space.unreserve(page)


class _NeverFlushes(Writeback):
    """A sync does not flush the cache of the disk."""

    def flush(self) -> None:
        pass


@attrs.define(eq=False)
class _FlushesNoCopies(Writeback):
    """A sync that has written a copy does not flush the cache of the disk."""

    has_copied: bool = False

    def make_bounce(self, *, is_pinned: bool) -> Page | None:
        self.has_copied |= is_pinned
        return super().make_bounce(is_pinned=is_pinned)

    def flush(self) -> None:
        if not self.has_copied:
            super().flush()
        self.has_copied = False


class _FlushesBeforeItWaits(Writeback):
    """A sync flushes the cache of the disk when the writes have been submitted."""

    def wait_pages(self, inode: Inode) -> Stepped[None]:
        super().flush()
        yield from super().wait_pages(inode)

    def flush(self) -> None:
        pass


def _mutant(
    name: str, violates: tuple[str, ...], parts: Parts, lie: str, origin: str = ""
) -> Mutant:
    return Mutant(f"dirty.{name}", violates, partial(boot, parts=parts), lie, origin)


MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "leaves_it_to_a_worker",
        (
            "DRT-FSYNC",
            "MKW-DEVICE",
            "GWB-REDIRTY-DURING",
            "WB-PTEDIRTY",
            "WB-SINGLE",
            "WB-RECLAIM",
            "BNC-KEEPDIRTY",
            "BNC-RESERVE",
            "DRT-AFTER",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FLUSH",
            "DIO-BUF-WRITE",
            "INV-STEAL",
            "SNAP-RESERVE",
        ),
        Parts(make_writeback=_LeavesItToAWorker),
        "what was written while pinned is left to a worker by the next sync",
    ),
    _mutant(
        "cleans_at_the_put",
        (
            "DRT-FSYNC",
            "MKW-DEVICE",
            "GWB-REDIRTY-DURING",
            "WB-PTEDIRTY",
            "WB-RECLAIM",
            "BNC-KEEPDIRTY",
            "BNC-FSYNC",
            "BNC-RESERVE",
            "DRT-AFTER",
            "DRT-SKIP-IF-DIRTY",
            "DRT-FLUSH",
            "DIO-BUF-WRITE",
            "DIO-READ-FLUSH",
            "LT-NOMOVE",
            "INV-STEAL",
            "SNAP-ISOLATE",
            "SNAP-RESERVE",
            "INV-UNMAP",
        ),
        Parts(make_dirty=_CleansAtThePut),
        "a page that is put as dirty is handed to a worker, and clean until it runs",
    ),
    _mutant(
        "never_flushes",
        ("DRT-FLUSH",),
        Parts(make_writeback=_NeverFlushes),
        "a sync does not flush the cache of the disk",
    ),
    _mutant(
        "flushes_no_copies",
        ("DRT-FLUSH",),
        Parts(make_writeback=_FlushesNoCopies),
        "a sync that has written a copy does not flush the cache of the disk",
    ),
    _mutant(
        "flushes_before_it_waits",
        ("DRT-FLUSH",),
        Parts(make_writeback=_FlushesBeforeItWaits),
        "a sync flushes the cache of the disk when the writes have been submitted",
    ),
)
