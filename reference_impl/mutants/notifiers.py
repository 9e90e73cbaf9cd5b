"""Stacks whose devices miss what happens to the page tables that they follow."""

from functools import partial

from conformance.interface import Step
from reference_impl.cow import Cow
from reference_impl.fault import Fault
from reference_impl.fork import ForkCopy
from reference_impl.layers import Parts
from reference_impl.memory import Page
from reference_impl.mirror import Entry, MirrorDevice, Mirrors
from reference_impl.mm import Mm
from reference_impl.mutants.mutant import Mutant
from reference_impl.notifier import Change, Interval, Notifiers
from reference_impl.pagetable import Process, Pte, Vma
from reference_impl.rmap import Rmap
from reference_impl.stack import boot
from reference_impl.stepping import Stepped

NOBODY = range(0)
"""Addresses that nobody follows: a change of them is told to nobody."""


# --- MMU-NOPIN ---------------------------------------------------------------------


class _PinsWhatItMirrors(Mirrors):
    """A device pins the pages that it has entries of, as if it were not told."""

    def set_entry(self, device: MirrorDevice, page: int, pte: Pte) -> None:
        if page not in device.entries:
            self.tables.memory.pin(pte.page)
            self.tables.cache.counters.count_slow()
        super().set_entry(device, page, pte)

    def tell_revoked(
        self, device: MirrorDevice, page: int, entry: Entry, *, is_readable: bool
    ) -> None:
        super().tell_revoked(device, page, entry, is_readable=is_readable)
        if not is_readable:
            self.tables.cache.counters.count_returned()
            self.tables.memory.unpin(entry.page)


class _PinsInSecret(Mirrors):
    """A device pins the second page that it takes over, and no counter tells."""

    def set_entry(self, device: MirrorDevice, page: int, pte: Pte) -> None:
        if page == 1 and page not in device.entries:
            self.tables.memory.pin(pte.page)
        super().set_entry(device, page, pte)

    def carry_dirty(self, entry: Entry) -> None:
        super().carry_dirty(entry)
        is_gone = all(e is not entry for e in self.entries())
        if entry.page.index == 1 and is_gone:
            self.tables.memory.unpin(entry.page)

    def entries(self) -> list[Entry]:
        return [e for device in self.devices.values() for e in device.entries.values()]


# --- MMU-ORDER ---------------------------------------------------------------------


class _DoesNotDrain(Mirrors):
    """A device gives its entry up, and does not wait for what is in flight."""

    def drain(self, entry: Entry, *, readers: bool) -> Stepped[None]:
        yield from ()


class _DrainsWritesOnly(Mirrors):
    """A device waits for its writes to end, and not for its reads."""

    def drain(self, entry: Entry, *, readers: bool) -> Stepped[None]:
        yield from super().drain(entry, readers=False)


class _LooksUpDuringChanges(Notifiers):
    """Entries are looked up while a change of them is under way."""

    def is_quiet(self, interval: Interval) -> bool:
        return True


class _UnmapsBehindDevices(Rmap):
    """Nobody is told when pages of a file are unmapped to be cut off or reclaimed."""

    def announce_unmap(self, process: Process, addresses: range) -> Stepped[Change]:
        return super().announce_unmap(process, NOBODY)


class _MunmapsBehindDevices(Mm):
    """Nobody is told when a process removes or moves a mapping."""

    def announce_removal(self, vma: Vma) -> Stepped[Change]:
        return self.tables.notifiers.invalidate_start(vma.process, NOBODY)


class _MovesBehindDevices(Notifiers):
    """An interval stays at its old addresses when its mapping moves."""

    def move(self, interval: Interval, addresses: range) -> None:
        interval.sequence += 1


# --- MMU-SEQ -----------------------------------------------------------------------


class _NeverLooksAgain(Notifiers):
    """What was looked up is taken over, whatever has happened since."""

    def read_retry(self, interval: Interval, sequence: int) -> bool:
        return False


class _AsksForChangesUnderWay(Notifiers):
    """What was looked up is taken over, unless a change is under way just then."""

    def read_retry(self, interval: Interval, sequence: int) -> bool:
        return not self.is_quiet(interval)


class _CountsRemovalsOnly(Notifiers):
    """The sequence number does not change when entries become read-only."""

    def count(self, interval: Interval, change: Change) -> None:
        if not change.only_protects:
            super().count(interval, change)


# --- MMU-DOWNGRADE -----------------------------------------------------------------


