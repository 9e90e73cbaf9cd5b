"""Reading the counters as the document does (S27 to S30).

Total requests, total put_user_page calls, the difference, and - which /proc/vmstat
cannot tell - which get has no put.

Interface:
  * `Readings.add(history, name)` after each program, `lines()` at the end.
"""

from collections.abc import Callable

import attrs

from conformance.engines.timeline import shown
from conformance.interface import VmStat
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import History

NAMED_MAX = 5
"""Gets without a put that are named one by one."""

Pair = tuple[int, int]


@attrs.define
class Readings:
    """Sums over programs."""

    document: Pair | None = None
    """References granted by get_user_pages, and put_user_page calls; None: not kept."""
    modern: Pair | None = None
    """Pins acquired and released, of today's counters."""
    unput: list[str] = attrs.field(factory=list[str])
    unput_count: int = 0

    def add(self, history: History, name: str | None) -> None:
        """Take the counters of one program."""
        if len(history.samples) > 1:
            first, last = history.samples[0].vmstat, history.samples[-1].vmstat
            self.document = _sum(self.document, _delta(_document, first, last))
            self.modern = _sum(self.modern, _delta(_modern, first, last))
        self._add_unput(history, name)

    def _add_unput(self, history: History, name: str | None) -> None:
        for pin in Oracle(history).pins:
            pages = [page for page in pin.pages if not page.puts]
            if not pin.tracked or not pin.is_certain or not pages:
                continue
            self.unput_count += 1
            where = name or "drawn program"
            text = f"{where}, call {pin.maker.index}: {shown(pin.maker.operation)}"
            if len(self.unput) < NAMED_MAX:
                self.unput.append(f"{text} ({len(pages)} page(s))")

    def merge(self, other: "Readings") -> None:
        """Add the sums of another."""
        self.document = _sum(self.document, other.document)
        self.modern = _sum(self.modern, other.modern)
        self.unput_count += other.unput_count
        self.unput += other.unput[: max(0, NAMED_MAX - len(self.unput))]

    def lines(self) -> list[str]:
        """Return the interpretation as text; nothing if no counter is kept."""
        lines = []
        if self.document is not None:
            requests, puts = self.document
            lines += [
                f"total gup requests (slow + fast)  {requests:>10}",
                f"total put_user_page calls         {puts:>10}",
                f"difference                        {requests - puts:>10}",
            ]
        if self.modern is not None:
            acquired, released = self.modern
            lines += [
                f"nr_foll_pin_acquired              {acquired:>10}",
                f"nr_foll_pin_released              {released:>10}",
                f"difference                        {acquired - released:>10}",
            ]
        if not lines:
            return []
        return [*lines, *self._explanation()]

    def _explanation(self) -> list[str]:
        if not self.unput_count:
            return ["every get has its put"]
        more = self.unput_count - len(self.unput)
        return [
            f"{self.unput_count} get(s) without a put when their program ended:",
            *(f"  {line}" for line in self.unput),
            *([f"  and {more} more"] if more else []),
        ]


def _document(vmstat: VmStat) -> Pair | None:
    slow = vmstat.nr_gup_slow_pages_requested
    fast = vmstat.nr_gup_fast_pages_requested
    returned = vmstat.nr_gup_pages_returned
    if slow is None or fast is None or returned is None:
        return None
    return slow + fast, returned


def _modern(vmstat: VmStat) -> Pair | None:
    acquired, released = vmstat.nr_foll_pin_acquired, vmstat.nr_foll_pin_released
    return None if acquired is None or released is None else (acquired, released)


def _delta(
    family: Callable[[VmStat], Pair | None], first: VmStat, last: VmStat
) -> Pair | None:
    before, after = family(first), family(last)
    if before is None or after is None:
        return None
    return after[0] - before[0], after[1] - before[1]


def _sum(one: Pair | None, other: Pair | None) -> Pair | None:
    if one is None or other is None:
        return one or other
    return one[0] + other[0], one[1] + other[1]
