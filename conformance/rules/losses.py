"""Words that show what no correct stack can show, and which rule owns each.

Interface:
  * `losses_of(oracle)`: all losses of a history, found once, but for those that
    private memory is to blame for, which are in `all_losses_of(oracle)`.
  * A `Loss` has an owner, the rule that must report it; see `blame.py`.
  * `LOSS_RULES` are all the rules that may report one.

Programs of misuse are not looked at: there, anything may be lost.
"""

from collections.abc import Iterator
from functools import lru_cache

import attrs

from conformance.interface import (
    TORN,
    UNREADABLE,
    DeviceRead,
    Load,
    MirrorRead,
    PowerCut,
    PowerCutImage,
    Read,
)
from conformance.oracle.admissible import DurableFile, Oracle
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName
from conformance.rules.blame import OWNERS, PROTECTING, last_writer, owner_of
from conformance.rules.direct_losses import DIRECT_OWNERS, direct_owner
from conformance.rules.private_blame import PRIVATE_OWNERS, private_owner
from conformance.rules.sharing import clone_of, owner_of_shared

REPORTERS = frozenset(
    {
        *("BNC-FSYNC", "BNC-RESERVE", "BNC-EOF", "BNC-ERR", "DRT-ORPHAN"),
        *("DRT-BUFFERS", "DRT-COMPOUND", "GWB-REDIRTY-DURING", "INV-UNMAP"),
        *("INV-ORPHAN", "INV-SPLIT", "INV-STEAL", "LT-NOMOVE", "MKW-TRUNC"),
        *("REF-COMPOUND", "REF-FALSEPOS", "REF-STABLEHEAD", "SNAP-FALSEPOS"),
        *("WB-ERROR", "WB-UPTODATE"),
    }
)
"""Rules that own no loss, and report those that fit what they have seen."""

LOSS_RULES = OWNERS | DIRECT_OWNERS | PRIVATE_OWNERS | REPORTERS
"""One family: which of them misses what a stack has lost depends on who looks."""


@attrs.frozen
class Loss:
    """A word, or a size, that was shown wrongly."""

    call: Call
    """What showed it: a Load, Read, DeviceRead, MirrorRead or PowerCut."""
    file: int
    page: int
    word: int | None
    """None: it is the size, or the file, that is wrong."""
    seen: int | None
    """None: the word is not there."""
    admissible: frozenset[int]
    writer: Call | None
    """The last call that wrote what should have been seen."""
    owner: str
    """Id of the rule that reports it."""
    sentence: str
    kind: str = "other"
    """Of the writer: "cpu", "device", "mirror", "driver", "write" or "other"."""


@attrs.frozen
class Losses:
    """The losses of one history."""

    in_memory: tuple[Loss, ...]
    on_disk: tuple[Loss, ...]


@lru_cache(maxsize=4)
def losses_of(oracle: Oracle) -> Losses:
    """Return all losses of a history but those of private memory."""
    every = all_losses_of(oracle)
    return Losses(
        tuple(loss for loss in every.in_memory if loss.owner not in PRIVATE_OWNERS),
        tuple(loss for loss in every.on_disk if loss.owner not in PRIVATE_OWNERS),
    )


@lru_cache(maxsize=4)
def all_losses_of(oracle: Oracle) -> Losses:
    """Return all losses of a history; `private_losses.py` tells of the others."""
    if oracle.history.program.misuse:
        return Losses((), ())
    return Losses(tuple(_in_memory(oracle)), tuple(_on_disk(oracle)))


def _in_memory(oracle: Oracle) -> Iterator[Loss]:
    for call, operation in oracle.history.asked(Load, Read, DeviceRead, MirrorRead):
        if not call.succeeded:
            yield from _signalled(oracle, call)
        elif isinstance(operation, Read):
            yield from _read(oracle, call, operation)
        else:
            yield from _word_read(oracle, call, operation)


def _signalled(oracle: Oracle, call: Call) -> Iterator[Loss]:
    """Yield a load that ended in a signal although its page is in the file.

    Where content is protected, the signal may be what tells of a torn block; see
    `unreadable` in `pinned.py`.
    """
    name, operation = oracle.file_page(call), call.operation
    if not isinstance(operation, Load) or name is None or not call.refused:
        return
    if not PROTECTING & oracle.history.features and not oracle.may_signal(call):
        sentence = f"{_page(name)} ends a load in {call.error} (should be readable)"
        yield _wrong_size(oracle, call, name, sentence)


def _read(oracle: Oracle, call: Call, operation: Read) -> Iterator[Loss]:
    values = oracle.read_values(call)
    answer = call.result
    assert isinstance(answer, tuple)
    if values is None or values.admits(answer):
        return
    name = operation.file, operation.page
    if len(answer) not in values.lengths:
        wanted = _listed(values.lengths)
        sentence = f"{_page(name)} has {len(answer)} word(s) (should be {wanted})"
        yield _wrong_size(oracle, call, name, sentence)
    for word, (seen, allowed) in enumerate(zip(answer, values.words, strict=False)):
        if seen not in allowed:
            yield _wrong_word(oracle, call, name, word, seen, allowed)


