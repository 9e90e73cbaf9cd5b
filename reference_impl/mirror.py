"""Devices that share the page table of a process (ODP, HMM).

The document's last resort: who follows the page tables needs no pin (S22). Such a
device has entries of its own, taken over from the page table of one mapping when it
first accesses a page. An entry never outlives what it was taken from: before the
page table changes, the device gives it up, or its right to write, and every access
that has begun through it ends first. So a device that writes again after a page was
cleaned has to take the write fault again, as a CPU does, and page_mkwrite runs.

Interface:
  * `attach` binds a device to a mapping, `detach` ends that. The device follows the
    mapping wherever it is moved to; if it is unmapped, its accesses fail.
  * `write_word` and `read_word` are accesses of the device.
  * An entry is taken over under the device's lock, after the sequence number was
    found unchanged. That lock is not held while a fault is waited for.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Errno, Event, KernelError, Step
from conformance.interface.events import MirrorAccessed, MirrorRevoked, MirrorSet
from reference_impl.fault import Access, Fault
from reference_impl.memory import Page
from reference_impl.mm import Mm
from reference_impl.notifier import Change, Interval, Notifiers
from reference_impl.pagetable import PageTables, Pte, Vma
from reference_impl.stepping import Lock, Stepped, wait_until


@attrs.define(eq=False)
class Entry:
    """An entry of a device's own page table."""

    page: Page
    is_writable: bool
    is_dirty: bool = False
    """The device has written through it."""
    readers: int = 0
    """Reading accesses that have begun and not ended."""
    writers: int = 0
    """Writing accesses that have begun and not ended."""


@attrs.define(eq=False)
class MirrorDevice:
    """An attached device."""

    handle: int
    vma: Vma
    interval: Interval
    entries: dict[int, Entry] = attrs.field(factory=dict[int, Entry])
    """By page of the mapping."""
    lock: Lock = attrs.field(factory=lambda: Lock("device lock"))
    """Held to take entries over, and to give them up."""
    is_attached: bool = True


