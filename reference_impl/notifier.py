"""Telling who follows a page table that entries of it are about to change.

A device that shares the page table of a process keeps entries of its own. It needs
no pin, because it is told: whoever takes an entry away, makes it read-only or puts
another page in its place does it between `invalidate_start` and `invalidate_end`.
When the former returns, no access through what was told to go is in progress; until
the latter, nobody takes entries of the range over again.

What a follower has read from the page table may be out of date by the time that it
is about to use it. The sequence number of its interval tells: it changes with every
change of the range.

Interface:
  * Who changes entries calls `invalidate_start` before and `invalidate_end` after,
    also where it turns out that there is nothing to change. In between, entries are
    looked at anew: `invalidate_start` waits for devices. Entries that only become
    more (a page where there was none, writable where it was read-only) need not be
    told of. To copy or to move a page away from an entry begins with this.
  * Who follows registers an `Interval` by `follow`. It looks a page up between
    `read_begin` and `read_retry`, and takes a lock of its own that `invalidate`
    takes, too, from before `read_retry` until it has taken the entry over.
  * `invalidate` waits for accesses, never for a fault or for writeback.
"""

from collections.abc import Callable
from typing import Protocol

import attrs

from conformance.interface import Event, Step
from conformance.interface.events import InvalidateEnded, InvalidateStarted
from reference_impl.stepping import Stepped, wait_until


class Owner(Protocol):
    """Whose page table it is: a process."""

    pid: int


@attrs.frozen(eq=False)
class Change:
    """A change of the entries at some addresses, under way."""

    owner: Owner
    addresses: range
    only_protects: bool = False
    """Entries become read-only; none goes, and no page is replaced."""

    def overlaps(self, owner: Owner, addresses: range) -> bool:
        """Tell whether it concerns one of some addresses."""
        if owner is not self.owner or not self.addresses:
            return False
        ours = self.addresses
        return addresses.start < ours.stop and ours.start < addresses.stop


@attrs.define(eq=False)
class Interval:
    """Addresses of a process whose entries somebody follows."""

    owner: Owner
    addresses: range
    invalidate: Callable[[Change], Stepped[None]]
    """Gives up what a change concerns; returns when it is not in use any more."""
    sequence: int = 0
    """Goes up with every change that concerns these addresses."""


@attrs.define(eq=False)
class Notifiers:
    """Who follows which addresses, and the changes that are under way."""

    tell: Callable[[Event], None] | None = None
    intervals: list[Interval] = attrs.field(factory=list[Interval])
    changes: list[Change] = attrs.field(factory=list[Change])

    # --- for those who change entries -------------------------------------------------

    def invalidate_start(
        self, owner: Owner, addresses: range, *, only_protects: bool = False
    ) -> Stepped[Change]:
        """Announce a change; return when no follower uses what will change."""
        change = Change(owner, addresses, only_protects)
        self.changes.append(change)
        followers = self.followers_of(change)
        if not followers:
            return change
        for interval in followers:
            self.count(interval, change)
        if self.tell is not None:
            where = addresses.start, len(addresses)
            self.tell(InvalidateStarted(owner.pid, *where, only_protects))
        yield Step("invalidate.started")
        for interval in followers:
            yield from interval.invalidate(change)
        yield Step("invalidate.drained")
        return change

    def count(self, interval: Interval, change: Change) -> None:
        """Note that what was looked up in an interval may be out of date."""
        interval.sequence += 1

    def invalidate_end(self, change: Change) -> None:
        """End a change: the entries may be looked up again."""
        self.changes.remove(change)
        if self.tell is not None and self.followers_of(change):
            addresses = change.addresses
            event = InvalidateEnded(change.owner.pid, addresses.start, len(addresses))
            self.tell(event)

    def followers_of(self, change: Change) -> list[Interval]:
        """Return whom a change concerns."""
        return [
            interval
            for interval in self.intervals
            if change.overlaps(interval.owner, interval.addresses)
        ]

    # --- for those who follow ---------------------------------------------------------

    def follow(self, interval: Interval) -> None:
        """Tell of every change of an interval from now on."""
        self.intervals.append(interval)

    def unfollow(self, interval: Interval) -> None:
        """Tell of no change of an interval any more."""
        self.intervals.remove(interval)

    def move(self, interval: Interval, addresses: range) -> None:
        """Let an interval follow its mapping to other addresses."""
        interval.addresses = addresses
        interval.sequence += 1

    def is_quiet(self, interval: Interval) -> bool:
        """Tell whether no change concerns an interval now."""
        where = interval.owner, interval.addresses
        return not any(change.overlaps(*where) for change in self.changes)

    def read_begin(self, interval: Interval) -> Stepped[int]:
        """Begin to look entries up, when no change is under way."""
        yield from wait_until("invalidation", lambda: self.is_quiet(interval))
        return interval.sequence

    def read_retry(self, interval: Interval, sequence: int) -> bool:
        """Tell whether what was looked up since `read_begin` may be out of date."""
        return interval.sequence != sequence
