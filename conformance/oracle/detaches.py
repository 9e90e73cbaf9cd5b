"""When pages leave their file, so that a pin made before is a pin of nobody's page.

Truncate and punch_hole detach the pages that they remove as a whole; umount detaches
all; a direct write may detach those that it writes.

Interface:
  * `Detaches(history).of(name)`: the detaches of a page.
  * `Detaches.fate(name, maker, begin, end)`: whether a pin still is one of the file's
    page.
"""

from enum import Enum

import attrs

from conformance.interface import DirectWrite, PunchHole, Truncate, Umount
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import PageName


@attrs.frozen
class Detach:
    """A range of pages leaves its file at some time in between."""

    file: int | None
    """None: every file."""
    first: int
    after: int
    """First page that stays."""
    begin: Moment
    end: Moment
    is_certain: bool
    is_cut: bool
    """What was there is gone from the file, too."""

    def concerns(self, name: PageName) -> bool:
        """Whether it is about this page."""
        file, page = name
        return (
            file >= 0 and self.file in {None, file} and self.first <= page < self.after
        )


class Fate(Enum):
    """Whether a pinned page still belongs to its file."""

    ATTACHED = "attached"
    DETACHED = "detached"
    EITHER = "either"


class Detaches:
    """All detaches of a history."""

    def __init__(self, history: History) -> None:
        self._words_per_page = history.geometry.words_per_page
        self._all: list[Detach] = []
        self._by_page: dict[PageName, list[Detach]] = {}
        kinds = (Truncate, PunchHole, Umount, DirectWrite)
        for call, operation in history.asked(*kinds):
            if not call.refused or isinstance(operation, DirectWrite):
                self._all.append(self._detach(call, operation))

    def of(self, name: PageName) -> list[Detach]:
        """Return the detaches of a page, in the order in which they were asked."""
        found = self._by_page.get(name)
        if found is None:
            found = [detach for detach in self._all if detach.concerns(name)]
            self._by_page[name] = found
        return found

    def fate(self, name: PageName, maker: Call, begin: Moment, end: Moment) -> Fate:
        """Tell whether a pinned page belongs to its file from `begin` to `end`."""
        fate = Fate.ATTACHED
        for detach in self.of(name):
            if detach.begin > end or maker.asked > detach.end:
                continue
            is_older = maker.ended < detach.begin
            if detach.is_certain and is_older and detach.end < begin:
                return Fate.DETACHED
            fate = Fate.EITHER
        return fate

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
            is_certain=call.succeeded and not isinstance(operation, DirectWrite),
            is_cut=isinstance(operation, Truncate | PunchHole),
        )