def _word_read(
    oracle: Oracle, call: Call, operation: Load | DeviceRead | MirrorRead
) -> Iterator[Loss]:
    name, seen = _name(oracle, call, operation), call.result
    assert isinstance(seen, int)
    if name is None:
        return
    if isinstance(operation, Load):
        values = oracle.load_values(call)
    elif isinstance(operation, MirrorRead):
        values = oracle.mirror_read_values(call)
    else:
        values = oracle.device_read_values(call)
    if values is not None and seen not in values:
        yield _wrong_word(oracle, call, name, operation.word, seen, values)


def _name(
    oracle: Oracle, call: Call, operation: Load | DeviceRead | MirrorRead
) -> PageName | None:
    """Name what was read; a negative number for memory that is no file's."""
    if isinstance(operation, MirrorRead):
        return oracle.mirrors.name(call)
    if isinstance(operation, Load):
        where = operation.process, operation.mapping, operation.page
        return oracle.layout.name(*where, call.asked)
    record = oracle.pin_of(call)
    pages = () if record is None else record.pages[operation.page :]
    return pages[0].name if pages else None


def _on_disk(oracle: Oracle) -> Iterator[Loss]:
    for cut, _ in oracle.history.asked(PowerCut):
        if not cut.succeeded:
            continue
        image = cut.result
        assert isinstance(image, PowerCutImage)
        for file in sorted({0, *image.files, *_created(oracle)}):
            durable = oracle.durable(file, cut)
            if durable is not None:
                yield from _in_file(oracle, cut, file, durable)


def _created(oracle: Oracle) -> Iterator[int]:
    for call in oracle.history.calls:
        if call.operation.name == "create" and call.succeeded:
            yield getattr(call.operation, "file")  # noqa: B009 - its name says it
        if call.operation.name == "clone" and call.succeeded:
            yield getattr(call.operation, "clone")  # noqa: B009 - its name says it


def _in_file(
    oracle: Oracle, cut: Call, file: int, durable: DurableFile
) -> Iterator[Loss]:
    assert isinstance(cut.result, PowerCutImage)
    image = cut.result.files.get(file)
    if image is None:
        if not durable.may_be_missing:
            sentence = f"file {file} is missing after a power cut (should be there)"
            yield _wrong_size(oracle, cut, (file, 0), sentence)
        return
    size = len(image.words)
    if not durable.min_words <= size <= durable.max_words:
        name = file, size // oracle.words_per_page
        wanted = f"{durable.min_words} to {durable.max_words}"
        sentence = (
            f"file {file} has {size} word(s) after a power cut (should be {wanted})"
        )
        yield _wrong_size(oracle, cut, name, sentence)
    for position, (seen, allowed) in enumerate(
        zip(image.words, durable.words, strict=False)
    ):
        if seen not in allowed:
            page, word = divmod(position, oracle.words_per_page)
            yield _wrong_word(oracle, cut, (file, page), word, seen, allowed)


def _wrong_word(
    oracle: Oracle,
    call: Call,
    name: PageName,
    word: int,
    seen: int,
    allowed: frozenset[int],
) -> Loss:
    shared_owner = owner_of_shared(oracle, call, name, word, seen)
    writer, kind = last_writer(oracle, call, name, word, allowed)
    if writer is None and shared_owner is None:
        writer, kind = _writer_of_source(oracle, call, name, word, allowed)
    owner = (
        private_owner(oracle, call, name, word, seen, allowed)
        or shared_owner
        or direct_owner(oracle, call, name, word, writer, seen)
        or owner_of(oracle, call, name, kind=kind, seen=seen)
    )
    shown = {TORN: "torn", UNREADABLE: "unreadable"}.get(seen, str(seen))
    when = " after a power cut" if isinstance(call.operation, PowerCut) else ""
    sentence = (
        f"word {word} of {_page(name)} is {shown}{when} (should be {_listed(allowed)})"
    )
    return Loss(call, *name, word, seen, allowed, writer, owner, sentence, kind)


def _writer_of_source(
    oracle: Oracle, call: Call, name: PageName, word: int, allowed: frozenset[int]
) -> tuple[Call | None, str]:
    """Return who wrote to the source of a clone what should have been seen."""
    made = clone_of(oracle.history, name[0])
    if made is None:
        return None, "other"
    source = made.operation.file, name[1]
    return last_writer(oracle, call, source, word, allowed)


def _wrong_size(oracle: Oracle, call: Call, name: PageName, sentence: str) -> Loss:
    owner = owner_of(oracle, call, name, kind="other", seen=None)
    return Loss(call, *name, None, None, frozenset(), None, owner, sentence)


def _page(name: PageName) -> str:
    file, page = name
    return f"page {page} of " + (f"file {file}" if file >= 0 else "private memory")


def _listed(values: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(values)))