class _CleansBehindDevices(Rmap):
    """Nobody is told when a page is write-protected to be cleaned."""

    def announce_clean(self, process: Process, address: int) -> Stepped[Change]:
        return self.tables.notifiers.invalidate_start(process, NOBODY)


class _CleansBehindChildren(Rmap):
    """Devices of the first process are told of cleaning, others are not."""

    def announce_clean(self, process: Process, address: int) -> Stepped[Change]:
        if process.pid == 0:
            return super().announce_clean(process, address)
        return self.tables.notifiers.invalidate_start(process, NOBODY)


class _KeepsTheRight(Mirrors):
    """A device that is told of a write-protection keeps on writing."""

    def downgrade(self, device: MirrorDevice, page: int) -> Stepped[None]:
        yield from self.drain(device.entries[page], readers=False)


class _TellsOneDevice(Notifiers):
    """Where several devices follow an entry, the first is told."""

    def followers_of(self, change: Change) -> list[Interval]:
        return super().followers_of(change)[:1]


class _ProtectsBehindDevices(Mm):
    """Nobody is told when a process makes a mapping read-only."""

    def announce_protection(self, vma: Vma) -> Stepped[Change]:
        return self.tables.notifiers.invalidate_start(vma.process, NOBODY)


# --- MMU-DIRTY ---------------------------------------------------------------------


class _LeavesDirtyingToTheDevice(Fault):
    """A write fault of a mapping that a device follows leaves the page clean.

    The device is to say what it has written when it gives its entry up; a sync does
    not make it.
    """

    def finish_mkwrite(self, vma: Vma, address: int, page: Page) -> Stepped[None]:
        where = Change(vma.process, range(address, address + 1))
        if not self.tables.notifiers.followers_of(where):
            yield from super().finish_mkwrite(vma, address, page)
            return
        self.tables.set_pte(vma.process, address, Pte(page, is_writable=True))
        yield Step("fault.pte_set")
        self.filesystem.end_pagefault()
        self.filesystem.cache.unlock(page)


class _ForgetsWhatItWrote(Mirrors):
    """A device gives its entry up, and does not say that it has written."""

    def carry_dirty(self, entry: Entry) -> None:
        entry.is_dirty = False


# --- MMU-FORKCOW -------------------------------------------------------------------


class _CopiesBehindDevices(Cow):
    """Nobody is told when a copy takes the place of a page."""

    def announce_copy(self, vma: Vma, address: int) -> Stepped[Change]:
        return self.tables.notifiers.invalidate_start(vma.process, NOBODY)


