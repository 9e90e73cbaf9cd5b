"""The writes of each word, and which of them may be read.

A write lasts from `begin` to `end`. It is *certain* if it has surely happened when it
has ended; it is *overwritten* for a reader if a certain write began after its end and
had ended before the reader began. Overlapping writes have no order.

Interface:
  * `WriteLog.add` enters a write through memory: one beyond the end of the file is no
    write of the file, though the memory may show it. `add_to_file` and `add_range`
    enter writes that cannot lie beyond it.
  * `WriteLog.of(name, word)`: the writes of a word; the first is its initial value.
  * `WriteLog.beyond(name, word)`: the writes made while it lay beyond the end.
"""

from collections.abc import Iterable

import attrs

from conformance.interface import HOLE
from conformance.oracle.detaches import Detaches
from conformance.oracle.history import INFINITY, Moment
from conformance.oracle.layout import Layout, Memory, PageName
from conformance.oracle.sizes import Sizes

ANYTHING = frozenset(range(256))
"""Every stamp: nothing can be said."""

Word = tuple[PageName, int]


@attrs.frozen
class Copy:
    """The value of another word, read at some time in between."""

    name: PageName
    word: int
    begin: Moment
    end: Moment


@attrs.frozen
class Write:
    """One write of one word."""

    begin: Moment
    end: Moment
    values: frozenset[int]
    """What it may have written, apart from copies."""
    is_certain: bool = True
    copies: tuple[Copy, ...] = ()


INITIAL = Write(-1, -1, frozenset({HOLE}))


def standing(writes: Iterable[Write], begin: Moment, end: Moment) -> tuple[Write, ...]:
    """Return the writes whose value may be read at some time from begin to end."""
    started = [write for write in writes if write.begin <= end]
    latest = max(
        (write.begin for write in started if write.is_certain and write.end < begin),
        default=-1,
    )
    return tuple(write for write in started if write.end >= latest)


class WriteLog:
    """The writes of all words of a history."""

    def __init__(
        self, words_per_page: int, layout: Layout, sizes: Sizes, detaches: Detaches
    ) -> None:
        self.words_per_page = words_per_page
        self.layout = layout
        self.sizes = sizes
        self.detaches = detaches
        self._points: dict[Word, list[Write]] = {}
        self._beyond: dict[Word, list[Write]] = {}
        self._ranges: dict[int, list[tuple[int, int, Write]]] = {}
        self._clones: dict[int, tuple[int, Moment, Moment]] = {}
        self._finished: dict[Word, tuple[Write, ...]] = {}

    def add(self, name: PageName, word: int, write: Write) -> None:
        """Enter a write through memory, which the end of the file may cut off."""
        position = self.position(name, word)
        if name[0] >= 0:
            sizes = self.sizes.during(name[0], write.begin, write.end)
            if max(sizes) <= position:
                self._beyond.setdefault((name, word), []).append(write)
                return
            if min(sizes) <= position:
                write = attrs.evolve(write, is_certain=False)
        self.add_to_file(name, word, write)

    def add_to_file(self, name: PageName, word: int, write: Write) -> None:
        """Enter a write that makes the file reach as far as it needs."""
        self._points.setdefault((name, word), []).append(write)

    def add_range(self, file: int, first: int, after: int, write: Write) -> None:
        """Enter the same write for all words from one position to before another."""
        if first < after:
            self._ranges.setdefault(file, []).append((first, after, write))

    def add_clone(self, clone: int, file: int, begin: Moment, end: Moment) -> None:
        """Enter that a file begins as a copy of another."""
        self._clones[clone] = (file, begin, end)

    def of(self, name: PageName, word: int) -> tuple[Write, ...]:
        """Return all writes of a word; the log must be complete."""
        found = self._finished.get((name, word))
        if found is None:
            position = self.position(name, word)
            found = (
                *self._initial(name, word),
                *self._points.get((name, word), ()),
                *(
                    write
                    for first, after, write in self._ranges.get(name[0], ())
                    if first <= position < after
                ),
            )
            self._finished[name, word] = found
        return found

    def beyond(self, name: PageName, word: int) -> list[Write]:
        """Return the writes of a word that were surely made beyond the end of file."""
        return self._beyond.get((name, word), [])

    def position(self, name: PageName, word: int) -> int:
        """Count the words of the file before this one."""
        return name[1] * self.words_per_page + word

    def _initial(self, name: PageName, word: int) -> tuple[Write, ...]:
        """Return what a word holds before anybody writes it."""
        memory = self.layout.memories.get(name[0])
        if name[0] in self._clones:
            return (self._cloned(name, word),)
        if memory is None or (memory.file is None and memory.parent is None):
            return (INITIAL,)
        _, page = name
        if memory.file is None:
            return (_copied(memory, _sources(memory, page, word)),)
        # A private page is the file's until it is written, and again after the page
        # was cut off the file.
        copies = _sources(memory, page, word)
        cuts = [d for d in self.detaches.of((memory.file, page)) if d.is_cut]
        return (
            _copied(memory, copies),
            *(Write(d.begin, d.end, frozenset(), False, copies) for d in cuts),
        )

    def _cloned(self, name: PageName, word: int) -> Write:
        """Return what a word of a clone holds before anybody writes it."""
        file, begin, end = self._clones[name[0]]
        sizes = self.sizes.during(file, begin, end)
        position = self.position(name, word)
        may_be_hole = min(sizes) <= position
        return Write(
            begin,
            end,
            frozenset({HOLE}) if may_be_hole else frozenset(),
            True,
            (Copy((file, name[1]), word, begin, end),) if max(sizes) > position else (),
        )


def _copied(memory: Memory, copies: tuple[Copy, ...]) -> Write:
    if memory.parent is None:
        return attrs.evolve(INITIAL, values=frozenset(), copies=copies)
    return Write(memory.begin, memory.end, frozenset(), True, copies)


def _sources(memory: Memory, page: int, word: int) -> tuple[Copy, ...]:
    copies = []
    if memory.file is not None:
        copies.append(Copy((memory.file, page), word, memory.shown_since, INFINITY))
    if memory.parent is not None:
        name = memory.parent.number, page
        copies.append(Copy(name, word, memory.begin, memory.end))
    return tuple(copies)