@attrs.define(eq=False)
class Mirrors:
    """All attached devices."""

    mm: Mm
    fault: Fault
    tables: PageTables
    tell: Callable[[Event], None] | None = None
    devices: dict[int, MirrorDevice] = attrs.field(factory=dict[int, MirrorDevice])

    @property
    def notifiers(self) -> Notifiers:
        """Who tells of changes."""
        return self.tables.notifiers

    # --- coming and going -------------------------------------------------------------

    def attach(self, process: int, mapping: int, handle: int) -> Stepped[None]:
        """Bind a device to a mapping.

        Raises:
            KernelError: EFAULT, if there is no such mapping, or it is secret;
                EINVAL, if the handle is in use.
        """
        vma = self.find_vma(process, mapping)
        lock = vma.process.mmap_lock
        yield from lock.acquire_read()
        try:
            self.check_mapped(vma, 0)
            if vma.is_secret:
                raise KernelError(Errno.EFAULT, f"mapping {mapping} is secret")
            if handle in self.devices:
                raise KernelError(Errno.EINVAL, f"device {handle} is attached")
            self.devices[handle] = self.make_device(handle, vma)
        finally:
            lock.release_read()

    def make_device(self, handle: int, vma: Vma) -> MirrorDevice:
        """Make a device that follows a mapping, without entries yet."""

        def invalidate(change: Change) -> Stepped[None]:
            return self.invalidate(device, change)

        interval = Interval(vma.process, addresses_of(vma), invalidate)
        device = MirrorDevice(handle, vma, interval)
        self.notifiers.follow(interval)
        return device

    def detach(self, handle: int) -> Stepped[None]:
        """End what `attach` began, when all accesses of the device have ended."""
        device = self.find(handle)
        device.is_attached = False
        yield from device.lock.acquire("detach")
        for page in sorted(device.entries):
            yield from self.revoke(device, page)
        device.lock.release()
        self.notifiers.unfollow(device.interval)
        del self.devices[handle]

    def find(self, handle: int) -> MirrorDevice:
        """Find a device by its handle."""
        device = self.devices.get(handle)
        if device is None or not device.is_attached:
            raise KernelError(Errno.EINVAL, f"device {handle} is not attached")
        return device

    def find_vma(self, process: int, mapping: int) -> Vma:
        """Find a mapping by its handle."""
        try:
            return self.mm.find_vma(process, mapping)
        except KernelError as error:
            raise KernelError(Errno.EFAULT, error.reason) from None

    def check_mapped(self, vma: Vma, page: int) -> None:
        """Refuse a mapping that has been removed, or a page that is not in it."""
        is_there = vma.process.vmas.get(vma.mapping) is vma
        if not is_there or not 0 <= page < vma.pages:
            raise KernelError(Errno.EFAULT, f"page {page} is not mapped")

    # --- access -----------------------------------------------------------------------

    def write_word(
        self, handle: int, page: int, word: int, value: int
    ) -> Stepped[None]:
        """Write one word of the mapping."""
        device = self.find(handle)
        entry = yield from self.look_up(device, page, write=True)
        entry.writers += 1
        yield Step("mirror.started")
        entry.page.words[word] = value
        entry.is_dirty = True
        self.tell_accessed(device, entry, write=True)
        yield Step("mirror.accessed")
        entry.writers -= 1

    def read_word(self, handle: int, page: int, word: int) -> Stepped[int]:
        """Read one word of the mapping."""
        device = self.find(handle)
        entry = yield from self.look_up(device, page, write=False)
        entry.readers += 1
        yield Step("mirror.started")
        value = entry.page.words[word]
        self.tell_accessed(device, entry, write=False)
        yield Step("mirror.accessed")
        entry.readers -= 1
        return value

    def look_up(
        self, device: MirrorDevice, page: int, *, write: bool
    ) -> Stepped[Entry]:
        """Return an entry that allows an access, taking it over if need be.

        The access begins before anybody else runs.
        """
        while True:
            entry = device.entries.get(page)
            if entry is not None and (entry.is_writable or not write):
                return entry
            yield from self.take_over(device, page, write=write)

    def take_over(
        self, device: MirrorDevice, page: int, *, write: bool
    ) -> Stepped[None]:
        """Take an entry over from the page table; nothing, if that has changed.

        Raises:
            KernelError: the page cannot be accessed so.
        """
        self.follow_mapping(device)
        sequence = yield from self.notifiers.read_begin(device.interval)
        yield Step("notifier.sequence_read")
        pte = yield from self.fault_in(device, page, write=write)
        yield Step("notifier.pte_found")
        yield from device.lock.acquire("fault")
        try:
            if not self.must_retry(device, sequence):
                yield Step("notifier.sequence_checked")
                self.set_entry(device, page, pte)
                yield Step("notifier.mirror_set")
        finally:
            device.lock.release()

    def follow_mapping(self, device: MirrorDevice) -> None:
        """Follow a mapping that was moved; its entries have been given up then."""
        addresses = addresses_of(device.vma)
        if addresses != device.interval.addresses:
            self.notifiers.move(device.interval, addresses)

    def fault_in(self, device: MirrorDevice, page: int, *, write: bool) -> Stepped[Pte]:
        """Return the entry of the CPUs that allows an access, faulting it in."""
        vma = device.vma
        yield from vma.process.mmap_lock.acquire_read()
        try:
            while True:
                self.check_mapped(vma, page)
                address = vma.start + page
                pte = vma.process.ptes.get(address)
                if pte is not None and (pte.is_writable or not write):
                    return pte
                yield from self.fault.handle(vma.process, address, Access(write))
        finally:
            vma.process.mmap_lock.release_read()

    def must_retry(self, device: MirrorDevice, sequence: int) -> bool:
        """Tell whether an entry that was read may not be taken over any more.

        Raises:
            KernelError: EINVAL, if the device has been detached meanwhile.
        """
        if not device.is_attached:
            raise KernelError(Errno.EINVAL, f"device {device.handle} is not attached")
        return self.notifiers.read_retry(device.interval, sequence)

    def set_entry(self, device: MirrorDevice, page: int, pte: Pte) -> None:
        """Take an entry over."""
        old = device.entries.get(page)
        if old is not None and old.page is pte.page:
            old.is_writable |= pte.is_writable
        else:
            device.entries[page] = Entry(pte.page, pte.is_writable)
        if self.tell is not None:
            where = device.vma.process.pid, device.interval.addresses[page]
            event = MirrorSet(device.handle, *where, pte.page.pfn, pte.is_writable)
            self.tell(event)

    def tell_accessed(self, device: MirrorDevice, entry: Entry, *, write: bool) -> None:
        """Tell of an access."""
        if self.tell is not None:
            self.tell(MirrorAccessed(device.handle, entry.page.pfn, write))

    # --- giving up --------------------------------------------------------------------

    def invalidate(self, device: MirrorDevice, change: Change) -> Stepped[None]:
        """Give up what a change of the page table concerns.

        Context: called before the change; may hold a page lock and an mmap_lock.
        """
        yield from device.lock.acquire("invalidate")
        start = device.interval.addresses.start
        for page in sorted(device.entries):
            if start + page in change.addresses:
                if change.only_protects:
                    yield from self.downgrade(device, page)
                else:
                    yield from self.revoke(device, page)
        device.lock.release()

    def revoke(self, device: MirrorDevice, page: int) -> Stepped[None]:
        """Give an entry up; accesses through it end first.

        Context: the device's lock is held.
        """
        entry = device.entries.pop(page)
        yield from self.drain(entry, readers=True)
        self.carry_dirty(entry)
        self.tell_revoked(device, page, entry, is_readable=False)

    def downgrade(self, device: MirrorDevice, page: int) -> Stepped[None]:
        """Give the right to write through an entry up; writes end first.

        Context: the device's lock is held.
        """
        entry = device.entries[page]
        entry.is_writable = False
        yield from self.drain(entry, readers=False)
        self.carry_dirty(entry)
        self.tell_revoked(device, page, entry, is_readable=True)

    def drain(self, entry: Entry, *, readers: bool) -> Stepped[None]:
        """Wait until accesses through an entry have ended."""

        def is_drained() -> bool:
            return entry.writers == 0 and not (readers and entry.readers)

        yield from wait_until("device access", is_drained)

    def carry_dirty(self, entry: Entry) -> None:
        """Mark the page dirty if the device has written to it.

        The page table still maps the page, so it is not taken from its file now.
        """
        if entry.is_dirty:
            self.tables.cache.mark_dirty(entry.page)
        entry.is_dirty = False

    def tell_revoked(
        self, device: MirrorDevice, page: int, entry: Entry, *, is_readable: bool
    ) -> None:
        """Tell what a device may not do any more."""
        if self.tell is not None:
            where = device.vma.process.pid, device.interval.addresses[page]
            event = MirrorRevoked(device.handle, *where, entry.page.pfn, is_readable)
            self.tell(event)


def addresses_of(vma: Vma) -> range:
    """Return where a mapping is now."""
    return range(vma.start, vma.start + vma.pages)
