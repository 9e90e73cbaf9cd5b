"""The counters of /proc/vmstat, in both families.

The document has five items (S27), which count grants and releases of references;
today's kernel has two, which count pins. The document's readers are told what to
make of them: requests less returns is what is still held.

Interface:
  * The other layers count with the methods; `vmstat` shows everything.
  * `format_gup_counters` prints the document's five in its form.
"""

import attrs

from conformance.interface import VmStat


@attrs.define(eq=False)
class Counters:
    """What has been counted since boot, and two sums of flags."""

    gup_slow_requested: int = 0
    gup_fast_requested: int = 0
    gup_fast_backoffs: int = 0
    gup_overflows: int = 0
    gup_returned: int = 0
    foll_pin_acquired: int = 0
    foll_pin_released: int = 0
    dirty: int = 0
    """Pages of files that are dirty now."""
    under_writeback: int = 0
    """Pages that are under writeback now."""
    pinned_vm: int = 0
    """Pages charged for long-term pins now."""

    def count_slow(self) -> None:
        """Count a pin taken by get_user_pages."""
        self.gup_slow_requested += 1
        self.foll_pin_acquired += 1

    def count_fast(self) -> None:
        """Count a pin taken by get_user_pages_fast."""
        self.gup_fast_requested += 1
        self.foll_pin_acquired += 1

    def count_backoff(self) -> None:
        """Count a pin that get_user_pages_fast took and gives back at once."""
        self.gup_fast_backoffs += 1
        self.count_returned()

    def count_overflow(self) -> None:
        """Count a pin that was refused because the count would overflow."""
        self.gup_overflows += 1

    def count_returned(self) -> None:
        """Count a pin that was put."""
        self.gup_returned += 1
        self.foll_pin_released += 1

    def vmstat(self, free_pages: int) -> VmStat:
        """Show all counters."""
        return VmStat(
            nr_gup_slow_pages_requested=self.gup_slow_requested,
            nr_gup_fast_pages_requested=self.gup_fast_requested,
            nr_gup_fast_page_backoffs=self.gup_fast_backoffs,
            nr_gup_page_count_overflows=self.gup_overflows,
            nr_gup_pages_returned=self.gup_returned,
            nr_foll_pin_acquired=self.foll_pin_acquired,
            nr_foll_pin_released=self.foll_pin_released,
            nr_dirty=self.dirty,
            nr_writeback=self.under_writeback,
            pinned_vm=self.pinned_vm,
            nr_free_pages=free_pages,
        )


def format_gup_counters(vmstat: VmStat) -> str:
    """Print the document's five counters as `grep gup /proc/vmstat` shows them."""
    names = (
        "nr_gup_slow_pages_requested",
        "nr_gup_fast_pages_requested",
        "nr_gup_fast_page_backoffs",
        "nr_gup_page_count_overflows",
        "nr_gup_pages_returned",
    )
    return "".join(f"{name} {getattr(vmstat, name)}\n" for name in names)
