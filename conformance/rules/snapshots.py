"""Snapshots, clones, dedupe: content that must not change afterwards.

Verified: what loads, reads and power cuts show of clones, of files that were cloned
and of ranges that were deduplicated; see `snapshot_costs.py` for the rest.
Not verified: that blocks are shared at all; that a clone shows one moment of several
words at once, if devices write to them meanwhile; clones in programs where writes to
the disk fail.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import (
    Clone,
    Dedupe,
    Fsync,
    Load,
    PowerCut,
    Read,
    Sync,
    Umount,
)
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules.evidence import found_losses, lost_in_memory, lost_on_disk
from conformance.rules.losses import Loss
from conformance.rules.pinned import good_syncs, shown_by
from conformance.rules.rule import (
    DOCUMENT,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.rules.sharing import (
    DEDUPE,
    ISOLATE,
    Shared,
    clone_of,
    files_of,
    sharings,
)
from conformance.rules.snapshot_costs import COST_RULES
from conformance.verdicts import Kind, Level

_TRACKED = ("no_dirty_tracking",)


# --- SNAP-ISOLATE -----------------------------------------------------------------


@attrs.frozen
class Sight:
    """One word that a call showed of a file."""

    look: Call
    name: PageName
    word: int
    seen: int


@rule(
    "SNAP-ISOLATE",
    clause=Clause(
        DOCUMENT,
        "S18, S21; ioctl_ficlone(2)",
        "a clone keeps the content of one moment; no write to the source by whatever "
        "path gets into it, nor one to the clone into the source",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("clone", "read|load|power_cut"), absent_features=_TRACKED),
)
def clones_are_isolated(case: Case) -> Iterator[Finding]:
    """What a clone holds does not change, unless the clone itself is written to."""
    yield from found_losses(case, ISOLATE)
    first: dict[tuple[PageName, int], Sight] = {}
    for sight in _sights(case):
        shared = _partner_written(case, sight)
        if shared is not None:
            case.premise()
        if not _is_only_inherited(case, sight):
            continue
        earlier = first.setdefault((sight.name, sight.word), sight)
        if earlier.seen != sight.seen and not _is_lost(case, sight):
            file, page = sight.name
            yield case.found(
                sight.look,
                f"word {sight.word} of page {page} of file {file} is {sight.seen}, "
                f"and was {earlier.seen} before (should be constant: the file is a "
                "clone that nobody wrote to)",
            )


def _sights(case: Case) -> Iterator[Sight]:
    """Yield the words that were seen of files that share."""
    files = {
        file for shared in sharings(case.history) for file in files_of(shared.operation)
    }
    for call, operation in case.history.asked(Read, Load, PowerCut):
        if call.succeeded and isinstance(operation, PowerCut):
            for file in sorted(files):
                yield from _durable_sights(case, call, file)
        elif call.succeeded:
            yield from _cached_sights(case, call, files)


def _cached_sights(case: Case, look: Call, files: set[int]) -> Iterator[Sight]:
    """Yield what a load or read shows, if it is of one of these files."""
    name = case.oracle.file_page(look)
    if name is None or name[0] not in files:
        return
    for word, seen in _words(look):
        if isinstance(seen, int) and seen >= 0:
            yield Sight(look, name, word, seen)


def _words(look: Call) -> list[tuple[int, object]]:
    if isinstance(look.operation, Load):
        return [(look.operation.word, look.result)]
    assert isinstance(look.result, tuple)
    return list(enumerate(look.result))


def _durable_sights(case: Case, cut: Call, file: int) -> Iterator[Sight]:
    """Yield what a power cut shows of a file that was synced since it was made."""
    made = clone_of(case.history, file)
    since = -1 if made is None else made.call.ended
    synced = any(
        since < sync.asked and sync.ended < cut.asked
        for sync in good_syncs(case.oracle, file)
    )
    size = case.oracle.words_per_page
    for position in range(max(case.oracle.sizes(file, cut.asked, cut.ended))):
        name, word = (file, position // size), position % size
        seen = shown_by(cut, name, word, size) if synced else None
        if seen is not None and seen >= 0:
            yield Sight(cut, name, word, seen)


def _partner_written(case: Case, sight: Sight) -> Shared | None:
    """Return the Clone since which the other file of the two was written to."""
    file, page = sight.name
    for shared in sharings(case.history):
        files = files_of(shared.operation)
        if not isinstance(shared.operation, Clone) or file not in files:
            continue
        other = files[1] if file == files[0] else files[0]
        for write in case.oracle._log.of((other, page), sight.word):
            if shared.call.ended < write.end and write.begin < sight.look.asked:
                return shared
    return None


def _is_only_inherited(case: Case, sight: Sight) -> bool:
    """Tell whether a word of a clone surely has nothing but what it began with."""
    made = clone_of(case.history, sight.name[0])
    if made is None or case.oracle._durability.has_failures:
        return False
    writes = case.oracle._log.of(sight.name, sight.word)
    return all(
        write.begin == made.call.asked or write.begin > sight.look.ended
        for write in writes
    ) and not _is_sync_refused(case, sight)


def _is_sync_refused(case: Case, sight: Sight) -> bool:
    """Tell whether it was reported that the clone may have lost something."""
    return any(
        call.refused and call.asked < sight.look.ended
        for call, operation in case.history.asked(Fsync, Sync, Umount)
        if getattr(operation, "file", sight.name[0]) == sight.name[0]
    )


def _is_lost(case: Case, sight: Sight) -> bool:
    """Tell whether the word is reported as wrong already."""
    return any(
        loss.call is sight.look
        and (loss.file, loss.page, loss.word) == (*sight.name, sight.word)
        for loss in _losses(case)
    )


def _losses(case: Case) -> list[Loss]:
    return [*lost_in_memory(case), *lost_on_disk(case)]


# --- SNAP-DEDUPE ------------------------------------------------------------------


@rule(
    "SNAP-DEDUPE",
    clause=Clause(
        DOCUMENT,
        "S18, S21; vfs_dedupe_file_range_compare",
        "pages that are made to share a block are equal at that moment; what a device "
        "writes to one meanwhile or later is neither lost nor seen in the other",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.SHOULD,
    needs=Needs(operations=("dedupe", "read|load|power_cut"), absent_features=_TRACKED),
)
def deduplicated_pages_stay_apart(case: Case) -> Iterator[Finding]:
    """Ranges that were deduplicated keep their contents, whoever writes to them."""
    deduped = [s for s in sharings(case.history) if isinstance(s.operation, Dedupe)]
    if not deduped:
        return
    for sight in _sights(case):
        if any(_is_written_about(case, shared, sight) for shared in deduped):
            case.premise()
    for loss in _losses(case):
        if loss.owner == DEDUPE:
            yield case.found(loss.call, loss.sentence)
        elif any(_is_of_device(case, shared, loss) for shared in deduped):
            yield case.found(loss.call, f"{loss.sentence}: it was deduplicated")


def _is_written_about(case: Case, shared: Shared, sight: Sight) -> bool:
    """Tell whether any page of the two ranges was written to since, or pinned then."""
    if not shared.concerns(sight.name) or sight.look.asked < shared.call.ended:
        return False
    operation = shared.operation
    assert isinstance(operation, Dedupe)
    starts = (operation.file, operation.page), (operation.other, operation.other_page)
    return any(
        shared.call.asked < write.end and write.begin < sight.look.asked
        for file, first in starts
        for page in range(first, first + operation.pages)
        for write in case.oracle._log.of((file, page), sight.word)
    )


def _is_of_device(case: Case, shared: Shared, loss: Loss) -> bool:
    """Tell whether what is lost was written by a device that had a page then."""
    name, call = (loss.file, loss.page), shared.call
    if loss.writer is None or not shared.concerns(name):
        return False
    record = case.oracle.pin_of(loss.writer)
    return record is not None and any(
        page.file_page == name
        and record.maker.asked < call.ended
        and page.put_ended > call.asked
        for page in record.pages
    )


RULES: tuple[Rule, ...] = (
    clones_are_isolated,
    *COST_RULES,
    deduplicated_pages_stay_apart,
)
