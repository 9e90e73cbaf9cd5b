"""get_user_pages_fast: without locks first, and the slow way for the rest.

Without a lock, what was read may change at once. So the pin is counted first and
the page table entry read again after it: whoever takes the right to write away
changes the entry first and asks for pins after that. One of the two sees the
other. On a change the page is given back and the walk ends there, so that what was
granted is a prefix.

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
        pte = process.ptes.get(address)
        if pte is None or not self.may_use(pte, flags):
            return None
        page = pte.page
        count = count_of(page.pfn)
        yield Step("gup_fast.pte_read", (count,), (count,))
        if not self.try_take(page, flags):
            return None
        entry = pte_at(process.pid, address)
        touched = (count, flags_of(page.pfn))
        yield Step("gup_fast.reference_taken", (entry, *touched), touched)
        if not self.recheck(process, address, pte, flags):
            self.back_off(page, flags)
            yield Step("gup_fast.backed_off")
            return None
        yield Step("gup_fast.pte_checked", (flags_of(page.pfn),))
        return page

    def may_use(self, pte: Pte, flags: GupFlags) -> bool:
        """Tell whether an entry allows what is asked for, as far as can be seen."""
        if not self.grab.may_use(pte, flags):
            return False
        mapping = pte.page.mapping
        is_tracked = mapping is None or mapping.is_tracked
        return not self.slow.refuses_longterm(flags, is_tracked=is_tracked)

    def try_take(self, page: Page, flags: GupFlags) -> bool:
        """Take a reference of a page that may be gone; the slow way counts refusals."""
        if page.refcount == 0 or not self.grab.has_room(page, flags):
            return False
        self.grab.take(page, flags, "fast")
        return True

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
