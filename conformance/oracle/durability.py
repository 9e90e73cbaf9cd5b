"""From which moment on a file is known to be on the disk, and what may be lost.

A good fsync, sync or umount is a *floor*: what had been written before it was asked
is durable when it has answered. After an error that was reported, a later good sync
says something only about words written anew after the error. An umount has nobody to
report to: while a write may still fail, it is as good as an error.

Interface:
  * `Durability.floor(file, moment, writes)` for a word, `file_floor` for the size.
  * `Durability.may_be_lost(file, write, moment)`: the disk was made to fail a write,
    so that a page may have gone back to what the disk holds.
"""

from collections.abc import Iterable

import attrs

from conformance.interface import (
    Clone,
    Create,
    Errno,
    Evict,
    FailNext,
    Fsync,
    KernelError,
    Reclaim,
    Sync,
    Umount,
    Unlink,
    Writeback,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.writes import Write

START: Moment = -1


@attrs.frozen
class _Sync:
    """A call that made durable, or reported that it could not."""

    asked: Moment
    answered: Moment
    file: int | None
    """None: all files."""


class Durability:
    """The syncs and the failures of a history."""

    def __init__(self, history: History) -> None:
        self._good: list[_Sync] = []
        self._errors: list[_Sync] = []
        self._created: dict[int, Moment] = {0: START}
        self._unlinked: dict[int, Moment] = {}
        failures = [c for c, o in history.asked(FailNext) if o.write]
        kinds = (Fsync, Sync, Writeback, Evict, Reclaim)
        for call, operation in history.asked(*kinds):
            self._add_sync(call, operation, is_faulty=bool(failures))
        for call, made in history.asked(Create, Clone):
            if not call.refused:
                file = made.file if isinstance(made, Create) else made.clone
                self._created[file] = call.ended
        for call, removed in history.asked(Unlink):
            if not call.refused:
                self._unlinked.setdefault(removed.file, call.asked)
        self._fails_from = failures[0].asked if failures else INFINITY
        self._fails_until = self._last_failure(len(failures))
        for call, _ in history.asked(Umount):
            self._add_umount(call)

    def floor(self, file: int, moment: Moment, writes: Iterable[Write]) -> Moment:
        """Return since when all values of a word may be on the disk at a moment."""
        known = list(writes)
        for sync in reversed(self._syncs_before(file, moment)):
            error = self._last_error(file, sync.answered)
            if error == START or any(
                w.is_certain and w.begin > error and w.end < sync.asked for w in known
            ):
                return sync.asked
        return START

    def file_floor(self, file: int, moment: Moment) -> Moment:
        """Return the same for what an error may have lost of the file itself."""
        return self.floor(file, moment, ())

    @property
    def has_failures(self) -> bool:
        """Whether the disk was made to fail a write."""
        return self._fails_from < INFINITY

    def is_new(self, file: int, cut: Call) -> bool:
        """Whether the file was not made durable since it was created."""
        created = self._created.get(file, INFINITY)
        return created > START and self.file_floor(file, cut.asked) <= created

    def may_be_missing(self, file: int, cut: Call) -> bool:
        """Whether the file need not be found at all after a power cut."""
        is_unlinked = self._unlinked.get(file, INFINITY) <= cut.ended
        return is_unlinked or self.is_new(file, cut)

    def may_be_lost(self, file: int, write: Write, moment: Moment) -> bool:
        """Whether a failed write to the disk may have undone a write of the file."""
        if moment < self._fails_from or write.begin > self._fails_until or file < 0:
            return False
        return not any(
            sync.asked > write.end and self._last_error(file, sync.answered) == START
            for sync in self._syncs_before(file, moment)
        )

    def _add_sync(self, call: Call, operation: object, *, is_faulty: bool) -> None:
        file = operation.file if hasattr(operation, "file") else None
        sync = _Sync(call.asked, call.ended, file)
        promises = isinstance(operation, Fsync | Sync)
        if call.succeeded and promises:
            self._good.append(sync)
        elif _is_error_report(call) or (is_faulty and call.is_pending and promises):
            self._errors.append(sync)

    def _add_umount(self, call: Call) -> None:
        """Add an umount: it writes everything, and has no way to tell of a failure."""
        may_fail = call.asked <= self._fails_until and call.ended >= self._fails_from
        sync = _Sync(call.asked, call.ended, None)
        if may_fail and (call.succeeded or call.is_pending):
            self._errors.append(sync)
        elif call.succeeded:
            self._good.append(sync)

    def _syncs_before(self, file: int, moment: Moment) -> list[_Sync]:
        found = [
            sync
            for sync in self._good
            if sync.file in {None, file} and sync.answered < moment
        ]
        return sorted(found, key=lambda sync: sync.asked)

    def _last_error(self, file: int, moment: Moment) -> Moment:
        """Return when the last error asked for before a moment had been reported."""
        return max(
            (
                error.answered
                for error in self._errors
                if error.file in {None, file} and error.asked < moment
            ),
            default=START,
        )

    def _last_failure(self, count: int) -> Moment:
        """Return when the disk had surely failed all that it was asked to."""
        reports = [e.answered for e in self._errors if e.answered > self._fails_from]
        return min(reports, default=INFINITY) if count == 1 else INFINITY


def _is_error_report(call: Call) -> bool:
    """Whether a call may have told of data that did not reach the disk."""
    return isinstance(call.error, KernelError) and call.error.errno is not Errno.EBUSY
