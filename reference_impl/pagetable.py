"""Processes, their mappings, and their page tables.

An address counts pages. A mapping (VMA) shows a range of a file at a range of
addresses. A page table entry is a value: it is replaced, never changed in place,
so that who has read one can tell later whether it is still the same.

Interface:
  * `PageTables.set_pte`, `protect` and `zap` change an entry; each happens at
    once and includes the flush of the TLB. Do not write to `Process.ptes`.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Event
from conformance.interface.events import PteChanged
from reference_impl.inode import Inode
from reference_impl.memory import Memory, Page
from reference_impl.pagecache import AddressSpace, PageCache
from reference_impl.stepping import SharedLock

GAP_PAGES = 1
"""Pages left free behind each mapping, so that its end is an end."""


@attrs.frozen
class Pte:
    """A present page table entry."""

    page: Page
    is_writable: bool = False
    is_dirty: bool = False
    is_accessed: bool = True


@attrs.define(eq=False)
class Vma:
    """A shared mapping of a file in the address space of a process."""

    process: "Process"
    mapping: int
    """Handle of the mapping, unique in its process."""
    inode: Inode
    first_page: int
    """Index in the file of the first page mapped."""
    pages: int
    start: int
    """Address of the first page mapped."""
    is_writable: bool

    @property
    def space(self) -> AddressSpace:
        """The page cache of the file."""
        return self.inode.space

    def contains(self, address: int) -> bool:
        """Tell whether the mapping covers an address."""
        return self.start <= address < self.start + self.pages

    def index_of(self, address: int) -> int:
        """Return the index in the file of the page mapped at an address."""
        return self.first_page + address - self.start

    def address_of(self, index: int) -> int | None:
        """Return where a page of the file is mapped; None: it is not."""
        address = self.start + index - self.first_page
        return address if self.contains(address) else None


@attrs.define(eq=False)
class Process:
    """An address space and the lock over it."""

    pid: int
    vmas: dict[int, Vma] = attrs.field(factory=dict[int, Vma])
    """By handle of the mapping."""
    ptes: dict[int, Pte] = attrs.field(factory=dict[int, Pte])
    """By address; nothing: not present."""
    mmap_lock: SharedLock = attrs.field(factory=lambda: SharedLock("mmap_lock"))
    """Held shared to fault, alone to change mappings."""
    next_address: int = 0

    def find_vma(self, address: int) -> Vma | None:
        """Return the mapping that covers an address."""
        for vma in self.vmas.values():
            if vma.contains(address):
                return vma
        return None

    def take_addresses(self, pages: int) -> int:
        """Return the first of so many addresses that were never used before."""
        start = self.next_address
        self.next_address += pages + GAP_PAGES
        return start


@attrs.define(eq=False)
class PageTables:
    """Changes of page table entries."""

    memory: Memory
    cache: PageCache
    tell: Callable[[Event], None] | None = None

    def set_pte(self, process: Process, address: int, pte: Pte) -> None:
        """Set an entry; a page that is mapped there anew gets a reference."""
        old = process.ptes.get(address)
        if old is None:
            self.memory.get(pte.page)
        process.ptes[address] = pte
        self.tell_pte(process, address, pte)

    def mark_accessed(self, process: Process, address: int, *, dirty: bool) -> None:
        """Set the accessed bit of an entry, and the dirty bit, as a CPU does."""
        pte = process.ptes[address]
        if pte.is_accessed and (pte.is_dirty or not dirty):
            return
        pte = Pte(pte.page, pte.is_writable, pte.is_dirty or dirty)
        process.ptes[address] = pte
        self.tell_pte(process, address, pte)

    def protect(self, process: Process, address: int, *, clean: bool) -> bool:
        """Make an entry read-only, and clean if asked; return its dirty bit."""
        pte = process.ptes[address]
        if not pte.is_writable and not (clean and pte.is_dirty):
            return pte.is_dirty
        new = Pte(pte.page, is_dirty=pte.is_dirty and not clean)
        process.ptes[address] = new
        self.tell_pte(process, address, new)
        return pte.is_dirty

    def move(self, process: Process, pte: Pte, address: int) -> None:
        """Put an entry that `take` has removed at another address."""
        process.ptes[address] = pte
        self.tell_pte(process, address, pte)

    def take(self, process: Process, address: int) -> Pte:
        """Remove an entry and return it; its reference goes with it."""
        pte = process.ptes.pop(address)
        self.tell_pte(process, address, None)
        return pte

    def zap(self, process: Process, address: int) -> None:
        """Remove an entry for good; its dirty bit goes to the page."""
        pte = self.take(process, address)
        if pte.is_dirty:
            self.cache.mark_dirty(pte.page)
        self.memory.put(pte.page)

    def tell_pte(self, process: Process, address: int, pte: Pte | None) -> None:
        """Tell what an entry is now."""
        if self.tell is None:
            return
        if pte is None:
            event = PteChanged(process.pid, address, None, False, False)
        else:
            page = pte.page
            event = PteChanged(
                process.pid,
                address,
                page.pfn,
                pte.is_writable,
                pte.is_dirty,
                page.key,
                page.is_locked,
            )
        self.tell(event)
