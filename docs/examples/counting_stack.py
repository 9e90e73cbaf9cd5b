"""A very partial stack: pins and counters, and nothing else.

It is the example of `docs/adding-an-implementation.md`. Run it with

    pytest --gup-impl=counting_stack

in this folder. Then change `put_user_page` to forget the counter, and run it again.
"""

from conformance.interface import Errno, KernelError, Setup, VmStat


class CountingStack:
    """Grants any page, and counts."""

    def __init__(self, setup: Setup) -> None:
        self.geometry = setup.geometry
        self.pins: dict[int, set[int]] = {}
        self.requested = 0
        self.returned = 0

    def get_user_pages(
        self, process: int, mapping: int, page: int, pages: int, pin: int
    ) -> int:
        """Pin pages; answer how many."""
        if page + pages > self.geometry.file_pages:
            raise KernelError(Errno.EFAULT, "beyond the mapping")
        self.pins[pin] = set(range(pages))
        self.requested += pages
        return pages

    def put_user_page(self, pin: int, page: int) -> None:
        """Put one page of a pin."""
        self.pins[pin].remove(page)
        self.returned += 1

    def vmstat(self) -> VmStat:
        """Show the counters that this stack keeps."""
        return VmStat(
            nr_gup_slow_pages_requested=self.requested,
            nr_gup_fast_pages_requested=0,
            nr_gup_fast_page_backoffs=0,
            nr_gup_page_count_overflows=0,
            nr_gup_pages_returned=self.returned,
        )


boot = CountingStack
