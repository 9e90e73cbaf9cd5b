"""get_user_pages_fast: without locks first, and the slow way for the rest.

Without a lock, what was read may change at once. So the pin is counted first and
the page table entry read again after it: whoever takes the right to write away
changes the entry first and asks for pins after that. One of the two sees the
other. On a change the page is given back and the walk ends there, so that what was
granted is a prefix. A fork that shares private pages is noticed by its sequence count,
and by the page being no longer exclusive.

The count is that of the head of the page's folio. Which page that is can change as
well, when the folio is split: so the page is asked for its head again, too.

Interface:
  * `GupFast.get` is the whole call, slow part included.
"""

import attrs

from conformance.interface import Step
from conformance.interface.events import PinBackedOff
from reference_impl.gup import Grab, GupFlags, GupSlow
from reference_impl.memory import Page
from reference_impl.pagetable import Process, Pte
from reference_impl.stepping import Stepped, count_of, flags_of, pte_at


@attrs.define(eq=False)
class GupFast:
    """get_user_pages_fast."""

    grab: Grab
    slow: GupSlow

    def get(
        self,
        process: Process,
        addresses: range,
        flags: GupFlags,
        granted: list[Page],
    ) -> Stepped[None]:
        """Add the pages at some addresses to those granted.

        Raises:
            KernelError: as the slow way; `granted` holds the pages before.
        """
        for address in addresses:
            page = yield from self.try_page(process, address, flags)
            if page is None:
                break
            granted.append(page)
            self.grab.tell_granted(page, flags, "fast")
            yield Step("gup_fast.page_granted")
        rest = addresses[len(granted) :]
        if rest:
            yield from self.slow.get(process, rest, flags, granted)

    def try_page(
        self, process: Process, address: int, flags: GupFlags
    ) -> Stepped[Page | None]:
        """Return the page at an address with its reference; None: the slow way."""
        seq = process.write_protect_seq
        pte = self.find_pte(process, address, flags)
        if pte is None or self.must_keep_off(seq, flags):
            return None
        page, head = pte.page, pte.page.head
        count = count_of(head.pfn)
        yield Step("gup_fast.pte_read", (count,), (count,))
        if not self.is_head(head) or not self.try_take(head, flags):
            return None
        entry = pte_at(process.pid, address)
        touched = (count, flags_of(page.pfn))
        yield Step("gup_fast.reference_taken", (entry, *touched), touched)
        is_stable = self.is_stable(page, head) and self.is_lendable(pte, flags)
        is_stable = is_stable and self.is_same_seq(process, seq, flags)
        if not is_stable or not self.recheck(process, address, pte, flags):
            self.back_off(head, flags)
            yield Step("gup_fast.backed_off")
            return None
        yield Step("gup_fast.pte_checked", (flags_of(page.pfn),))
        return page

    def find_pte(self, process: Process, address: int, flags: GupFlags) -> Pte | None:
        """Return an entry that may do; None: the slow way."""
        pte = process.ptes.get(address)
        if pte is None or not self.may_use(pte, flags):
            return None
        return pte if self.is_lendable(pte, flags) else None

    def must_keep_off(self, seq: int, flags: GupFlags) -> bool:
        """Tell whether a fork is write-protecting entries: then nothing is pinned."""
        return flags.tracked and seq % 2 == 1

    def is_same_seq(self, process: Process, seq: int, flags: GupFlags) -> bool:
        """Tell whether no fork has begun since the count was read."""
        return not flags.tracked or process.write_protect_seq == seq

    def may_use(self, pte: Pte, flags: GupFlags) -> bool:
        """Tell whether an entry allows what is asked for, as far as can be seen."""
        if not self.grab.may_use(pte, flags):
            return False
        return not self.slow.refuses_longterm(flags, is_tracked=self.is_tracked(pte))

    def is_tracked(self, pte: Pte) -> bool:
        """Tell whether writes to a page must be known; of an orphan nobody can say."""
        page = pte.page
        if page.mapping is None:
            return page.anon is None
        return page.mapping.is_tracked

    def is_lendable(self, pte: Pte, flags: GupFlags) -> bool:
        """Tell whether the page is neither secret nor to be unshared first."""
        return not self.is_secret(pte.page) and not self.must_unshare(pte, flags)

    def is_secret(self, page: Page) -> bool:
        """Tell whether a page is nobody's business but its process's."""
        return page.anon is not None and page.anon.is_secret

    def must_unshare(self, pte: Pte, flags: GupFlags) -> bool:
        """Tell whether the process may have to get a page of its own first."""
        return self.grab.must_unshare(pte, flags, is_private=True)

    def try_take(self, page: Page, flags: GupFlags) -> bool:
        """Take a reference of a page that may be gone; the slow way counts refusals."""
        if page.refcount == 0 or not self.grab.has_room(page, flags):
            return False
        self.grab.take(page, flags, "fast")
        return True

    def is_head(self, head: Page) -> bool:
        """Tell whether a page still keeps a count, and nobody is splitting its folio.

        The folio may have been split or freed since its head was looked up.
        """
        return head.head is head and not head.is_frozen

    def is_stable(self, page: Page, head: Page) -> bool:
        """Tell whether, with a reference of its head taken, a page still has that head.

        If its folio was split in between, the reference is one of another page.
        """
        return page.head is head

    def recheck(
        self, process: Process, address: int, pte: Pte, flags: GupFlags
    ) -> bool:
        """Tell whether, with the reference taken, the page may be granted."""
        is_same = process.ptes.get(address) == pte
        return is_same and not self.grab.must_wait(pte.page, flags)

    def back_off(self, page: Page, flags: GupFlags) -> None:
        """Give back a page that may not be granted."""
        key = page.key
        self.grab.give_back(page, flags)
        if self.grab.tell is not None:
            self.grab.tell(PinBackedOff(key, page.pfn, page.refcount))
