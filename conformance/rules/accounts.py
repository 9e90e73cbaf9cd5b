"""Bookkeeping for the rules on references and counters.

What is outstanding is counted from what was asked for and granted, never from what
the stack shows. Counters are compared between two samples at rest, because those of
a running kernel do not start at zero.

Interface:
  * `spells(history)`: the times between successive samples at rest, with the calls
    that were asked in each. `alone(history, kind, ...)`: those with a single call.
  * `outstanding(case, sample)`: pins held at rest, surely and at most.
  * `requested(v)`, `held(v)`, `held_foll(v)`: sums of counters; None: not kept.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import attrs

from conformance.interface import (
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    GetUserPages,
    Operation,
    VmStat,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, History, Moment, Sample
from conformance.oracle.pins import PinnedPage, PinRecord
from conformance.rules.evidence import rests
from conformance.rules.rule import Case

DRIVERS = (DirectRead, DirectWrite, DeviceTransfer)
"""Operations in which the stack itself is the caller of get_user_pages."""

# --- spells ---------------------------------------------------------------------


@attrs.frozen
class Spell:
    """The time from one sample at rest to the next."""

    before: Sample
    after: Sample
    calls: tuple[Call, ...]
    """The calls that were asked in between; all have answered."""

    def has(self, *kinds: type[Operation]) -> bool:
        """Whether an operation of one of these kinds was asked."""
        return any(isinstance(call.operation, kinds) for call in self.calls)


@lru_cache(maxsize=4)
def spells(history: History) -> list[Spell]:
    """Return the times between successive samples at rest in which calls were asked.

    Remembered, as every rule on counters asks for those of the same history.
    """
    return list(_spells(history))


def _spells(history: History) -> Iterator[Spell]:
    samples = rests(history)
    asked = [call for call in history.calls if call.was_asked]
    for before, after in pairwise(samples):
        calls = [c for c in asked if before.moment < c.asked < after.moment]
        if calls:
            yield Spell(before, after, tuple(calls))


def alone(history: History, *kinds: type[Operation]) -> Iterator[tuple[Spell, Call]]:
    """Yield the calls of these kinds beside which nothing else was under way."""
    for spell in spells(history):
        if len(spell.calls) == 1 and isinstance(spell.calls[0].operation, kinds):
            yield spell, spell.calls[0]


# --- what is outstanding ----------------------------------------------------------


def outstanding(case: Case, sample: Sample) -> tuple[int, int]:
    """Count the pins held at a sample at rest: surely, and at most.

    A read pin of private memory that nobody wrote may be one of the zero page, which
    a stack need not count.
    """
    return _outstanding_of(case.oracle)[sample.moment]


@lru_cache(maxsize=4)
def _outstanding_of(oracle: Oracle) -> dict[Moment, tuple[int, int]]:
    """Return what is outstanding at each sample of a history, by its moment."""
    return {
        sample.moment: _count(oracle, sample.moment)
        for sample in oracle.history.samples
    }


def _count(oracle: Oracle, moment: Moment) -> tuple[int, int]:
    least = most = 0
    for record, page in _holders(oracle, moment):
        if record.tracked:
            most += 1
            least += is_counted(record, page)
    return least, most


def is_counted(record: PinRecord, page: PinnedPage) -> bool:
    """Whether a pin surely is no pin of the zero page, which need not be counted."""
    return record.write or page.file_page is not None


def holders(case: Case, moment: Moment) -> Iterator[tuple[PinRecord, PinnedPage]]:
    """Yield the pages of pins, plain references too, that are surely held."""
    return _holders(case.oracle, moment)


def _holders(oracle: Oracle, moment: Moment) -> Iterator[tuple[PinRecord, PinnedPage]]:
    for record in oracle.pins:
        if record.is_certain and record.maker.ended < moment:
            for page in record.pages:
                if moment < page.put_asked:
                    yield record, page


def call_of(case: Case, sample: Sample) -> Call | None:
    """Return the call after which a sample was taken; None: before the first."""
    return case.history.calls[sample.after] if sample.after >= 0 else None


def granted_by(call: Call) -> int:
    """Return how many pages a get_user_pages call answered with."""
    return call.result if isinstance(call.result, int) else 0


def gets(case: Case) -> bool:
    """Whether get_user_pages was asked for at all, by a caller who behaves."""
    history = case.history
    return not history.program.misuse and any(history.asked(GetUserPages))


# --- counters -------------------------------------------------------------------


def requested(vmstat: VmStat) -> int | None:
    """Return the pages requested so far, on both paths."""
    slow = vmstat.nr_gup_slow_pages_requested
    fast = vmstat.nr_gup_fast_pages_requested
    return None if slow is None or fast is None else slow + fast


def held(vmstat: VmStat) -> int | None:
    """Return what was requested and not returned, by the document's counters."""
    total, returned = requested(vmstat), vmstat.nr_gup_pages_returned
    return None if total is None or returned is None else total - returned


def held_foll(vmstat: VmStat) -> int | None:
    """Return what was acquired and not released, by today's counters."""
    acquired, released = vmstat.nr_foll_pin_acquired, vmstat.nr_foll_pin_released
    return None if acquired is None or released is None else acquired - released


def change(now: int | None, was: int | None) -> int | None:
    """Return by how much a counter went up; None: it is not kept."""
    return None if now is None or was is None else now - was


def changes_held(spell: Spell) -> list[int]:
    """Return by how much the pins held went up, by each family that is kept."""
    before, after = spell.before.vmstat, spell.after.vmstat
    both = (
        change(held(after), held(before)),
        change(held_foll(after), held_foll(before)),
    )
    return [each for each in both if each is not None]


def change_due(case: Case, spell: Spell) -> tuple[int, int]:
    """Return by how much the pins held must have gone up, at least and at most."""
    least_before, most_before = outstanding(case, spell.before)
    least, most = outstanding(case, spell.after)
    return least - most_before, most - least_before


def due(least: int, most: int) -> str:
    """Say what a number should be."""
    return f"{least}" if least == most else f"{least} to {most}"
