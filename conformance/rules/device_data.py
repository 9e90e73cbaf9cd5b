"""Data of devices that CPUs have seen while the page was still pinned.

Until a pin is put, a stack may keep what its device writes apart, and owes it to
nobody. Once a load or a read has shown it, it is the file's content like any other,
and a sync has to get it to the disk, pin or no pin.

Interface:
  * `sightings(case)` yields each write of a device that was seen while its page was
    pinned; `Sighting.findings` yields the power cuts that do not show it.
  * `owed_before(oracle, ...)`: the last write that surely was made before a moment.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    UNREADABLE,
    DeviceComplete,
    DeviceWrite,
    Load,
    PowerCut,
    Read,
)
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import PageName
from conformance.oracle.writes import Write
from conformance.rules.pinned import (
    Pinned,
    good_syncs,
    is_held_over,
    is_in_cache,
    shown_by,
    values_since,
    write_pins,
)
from conformance.rules.rule import Case, Finding


@attrs.frozen
class Sighting:
    """A device's write that a CPU has seen."""

    pinned: Pinned
    write: Call
    word: int
    look: Call
    """The load or read that showed it."""

    @property
    def name(self) -> PageName:
        """The page that it was written to."""
        name = self.pinned[1].file_page
        assert name is not None
        return name

    def syncs(self, oracle: Oracle) -> Iterator[Call]:
        """Yield the syncs that found it, with the pin outstanding all the time."""
        for sync in good_syncs(oracle, self.name[0]):
            is_after = sync.asked > self.look.ended
            if is_after and is_held_over(oracle, self.pinned, sync.asked, sync.ended):
                yield sync

    def findings(self, case: Case) -> Iterator[Finding]:
        """Yield the power cuts after such a sync that show something older."""
        oracle = case.oracle
        sync = next(self.syncs(oracle), None)
        if sync is None:
            return
        file, page = self.name
        for cut, _ in case.history.asked(PowerCut):
            is_late = cut.succeeded and cut.asked > sync.ended
            if not is_late or is_in_cache(case, cut):
                continue
            seen = shown_by(cut, self.name, self.word, oracle.words_per_page)
            admissible = values_since(
                oracle, self.name, self.word, self.write.asked, cut.ended
            )
            if seen not in {None, UNREADABLE, *admissible}:
                wanted = " or ".join(map(str, sorted(admissible)))
                yield case.found(
                    cut,
                    f"word {self.word} of page {page} of file {file} is {seen} after "
                    f"a power cut (should be {wanted}: a device wrote it, a CPU saw "
                    "it, and it was synced while the page was pinned)",
                )


def sightings(case: Case) -> Iterator[Sighting]:
    """Yield the writes of devices that were seen while their page was pinned."""
    oracle = case.oracle
    if oracle._durability.has_failures:
        return
    looks = [c for c, _ in case.history.asked(Load, Read) if c.succeeded]
    for pinned in write_pins(oracle) if looks else ():
        name = pinned[1].file_page
        assert name is not None
        for write in pinned[1].device_writes:
            for look in looks:
                is_later = look.asked > write.asked and oracle.file_page(look) == name
                word = _word_seen(oracle, write, look, name) if is_later else None
                if word is not None:
                    yield Sighting(pinned, write, word, look)


def _word_seen(oracle: Oracle, write: Call, look: Call, name: PageName) -> int | None:
    """Return the word in which a look shows what only this write can have written."""
    operation = write.operation
    assert isinstance(operation, DeviceWrite | DeviceComplete)
    for word, seen in _words(look):
        is_written = word == getattr(operation, "word", word)
        if (
            is_written
            and seen == operation.value
            and _is_only(oracle, write, name, word)
        ):
            return word
    return None


def _words(look: Call) -> list[tuple[int, object]]:
    if isinstance(look.operation, Load):
        return [(look.operation.word, look.result)]
    assert isinstance(look.result, tuple)
    return list(enumerate(look.result))


def _is_only(oracle: Oracle, write: Call, name: PageName, word: int) -> bool:
    """Tell whether nobody else can have written the same value to a word."""
    operation = write.operation
    assert isinstance(operation, DeviceWrite | DeviceComplete)
    others = (w for w in oracle._log.of(name, word) if w.begin != write.asked)
    return not any(w.copies or operation.value in w.values for w in others)


def owed_before(
    oracle: Oracle, name: PageName, word: int, moment: Moment
) -> Write | None:
    """Return the last write that surely was made before a moment; None: nobody's."""
    made = [
        write
        for write in oracle._log.of(name, word)
        if write.is_certain and write.begin >= 0 and write.end < moment
    ]
    return max(made, key=lambda write: write.begin, default=None)
