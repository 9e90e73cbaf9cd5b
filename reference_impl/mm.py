"""Address spaces: mmap and its kin, fork and exit, loads and stores.

Whoever changes the mappings of a process holds its mmap_lock alone; whoever moves
or copies page table entries also bars the walks of the reverse map over the file or
the anonymous memory that they show.

Interface:
  * The methods of `Mm` are the operations on mappings and processes.
  * `Cpu.load` and `Cpu.store` access one word. Checking the entry and accessing
    the page is one moment: who changes an entry flushes the TLB.
"""

from typing import NoReturn

import attrs

from conformance.interface import Errno, KernelError, Signal, SignalName, Step
from reference_impl.anon import AnonVma
from reference_impl.fault import Access, Fault
from reference_impl.files import Files
from reference_impl.fork import ForkCopy
from reference_impl.inode import Inode
from reference_impl.notifier import Change
from reference_impl.pagetable import PageTables, Process, Vma
from reference_impl.rmap import Rmap
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class Mm:
    """All processes."""

    files: Files
    rmap: Rmap
    tables: PageTables
    fork_copy: ForkCopy
    processes: dict[int, Process] = attrs.field(factory=dict[int, Process])

    def find_process(self, process: int) -> Process:
        """Find a process by its handle."""
        found = self.processes.get(process)
        if found is None:
            raise KernelError(Errno.EINVAL, f"there is no process {process}")
        return found

    def find_vma(self, process: int, mapping: int) -> Vma:
        """Find a mapping by its handle."""
        vma = self.find_process(process).vmas.get(mapping)
        if vma is None:
            raise KernelError(Errno.EINVAL, f"there is no mapping {mapping}")
        return vma

    # --- mappings -----------------------------------------------------------------

    def mmap(
        self,
        process: int,
        mapping: int,
        file: int | None,
        page: int,
        pages: int,
        writable: bool,
        *,
        shared: bool = True,
        secret: bool = False,
    ) -> Stepped[None]:
        """Map pages of a file, or anonymous memory (`file` is None).

        A process begins with its first mapping.
        """
        if pages < 1 or page < 0 or (secret and file is not None):
            raise KernelError(Errno.EINVAL, f"{pages} page(s) from page {page}")
        inode = None if file is None else self.files.open(file, Errno.EINVAL)
        anon = self.make_anon_vma(inode, is_shared=shared, is_secret=secret)
        owner = self.processes.setdefault(process, Process(process))
        yield from owner.mmap_lock.acquire_write("mmap")
        try:
            if mapping in owner.vmas:
                self.close(inode)
                raise KernelError(Errno.EINVAL, f"there is a mapping {mapping}")
            start = owner.take_addresses(pages)
            first = 0 if inode is None else page
            vma = Vma(owner, mapping, inode, first, pages, start, writable, anon)
            self.add_vma(vma)
        finally:
            owner.mmap_lock.release_write()

    def make_anon_vma(
        self, inode: Inode | None, *, is_shared: bool, is_secret: bool
    ) -> AnonVma | None:
        """Return the owner of what a mapping has beside the pages of its file."""
        if inode is not None and is_shared:
            return None
        return AnonVma(is_secret, is_shared)

    def close(self, inode: Inode | None) -> None:
        """End the use of a file by a mapping, if it has one."""
        if inode is not None:
            self.files.close(inode)

    def add_vma(self, vma: Vma) -> None:
        """Make a mapping known to its process and to the reverse map."""
        vma.process.vmas[vma.mapping] = vma
        for owner in vma.owners:
            self.rmap.of(owner).vmas.append(vma)

    def munmap(self, process: int, mapping: int) -> Stepped[None]:
        """Remove a mapping."""
        owner = self.find_process(process)
        yield from owner.mmap_lock.acquire_write("munmap")
        try:
            yield from self.remove_vma(self.find_vma(process, mapping))
        finally:
            owner.mmap_lock.release_write()

    def remove_vma(self, vma: Vma) -> Stepped[None]:
        """Clear the entries of a mapping and forget it.

        Context: the mmap_lock is held alone.
        """
        yield from self.bar(vma, "munmap")
        change = yield from self.announce_removal(vma)
        for address in vma.addresses:
            if self.tables.clear(vma.process, address):
                yield Step("munmap.pte_cleared")
        self.tables.notifiers.invalidate_end(change)
        for owner in vma.owners:
            self.rmap.of(owner).vmas.remove(vma)
        self.unbar(vma)
        del vma.process.vmas[vma.mapping]
        if vma.anon is not None and not self.rmap.of(vma.anon).vmas:
            self.give_up(vma.anon, range(vma.pages))
        self.close(vma.backing)

    def give_up(self, anon: AnonVma, indices: range) -> None:
        """Drop pages of shared anonymous memory."""
        for index in indices:
            page = anon.pages.pop(index, None)
            if page is not None:
                self.tables.let_go(page)

    def announce_removal(self, vma: Vma) -> Stepped[Change]:
        """Tell those who follow a mapping that its entries are about to go."""
        return self.tables.notifiers.invalidate_start(vma.process, vma.addresses)

    def bar(self, vma: Vma, who: str) -> Stepped[None]:
        """Keep walks of the reverse map off what a mapping shows; the file first."""
        for owner in vma.owners:
            yield from self.rmap.bar(owner, who)

    def unbar(self, vma: Vma) -> None:
        """Let walks go on."""
        for owner in vma.owners:
            self.rmap.unbar(owner)

    def mprotect(self, process: int, mapping: int, writable: bool) -> Stepped[None]:
        """Make a mapping writable, or read-only.

        Entries become writable by a fault, one by one.
        """
        owner = self.find_process(process)
        yield from owner.mmap_lock.acquire_write("mprotect")
        try:
            vma = self.find_vma(process, mapping)
            vma.is_writable = writable
            if not writable:
                yield from self.protect_all(vma)
        finally:
            owner.mmap_lock.release_write()

    def protect_all(self, vma: Vma) -> Stepped[None]:
        """Make the entries of a mapping read-only."""
        change = yield from self.announce_protection(vma)
        for address in vma.addresses:
            if address in vma.process.ptes:
                self.tables.protect(vma.process, address, clean=False)
                yield Step("mprotect.pte_changed")
        self.tables.notifiers.invalidate_end(change)

    def announce_protection(self, vma: Vma) -> Stepped[Change]:
        """Tell those who follow a mapping that it is about to become read-only."""
        return self.tables.notifiers.invalidate_start(
            vma.process, vma.addresses, only_protects=True
        )

    def mremap(self, process: int, mapping: int) -> Stepped[None]:
        """Move a mapping, entries and all, to other addresses."""
        owner = self.find_process(process)
        yield from owner.mmap_lock.acquire_write("mremap")
        try:
            vma = self.find_vma(process, mapping)
            yield from self.bar(vma, "mremap")
            change = yield from self.announce_removal(vma)
            old_start = vma.start
            vma.start = owner.take_addresses(vma.pages)
            for offset in range(vma.pages):
                if old_start + offset in owner.ptes:
                    pte = self.tables.take(owner, old_start + offset)
                    yield Step("mremap.pte_taken")
                    self.tables.move(owner, pte, vma.start + offset)
                    yield Step("mremap.pte_moved")
                elif old_start + offset in owner.swapped:
                    slot = self.tables.take_swapped(owner, old_start + offset)
                    self.tables.copy_swapped(owner, vma.start + offset, slot)
            self.tables.notifiers.invalidate_end(change)
            self.unbar(vma)
        finally:
            owner.mmap_lock.release_write()

    # --- processes ----------------------------------------------------------------

    def fork(self, process: int, child: int) -> Stepped[None]:
        """Make a child process with the same mappings.

        Raises:
            KernelError: EINVAL; ENOMEM, and there is no child.
        """
        parent = self.find_process(process)
        yield from parent.mmap_lock.acquire_write("fork")
        try:
            if child in self.processes:
                raise KernelError(Errno.EINVAL, f"there is a process {child}")
            born = Process(child, next_address=parent.next_address)
            self.processes[child] = born
            yield from born.mmap_lock.acquire_write("fork")
            try:
                for vma in list(parent.vmas.values()):
                    yield from self.copy_vma(vma, born)
            except KernelError:
                yield from self.remove_vmas(born)
                del self.processes[child]
                raise
            finally:
                born.mmap_lock.release_write()
        finally:
            parent.mmap_lock.release_write()

    def copy_vma(self, vma: Vma, child: Process) -> Stepped[None]:
        """Give a child a mapping of its parent, with its entries."""
        yield from self.bar(vma, "fork")
        copy = Vma(
            child,
            vma.mapping,
            vma.backing,
            vma.first_page,
            vma.pages,
            vma.start,
            vma.is_writable,
            vma.anon,
        )
        if vma.backing is not None:
            vma.backing.users += 1
        self.add_vma(copy)
        change = yield from self.fork_copy.begin(vma)
        try:
            for address in vma.addresses:
                yield from self.fork_copy.copy_entry(vma, child, address)
        finally:
            self.fork_copy.end(vma, change)
            self.unbar(vma)

    def exit(self, process: int) -> Stepped[None]:
        """End a process; its mappings go, its pins stay with their devices."""
        owner = self.processes.get(process)
        if owner is None:
            return
        yield from self.remove_all(owner)
        if self.processes.get(process) is owner:
            del self.processes[process]

    def remove_all(self, owner: Process) -> Stepped[None]:
        """Remove every mapping of a process."""
        yield from owner.mmap_lock.acquire_write("exit")
        yield from self.remove_vmas(owner)
        owner.mmap_lock.release_write()

    def remove_vmas(self, owner: Process, *, only_files: bool = False) -> Stepped[None]:
        """Remove the mappings of a process, or those that have a file.

        Context: the mmap_lock is held alone.
        """
        for vma in list(owner.vmas.values()):
            if vma.backing is not None or not only_files:
                yield from self.remove_vma(vma)

    def remove_files(self, owner: Process) -> Stepped[None]:
        """Remove every mapping of a process that shows a file."""
        yield from owner.mmap_lock.acquire_write("umount")
        yield from self.remove_vmas(owner, only_files=True)
        owner.mmap_lock.release_write()


