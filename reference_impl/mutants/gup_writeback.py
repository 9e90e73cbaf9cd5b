"""Stacks whose get_user_pages does not respect writeback."""

from functools import partial

import attrs

from conformance.interface import Errno, KernelError, Step
from reference_impl.blockdev import Words
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.gup_fast import GupFast
from reference_impl.inode import Inode
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mutants import gup_window
from reference_impl.mutants.mutant import Mutant
from reference_impl.pagetable import Process, Pte
from reference_impl.stack import boot
from reference_impl.stepping import Stepped
from reference_impl.writeback import Writeback

# --- never a page under writeback -------------------------------------------------


class _DoesNotAskForWriteback(Grab):
    """A page whose entry is writable is granted, under writeback or not."""

    def must_wait(self, page: Page, flags: GupFlags) -> bool:
        return False


class _FastPathDoesNotAsk(GupFast):
    """GUP-fast looks at the entry again, and not at the page."""

    def recheck(
        self, process: Process, address: int, pte: Pte, flags: GupFlags
    ) -> bool:
        return process.ptes.get(address) == pte


class _WaitsOnlyForStablePages(GupSlow):
    """The fault of get_user_pages waits only where content must be stable."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        yield Step("gup_slow.faulting")
        access = attrs.evolve(self.access(process, address, flags), for_device=False)
        try:
            yield from self.fault.handle(process, address, access)
        except KernelError as error:
            if error.errno in (Errno.EAGAIN, Errno.ENOMEM):
                raise
            raise KernelError(Errno.EFAULT, error.reason) from error

    def follow_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Page | None:
        if not self.grab.may_use(process.ptes.get(address), flags):
            return None
        as_reader = attrs.evolve(flags, write=False)
        return super().follow_page(process, address, as_reader)


class _WaitsForTheFirstPage(GupSlow):
    """Of several pages only the first is waited for."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        if not granted:
            yield from super().get(process, addresses[:1], flags, granted)
            addresses = addresses[1:]
        careless = _WaitsOnlyForStablePages(self.grab, self.fault)
        yield from careless.get(process, addresses, flags, granted)


