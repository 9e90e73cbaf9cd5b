"""What a fork does to private memory: share what may be shared, copy the rest.

Pages are shared read-only, and are nobody's alone from then on. A page that a device
may have pinned cannot be shared: whoever wrote first would copy it, and if that is
the parent, the device is left with a page that nobody looks at. So the child gets its
copy at once, and the parent keeps the page that is pinned.

The parent's entry is write-protected before its page is looked at, and stays so: a
store waits until the fork is over. So what the child gets is what the parent had at
one moment. GUP-fast takes no lock; it keeps off while the sequence count is odd, and
backs off if it has changed.

A page of a file is not copied, pinned or not. It is the file's.

Interface:
  * `begin` and `end` surround the entries of a private mapping.
  * `copy_entry` gives the child what the parent has at one address.
"""

import attrs

from conformance.interface import Step
from reference_impl.anon import AnonVma, make_anon
from reference_impl.memory import Memory, Page
from reference_impl.notifier import Change
from reference_impl.pagetable import PageTables, Process, Pte, Vma
from reference_impl.stepping import Stepped


@attrs.define(eq=False)
class ForkCopy:
    """Copies page table entries from parent to child."""

    memory: Memory
    tables: PageTables

    def begin(self, vma: Vma) -> Stepped[Change]:
        """Keep GUP-fast and devices off what is about to be write-protected.

        That a shared mapping gets a copy changes nothing for those who follow it.
        """
        addresses = vma.addresses if vma.is_private else range(0)
        change = yield from self.tables.notifiers.invalidate_start(
            vma.process, addresses, only_protects=True
        )
        self.keep_gup_fast_off(vma)
        return change

    def keep_gup_fast_off(self, vma: Vma) -> None:
        """Make the sequence count odd, or even again."""
        if vma.is_private:
            vma.process.write_protect_seq += 1

    def end(self, vma: Vma, change: Change) -> None:
        """Let them go on."""
        self.keep_gup_fast_off(vma)
        self.tables.notifiers.invalidate_end(change)

    def copy_entry(self, vma: Vma, child: Process, address: int) -> Stepped[None]:
        """Give a child what its parent has at an address.

        Context: the mmap_lock of both is held alone, and walks are barred.

        Raises:
            KernelError: ENOMEM.
        """
        slot = vma.process.swapped.get(address)
        pte = vma.process.ptes.get(address)
        if slot is not None:
            self.tables.copy_swapped(child, address, slot)
        elif pte is None:
            return
        elif not vma.is_private or not self.is_own(pte.page):
            self.tables.set_pte(child, address, pte)
        else:
            yield from self.copy_anon(vma, child, address, pte.page)
        yield Step("fork.pte_copied")

    def is_own(self, page: Page) -> bool:
        """Tell whether a page of a private mapping is the process's, not a file's."""
        return page.anon is not None

    def copy_anon(
        self, vma: Vma, child: Process, address: int, page: Page
    ) -> Stepped[None]:
        """Give a child an anonymous page of its parent, or a copy of it."""
        self.protect(vma.process, address)
        if self.must_copy(page):
            copy = yield from self.copy_page(vma, page)
            self.tables.set_pte(child, address, Pte(copy))
            self.memory.put(copy)
        else:
            self.share(page)
            self.tables.set_pte(child, address, Pte(page))

    def protect(self, parent: Process, address: int) -> None:
        """Make an entry of the parent read-only."""
        self.tables.protect(parent, address, clean=False)

    def must_copy(self, page: Page) -> bool:
        """Tell whether a device may have a page, which thus cannot be shared.

        A page that is shared already has no pin: what looks like one is references.
        """
        return page.is_exclusive and self.memory.maybe_dma_pinned(page)

    def share(self, page: Page) -> None:
        """Make a page nobody's alone."""
        page.is_exclusive = False

    def copy_page(self, vma: Vma, page: Page) -> Stepped[Page]:
        """Return a copy of a page, with a reference."""
        copy = self.memory.allocate()
        copy.words = list(page.words)
        assert isinstance(vma.anon, AnonVma), "a shared mapping is not copied"
        make_anon(copy, vma.anon, page.index)
        yield Step("fork.page_copied")
        return copy