@attrs.define(eq=False)
class Cpu:
    """Loads and stores."""

    mm: Mm
    fault: Fault
    tables: PageTables

    def load(self, process: int, mapping: int, page: int, word: int) -> Stepped[int]:
        """Read one word of a mapping."""
        owner, address = self.locate(process, mapping, page)
        while True:
            pte = owner.ptes.get(address)
            if pte is not None:
                self.tables.mark_accessed(owner, address, dirty=False)
                return pte.page.words[word]
            yield from self.fault_in(owner, address, Access(write=False))

    def store(
        self, process: int, mapping: int, page: int, word: int, value: int
    ) -> Stepped[None]:
        """Write one word of a mapping."""
        owner, address = self.locate(process, mapping, page)
        while True:
            pte = owner.ptes.get(address)
            if pte is not None and pte.is_writable:
                self.tables.mark_accessed(owner, address, dirty=True)
                pte.page.words[word] = value
                return
            yield from self.fault_in(owner, address, Access(write=True))

    def locate(self, process: int, mapping: int, page: int) -> tuple[Process, int]:
        """Return the process and the address of a page of a mapping."""
        try:
            vma = self.mm.find_vma(process, mapping)
        except KernelError as error:
            raise Signal(SignalName.SIGSEGV, error.reason) from None
        return vma.process, vma.start + page

    def fault_in(self, process: Process, address: int, access: Access) -> Stepped[None]:
        """Take a fault, and turn its failure into a signal."""
        yield Step("cpu.pte_checked")
        yield from process.mmap_lock.acquire_read()
        try:
            yield from self.fault.handle(process, address, access)
        except KernelError as error:
            refuse(error)
        finally:
            process.mmap_lock.release_read()


def refuse(error: KernelError) -> NoReturn:
    """Raise the signal that tells a process why its access failed."""
    is_unmapped = error.errno is Errno.EFAULT
    name = SignalName.SIGSEGV if is_unmapped else SignalName.SIGBUS
    raise Signal(name, error.reason) from error
