"""When pages leave their file, so that a pin made before is a pin of nobody's page.

Truncate and punch_hole detach the pages that they remove as a whole; umount detaches
all; a direct write may detach those that it writes. MADV_DONTNEED detaches pages of
memory that is no file's: anonymous memory, and the copies of a private mapping.

Interface:
  * `Detaches(history, layout).of(name)`: the detaches of a page.
  * `Detaches.fate(name, maker, begin, end)`: whether a pin still is one of the file's
    page.
"""

from enum import Enum

import attrs

from conformance.interface import (
    DirectWrite,
    Dontneed,
    Feature,
    Operation,
    PunchHole,
    Truncate,
    Umount,
    Write,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, PageName


@attrs.frozen
class Detach:
    """A range of pages leaves its file at some time in between."""

    file: int | None
    """None: every file; negative: memory that is no file's."""
    first: int
    after: int
    """First page that stays."""
    begin: Moment
    end: Moment
    is_certain: bool
    is_cut: bool
    """What was there is gone from the file, too."""
    kept_from: Moment = INFINITY
    """From when on the file may have the very page again: a pinned folio cannot be
    split, so a stack may keep it whole, with what was cut off zeroed."""

    def concerns(self, name: PageName) -> bool:
        """Whether it is about this page."""
        memory, page = name
        is_meant = memory >= 0 if self.file is None else memory == self.file
        return is_meant and self.first <= page < self.after


class Fate(Enum):
    """Whether a pinned page still belongs to its file."""

    ATTACHED = "attached"
    DETACHED = "detached"
    EITHER = "either"


class Detaches:
    """All detaches of a history."""

    def __init__(self, history: History, layout: Layout) -> None:
        self._history = history
        self._layout = layout
        self._has_disk = Feature.NO_DIRTY_TRACKING not in history.features
        self._words_per_page = history.geometry.words_per_page
        self._all: list[Detach] = []
        self._by_page: dict[PageName, list[Detach]] = {}
        kinds = (Truncate, PunchHole, Umount, DirectWrite)
        for call, operation in history.asked(*kinds):
            if not call.refused or isinstance(operation, DirectWrite):
                self._all.append(self._detach(call, operation))

        for call, given_up in history.asked(Dontneed):
            self._give_up(call, given_up, layout)

    def of(self, name: PageName) -> list[Detach]:
        """Return the detaches of a page, in the order in which they were asked."""
        found = self._by_page.get(name)
        if found is None:
            found = [detach for detach in self._all if detach.concerns(name)]
            found += self._cuts_of_copies(name)
            self._by_page[name] = found
        return found

    def fate(self, name: PageName, maker: Call, begin: Moment, end: Moment) -> Fate:
        """Tell whether a pinned page belongs to its file from `begin` to `end`."""
        fate = Fate.ATTACHED
        for detach in self.of(name):
            if detach.begin > end or maker.asked > detach.end:
                continue
            is_older = maker.ended < detach.begin
            is_gone = detach.is_certain and is_older and detach.end < begin
            if is_gone and end < detach.kept_from:
                return Fate.DETACHED
            fate = Fate.EITHER
        return fate

    def _cuts_of_copies(self, name: PageName) -> list[Detach]:
        """Return the cuts of a file by which private copies of it may have gone."""
        memory = self._layout.memories.get(name[0])
        if memory is None or memory.file is None:
            return []
        cuts = [d for d in self.of((memory.file, name[1])) if d.is_cut]
        return [attrs.evolve(d, file=name[0], is_certain=False) for d in cuts]

    def _give_up(self, call: Call, operation: Dontneed, layout: Layout) -> None:
        where = operation.process, operation.mapping
        name = layout.name(*where, operation.page, call.asked)
        if name is None or name[0] >= 0 or call.refused:
            return
        memory, first = name
        after = first + operation.pages
        span = (memory, first, after, call.asked, call.ended)
        is_certain = call.succeeded and layout.memories[memory].is_private
        self._all.append(Detach(*span, is_certain=is_certain, is_cut=True))

    def _detach(
        self, call: Call, operation: Truncate | PunchHole | Umount | DirectWrite
    ) -> Detach:
        file: int | None
        match operation:
            case Truncate(file, words):
                first, after = -(-words // self._words_per_page), INFINITY
            case PunchHole(file, page, pages):
                first, after = page, page + pages
            case Umount():
                file, first, after = None, 0, INFINITY
            case DirectWrite(file=file, file_page=page, pages=pages):
                first, after = page, page + pages
        return Detach(
            file,
            first,
            after,
            call.asked,
            call.ended,
            is_certain=call.succeeded and self._is_certain(operation),
            is_cut=isinstance(operation, Truncate | PunchHole),
            kept_from=self._kept_from(call, operation),
        )

    def _kept_from(
        self, call: Call, operation: Truncate | PunchHole | Umount | DirectWrite
    ) -> Moment:
        """Return from when on the file may have a page again that was cut off.

        Large folios alone: part of one is cut off, the rest stays. A hole may take the
        first part; where a file is cut at its beginning nothing stays.
        """
        if self._history.geometry.folio_pages == 1:
            return INFINITY
        if isinstance(operation, PunchHole):
            return call.asked
        if not isinstance(operation, Truncate) or operation.words == 0:
            return INFINITY
        growing = (
            other.asked
            for other, grown in self._history.asked(Truncate, Write, DirectWrite)
            if other.asked > call.asked and _grows(grown, operation)
        )
        return min(growing, default=INFINITY)

    def _is_certain(
        self, operation: Truncate | PunchHole | Umount | DirectWrite
    ) -> bool:
        """Whether pages surely leave; without a disk a file may live in them."""
        if isinstance(operation, Umount):
            return self._has_disk
        return not isinstance(operation, DirectWrite)


def _grows(operation: Operation, cut: Truncate) -> bool:
    """Tell whether an operation may make a file longer than a cut has left it."""
    if getattr(operation, "file", None) != cut.file:
        return False
    return not isinstance(operation, Truncate) or operation.words > cut.words