class _WaitsOnlyIfMapped(_WaitsOnlyForStablePages):
    """A page that this process has not mapped is taken for one that nobody writes."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        if address in process.ptes:
            yield from GupSlow.fault_in(self, process, address, flags)
        else:
            yield from super().fault_in(process, address, flags)


# --- readers, and those who may not wait ------------------------------------------


class _ReadersWait(GupSlow):
    """A pin for reading waits for writeback like one for writing."""

    def get_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page]:
        pte = process.ptes.get(address)
        if pte is not None:
            cache = self.fault.filesystem.cache
            yield from cache.wait_writeback(pte.page, nowait=flags.nowait)
        return (yield from super().get_page(process, address, flags))


class _SleepsThoughAskedNotTo(GupSlow):
    """The fault does not know that the caller may not sleep."""

    def fault_in(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[None]:
        patient = attrs.evolve(flags, nowait=False)
        return super().fault_in(process, address, patient)


class _RestOfFastPathSleeps(GupFast):
    """What GUP-fast leaves to the slow path is got with leave to sleep."""

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        for address in addresses:
            page = yield from self.try_page(process, address, flags)
            if page is None:
                break
            granted.append(page)
            self.grab.tell_granted(page, flags, "fast")
        if not granted:
            yield from self.slow.get(process, addresses[:1], flags, granted)
        rest = addresses[len(granted) :]
        patient = attrs.evolve(flags, nowait=False)
        if rest:
            yield from self.slow.get(process, rest, patient, granted)


# --- dirtied again during writeback -----------------------------------------------


class _EndOfWritebackCleans(Writeback):
    """The end of a writeback takes the page for clean, dirtied again or not."""

    def end_io(
        self,
        inode: Inode,
        page: Page,
        source: Page,
        block: int,
        promised: Words,
        *,
        failed: bool,
    ) -> None:
        if page.is_dirty and source is page and not failed:
            self.filesystem.cache.clear_dirty_for_io(page)
        super().end_io(inode, page, source, block, promised, failed=failed)


class _EndOfBounceCleans(Writeback):
    """When a copy has landed and the pin is gone meanwhile, the page is clean."""

    def end_io(
        self,
        inode: Inode,
        page: Page,
        source: Page,
        block: int,
        promised: Words,
        *,
        failed: bool,
    ) -> None:
        was_put = source is not page and not self.maybe_pinned(page)
        if page.is_dirty and was_put and not failed:
            self.filesystem.cache.clear_dirty_for_io(page)
        super().end_io(inode, page, source, block, promised, failed=failed)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gup.does_not_ask_for_writeback",
        ("GWB-NEVER",),
        partial(boot, parts=Parts(make_grab=_DoesNotAskForWriteback)),
        "A page whose entry is writable is granted, under writeback or not",
        "D8: no test of PG_writeback",
    ),
    Mutant(
        "gup_fast.does_not_ask_for_writeback",
        ("GWB-NEVER",),
        partial(boot, parts=Parts(make_gup_fast=_FastPathDoesNotAsk)),
        "GUP-fast looks at the entry again, and not at the page",
        "D8: no test of PG_writeback",
    ),
    Mutant(
        "gup.waits_only_for_stable_pages",
        ("GWB-NEVER", "GWB-FAST-RECHECK", "GWB-SLOW-RETRY"),
        partial(boot, parts=Parts(make_gup_slow=_WaitsOnlyForStablePages)),
        "The fault of get_user_pages waits only where content must be stable",
        "Linux 6.18: ext4 and xfs with queue/stable_writes=0",
    ),
    Mutant(
        "gup.waits_for_the_first_page",
        ("GWB-NEVER",),
        partial(boot, parts=Parts(make_gup_slow=_WaitsForTheFirstPage)),
        "Of several pages only the first is waited for",
    ),
    Mutant(
        "gup.waits_only_if_mapped",
        ("GWB-NEVER",),
        partial(boot, parts=Parts(make_gup_slow=_WaitsOnlyIfMapped)),
        "A page that this process has not mapped is taken for one that nobody writes",
    ),
    *gup_window.MUTANTS,
    Mutant(
        "gup.readers_wait",
        ("GWB-READ-OK",),
        partial(boot, parts=Parts(make_gup_slow=_ReadersWait)),
        "A pin for reading waits for writeback like one for writing",
    ),
    Mutant(
        "gup.sleeps_though_asked_not_to",
        ("GWB-NOSLEEP",),
        partial(boot, parts=Parts(make_gup_slow=_SleepsThoughAskedNotTo)),
        "The fault does not know that the caller may not sleep",
        "Z42: d5b58fbb2fd7",
    ),
    Mutant(
        "gup_fast.rest_sleeps",
        ("GWB-NOSLEEP",),
        partial(boot, parts=Parts(make_gup_fast=_RestOfFastPathSleeps)),
        "What GUP-fast leaves to the slow path is got with leave to sleep",
    ),
    Mutant(
        "writeback.end_cleans",
        ("GWB-REDIRTY-DURING", "WB-PTEDIRTY", "WB-LOCK", "WB-SINGLE"),
        partial(boot, parts=Parts(make_writeback=_EndOfWritebackCleans)),
        "The end of a writeback takes the page for clean, dirtied again or not",
    ),
    Mutant(
        "writeback.end_of_bounce_cleans",
        ("GWB-REDIRTY-DURING", "WB-SINGLE", "BNC-KEEPDIRTY", "DRT-FSYNC"),
        partial(boot, parts=Parts(make_writeback=_EndOfBounceCleans)),
        "When a copy has landed and the pin is gone meanwhile, the page is clean",
    ),
)
