"""Which sizes a file may have.

A size is *set* (by boot, Create, Truncate, Clone) and then *extended* (by Write and
DirectWrite): it is the last one set, or where the furthest extension after it ends. An
umount while the disk may fail a write can lose all that came before it.

Interface:
  * `Sizes(history).during(file, begin, end)` gives the admissible sizes, in words;
    with `without=index`, as if that call had not changed it.
"""

import attrs

from conformance.interface import (
    Clone,
    Create,
    DirectWrite,
    FailNext,
    Truncate,
    Umount,
    Write,
)
from conformance.oracle.history import Call, History, Moment


@attrs.frozen
class _Change:
    """A call that sets or extends the size."""

    begin: Moment
    end: Moment
    words: int
    is_certain: bool
    call: int = -1


@attrs.define(eq=False)
class _FileSizes:
    sets: list[_Change] = attrs.field(factory=list[_Change])
    extensions: list[_Change] = attrs.field(factory=list[_Change])


class Sizes:
    """The sizes of all files of a history."""

    def __init__(self, history: History) -> None:
        self._words_per_page = history.geometry.words_per_page
        self._files: dict[int, _FileSizes] = {}
        self._forgotten_until = _last_umount_that_may_fail(history)
        boot = history.geometry.file_pages * self._words_per_page
        self._of(0).sets.append(_Change(-1, -1, boot, is_certain=True))
        kinds = (Create, Truncate, Write, DirectWrite)
        for call, operation in history.asked(*kinds):
            if call.may_have_acted or isinstance(operation, DirectWrite):
                self._add(call, operation)
        for call, made in history.asked(Clone):
            if not call.refused:
                self._clone(call, made)

    def during(
        self, file: int, begin: Moment, end: Moment, *, without: int = -2
    ) -> frozenset[int]:
        """Return the sizes that the file may have at some time in between."""
        changes = self._files.get(file)
        if changes is None:
            return frozenset({0})
        sets = [s for s in changes.sets if s.begin <= end and s.call != without]
        latest = max(
            (s.begin for s in sets if self._is_certain(s) and s.end < begin),
            default=-1,
        )
        extensions = [
            x for x in changes.extensions if x.begin <= end and x.call != without
        ]
        admissible: set[int] = set()
        for change in sets:
            if change.end >= latest:
                admissible |= self._extended(change, extensions, begin)
        return frozenset(admissible or {0})

    def _is_certain(self, change: _Change) -> bool:
        """Whether the size surely changed, and an umount did not forget it."""
        return change.is_certain and change.begin > self._forgotten_until

    def _extended(
        self, base: _Change, extensions: list[_Change], begin: Moment
    ) -> set[int]:
        """Return the sizes that there may be if `base` was the last to set one."""
        surely = [
            x.words
            for x in extensions
            if self._is_certain(x) and x.begin > base.end and x.end < begin
        ]
        least = max([base.words, *surely])
        maybe = {x.words for x in extensions if x.end >= base.begin and x.words > least}
        return {least} | maybe

    def _add(
        self, call: Call, operation: Create | Truncate | Write | DirectWrite
    ) -> None:
        match operation:
            case Create(file):
                self._set(file, call, 0)
            case Truncate(file, words):
                self._set(file, call, words)
            case Write(file, page, word):
                end = page * self._words_per_page + word + 1
                self._extend(file, call, end, is_certain=call.succeeded)
            case DirectWrite():
                self._direct_write(call, operation)

    def _clone(self, call: Call, operation: Clone) -> None:
        """Set the size of a clone to one that its source had; nothing was before."""
        sizes = self.during(operation.file, call.asked, call.ended)
        for words in sizes:
            self._set(operation.clone, call, words)

    def _direct_write(self, call: Call, operation: DirectWrite) -> None:
        granted = call.result if isinstance(call.result, int) else 0
        for count in range(1, operation.pages + 1):
            end = (operation.file_page + count) * self._words_per_page
            is_certain = call.succeeded and count <= granted
            self._extend(operation.file, call, end, is_certain=is_certain)

    def _set(self, file: int, call: Call, words: int) -> None:
        change = _Change(call.asked, call.ended, words, call.succeeded, call.index)
        self._of(file).sets.append(change)

    def _extend(self, file: int, call: Call, end: int, *, is_certain: bool) -> None:
        change = _Change(call.asked, call.ended, end, is_certain, call.index)
        self._of(file).extensions.append(change)

    def _of(self, file: int) -> _FileSizes:
        return self._files.setdefault(file, _FileSizes())


def _last_umount_that_may_fail(history: History) -> Moment:
    """Return when the last umount was asked that may not have written a size."""
    failures = [call.asked for call, o in history.asked(FailNext) if o.write]
    umounts = [call for call, _ in history.asked(Umount) if not call.refused]
    return max(
        (u.asked for u in umounts if failures and u.ended > failures[0]), default=-2
    )