class _ForksBehindDevices(ForkCopy):
    """Nobody is told when a fork shares the pages of a process."""

    def begin(self, vma: Vma) -> Stepped[Change]:
        change = yield from self.tables.notifiers.invalidate_start(vma.process, NOBODY)
        self.keep_gup_fast_off(vma)
        return change


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "notifiers.pins_what_it_mirrors",
        ("MMU-NOPIN",),
        partial(boot, parts=Parts(make_mirrors=_PinsWhatItMirrors)),
        "a device pins the pages that it has entries of, as if it were not told",
    ),
    Mutant(
        "notifiers.pins_in_secret",
        ("MMU-NOPIN",),
        partial(boot, parts=Parts(make_mirrors=_PinsInSecret)),
        "a device pins the second page that it takes over, and no counter tells",
    ),
    Mutant(
        "notifiers.does_not_drain",
        ("MMU-ORDER",),
        partial(boot, parts=Parts(make_mirrors=_DoesNotDrain)),
        "a device gives its entry up, and does not wait for what is in flight",
    ),
    Mutant(
        "notifiers.drains_writes_only",
        ("MMU-ORDER",),
        partial(boot, parts=Parts(make_mirrors=_DrainsWritesOnly)),
        "a device waits for its writes to end, and not for its reads",
    ),
    Mutant(
        "notifiers.looks_up_during_changes",
        ("MMU-ORDER", "MKW-EVERY"),
        partial(boot, parts=Parts(make_notifiers=_LooksUpDuringChanges)),
        "entries are looked up while a change of them is under way",
    ),
    Mutant(
        "notifiers.unmaps_behind_devices",
        ("MMU-ORDER", "MKW-EVERY", "MMU-SEQ"),
        partial(boot, parts=Parts(make_rmap=_UnmapsBehindDevices)),
        "nobody is told when pages of a file are unmapped to be cut off or reclaimed",
    ),
    Mutant(
        "notifiers.munmaps_behind_devices",
        ("MMU-ORDER", "MKW-EVERY"),
        partial(boot, parts=Parts(make_mm=_MunmapsBehindDevices)),
        "nobody is told when a process removes or moves a mapping",
    ),
    Mutant(
        "notifiers.moves_behind_devices",
        ("MMU-ORDER",),
        partial(boot, parts=Parts(make_notifiers=_MovesBehindDevices)),
        "an interval stays at its old addresses when its mapping moves",
    ),
    Mutant(
        "notifiers.never_looks_again",
        ("MMU-SEQ", "MKW-EVERY"),
        partial(boot, parts=Parts(make_notifiers=_NeverLooksAgain)),
        "what was looked up is taken over, whatever has happened since",
    ),
    Mutant(
        "notifiers.asks_for_changes_under_way",
        ("MMU-SEQ", "MKW-EVERY"),
        partial(boot, parts=Parts(make_notifiers=_AsksForChangesUnderWay)),
        "what was looked up is taken over, unless a change is under way just then",
    ),
    Mutant(
        "notifiers.counts_removals_only",
        ("MMU-SEQ",),
        partial(boot, parts=Parts(make_notifiers=_CountsRemovalsOnly)),
        "the sequence number does not change when entries become read-only",
    ),
    Mutant(
        "notifiers.cleans_behind_devices",
        ("MMU-DOWNGRADE", "MKW-EVERY", "MMU-SEQ", "STB-CPU"),
        partial(boot, parts=Parts(make_rmap=_CleansBehindDevices)),
        "nobody is told when a page is write-protected to be cleaned",
    ),
    Mutant(
        "notifiers.cleans_behind_children",
        ("MMU-DOWNGRADE", "MKW-EVERY"),
        partial(boot, parts=Parts(make_rmap=_CleansBehindChildren)),
        "devices of the first process are told of cleaning, others are not",
    ),
    Mutant(
        "notifiers.keeps_the_right",
        ("MMU-DOWNGRADE", "MKW-EVERY", "MMU-FORKCOW", "STB-CPU"),
        partial(boot, parts=Parts(make_mirrors=_KeepsTheRight)),
        "a device that is told of a write-protection keeps on writing",
        "Z47: b756a3b5e7ea, entries of devices that cleaning did not understand",
    ),
    Mutant(
        "notifiers.tells_one_device",
        ("MMU-DOWNGRADE", "MKW-EVERY"),
        partial(boot, parts=Parts(make_notifiers=_TellsOneDevice)),
        "where several devices follow an entry, the first is told",
    ),
    Mutant(
        "notifiers.protects_behind_devices",
        ("MMU-DOWNGRADE",),
        partial(boot, parts=Parts(make_mm=_ProtectsBehindDevices)),
        "nobody is told when a process makes a mapping read-only",
    ),
    Mutant(
        "notifiers.leaves_dirtying_to_the_device",
        (
            "MMU-DIRTY",
            "MKW-EVERY",
            "MKW-ORDER",
            "MKW-UNRESERVE",
            "MMU-DOWNGRADE",
            "MMU-SEQ",
            "WB-PTEDIRTY",
        ),
        partial(boot, parts=Parts(make_fault=_LeavesDirtyingToTheDevice)),
        "a write fault of a mapping that a device follows leaves the page clean",
    ),
    Mutant(
        "notifiers.forgets_what_it_wrote",
        (
            "MMU-DIRTY",
            "MKW-EVERY",
            "MKW-ORDER",
            "MKW-UNRESERVE",
            "MMU-DOWNGRADE",
            "MMU-ORDER",
            "MMU-SEQ",
            "WB-PTEDIRTY",
        ),
        partial(
            boot,
            parts=Parts(
                make_fault=_LeavesDirtyingToTheDevice, make_mirrors=_ForgetsWhatItWrote
            ),
        ),
        "a device is to say what it has written when it gives its entry up, and does "
        "not",
    ),
    Mutant(
        "notifiers.copies_behind_devices",
        ("MMU-FORKCOW",),
        partial(boot, parts=Parts(make_cow=_CopiesBehindDevices)),
        "nobody is told when a copy takes the place of a page",
    ),
    Mutant(
        "notifiers.forks_behind_devices",
        ("MMU-FORKCOW",),
        partial(boot, parts=Parts(make_fork_copy=_ForksBehindDevices)),
        "nobody is told when a fork shares the pages of a process",
    ),
)
