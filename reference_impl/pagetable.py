"""Processes, their mappings, and their page tables.

An address counts pages. A mapping (VMA) shows a range of a file, or of anonymous
memory, at a range of addresses. A page table entry is a value: it is replaced, never
changed in place, so that who has read one can tell later whether it is still the same.

An entry of a page that was moved to swap is not present; it says where the content is.

Interface:
  * `PageTables.set_pte`, `replace`, `protect`, `zap`, `swap_out` and `copy_swapped`
    change an entry; each happens at once and includes the flush of the TLB. Do not
    write to `Process.ptes` or `Process.swapped`.
  * `replace` is the only one that puts another page in the place of one.
  * An entry holds a reference of its page, unless it is the zero page.
"""

from collections.abc import Callable

import attrs

from conformance.interface import Event
from conformance.interface.events import PteChanged
from reference_impl.anon import AnonVma, is_zero
from reference_impl.blockdev import Words
from reference_impl.inode import Inode
from reference_impl.memory import Memory, Page
from reference_impl.notifier import Notifiers
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


@attrs.frozen(eq=False)
class SwapSlot:
    """Where swap keeps the content of a page; given up with its last entry."""

    words: Words


@attrs.define(eq=False)
class Vma:
    """A mapping of a file or of anonymous memory in the address space of a process."""

    process: "Process"
    mapping: int
    """Handle of the mapping, unique in its process."""
    backing: Inode | None
    """The file; None: anonymous memory."""
    first_page: int
    """Index in the file of the first page mapped."""
    pages: int
    start: int
    """Address of the first page mapped."""
    is_writable: bool
    anon: AnonVma | None = None
    """The owner of its anonymous pages; None: a shared mapping of a file."""

    @property
    def inode(self) -> Inode:
        """The file."""
        assert self.backing is not None, f"mapping {self.mapping} has no file"
        return self.backing

    @property
    def space(self) -> AddressSpace:
        """The page cache of the file."""
        return self.inode.space

    @property
    def owners(self) -> list[AddressSpace | AnonVma]:
        """Whose pages it may show."""
        spaces = [] if self.backing is None else [self.backing.space]
        return [*spaces, *([] if self.anon is None else [self.anon])]

    @property
    def is_private(self) -> bool:
        """Whether what is written through it is seen by its process alone."""
        return self.anon is not None and not self.anon.is_shared

    @property
    def is_secret(self) -> bool:
        """Whether its pages are never handed out."""
        return self.anon is not None and self.anon.is_secret

    @property
    def is_tracked(self) -> bool:
        """Whether the file has to know of writes through it."""
        return self.anon is None and self.space.is_tracked

    @property
    def addresses(self) -> range:
        """The addresses that it covers."""
        return range(self.start, self.start + self.pages)

    def contains(self, address: int) -> bool:
        """Tell whether the mapping covers an address."""
        return self.start <= address < self.start + self.pages

    def index_of(self, address: int) -> int:
        """Return the index in the file of the page mapped at an address."""
        return self.first_page + address - self.start

    def addresses_of(self, first: int, end: int | None) -> range:
        """Return where the pages from `first` up to `end` (None: all) are mapped."""
        begin = max(self.start, self.start + first - self.first_page)
        stop = self.start + self.pages
        if end is not None:
            stop = min(stop, self.start + end - self.first_page)
        return range(begin, max(begin, stop))

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
    swapped: dict[int, SwapSlot] = attrs.field(factory=dict[int, SwapSlot])
    """Entries that are not present, because their page was moved to swap."""
    write_protect_seq: int = 0
    """Odd while a fork takes the right to write away; GUP-fast keeps off then."""
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
    notifiers: Notifiers = attrs.field(factory=Notifiers)
    """Who is to be told before entries change; see `notifier.py`."""

    def set_pte(self, process: Process, address: int, pte: Pte) -> None:
        """Set an entry; a page that is mapped there anew gets a reference."""
        old = process.ptes.get(address)
        if old is None:
            self.hold(pte.page)
            process.swapped.pop(address, None)
        assert old is None or old.page is pte.page, f"{address} maps another page"
        process.ptes[address] = pte
        self.tell_pte(process, address, pte)

    def replace(self, process: Process, address: int, pte: Pte) -> None:
        """Put another page in the place of one; references go along."""
        old = process.ptes[address]
        assert old.page is not pte.page, f"page {old.page.pfn} is mapped already"
        self.hold(pte.page)
        process.ptes[address] = pte
        self.tell_pte(process, address, pte)
        if old.is_dirty:
            self.cache.mark_dirty(old.page)
        self.let_go(old.page)

    def hold(self, page: Page) -> None:
        """Take the reference of an entry."""
        if not is_zero(page):
            self.memory.get(page)

    def let_go(self, page: Page) -> None:
        """Drop the reference of an entry."""
        if not is_zero(page):
            self.memory.put(page)

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
        self.let_go(pte.page)

    def swap_out(self, process: Process, address: int, slot: SwapSlot) -> None:
        """Let an entry say where in swap its page is, and drop the page."""
        pte = self.take(process, address)
        process.swapped[address] = slot
        self.let_go(pte.page)

    def copy_swapped(self, process: Process, address: int, slot: SwapSlot) -> None:
        """Set an entry that says where in swap its page is."""
        assert address not in process.ptes, f"address {address} is mapped"
        process.swapped[address] = slot

    def take_swapped(self, process: Process, address: int) -> SwapSlot:
        """Remove an entry that says where in swap its page is."""
        return process.swapped.pop(address)

    def clear(self, process: Process, address: int) -> bool:
        """Remove whatever is at an address for good; tell whether it was anything."""
        is_swapped = process.swapped.pop(address, None) is not None
        if address in process.ptes:
            self.zap(process, address)
            return True
        return is_swapped

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
