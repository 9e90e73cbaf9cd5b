"""Forks of processes whose private memory is pinned, or was.

A fork shares the private pages of a process between two, until one of them writes. A
device does not take part in that: it goes on with the page that it has. So the page
must remain that of the process that had it pinned, and be nobody else's.

Verified: what parent, child and device see afterwards. Not verified: whether a page
was copied early or late, or shared, as long as nobody can tell.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import GetUserPages, Load, Store, Write
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import Memory, PageName
from conformance.oracle.pins import PinRecord
from conformance.rules.kinship import forks_between, overlaps
from conformance.rules.private_losses import (
    found,
    looks,
    private_pins,
    stays,
    stores,
)
from conformance.rules.rule import (
    KERNEL,
    THREAD,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level

_GUP = "get_user_pages|get_user_pages_fast"
_LOOK = "load|device_read"

# --- pinned pages -----------------------------------------------------------------


@rule(
    "ANON-FORK-COPY",
    clause=Clause(
        KERNEL,
        "mm/memory.c, copy_present_page, 70e806e4e645; S15 of the document",
        "fork gives the child a copy of a page that may be pinned; the parent keeps "
        "the pinned page",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "fork", _LOOK)),
)
def fork_leaves_pinned_pages_alone(case: Case) -> Iterator[Finding]:
    """After a fork a pinned page is still the parent's, and not the child's."""
    for pin in private_pins(case):
        for child in _children(case, pin.name):
            is_held = pin.is_held(child.begin, child.end)
            if is_held and stays(case, pin) and _is_looked_at(case, pin.name, child):
                case.premise()
    yield from found(case, "ANON-FORK-COPY")


@rule(
    "ANON-FORK-SEQ",
    clause=Clause(
        KERNEL,
        "mm/gup.c, mm->write_protect_seq, 57efa1fe5957; S15 of the document",
        "a pin that the fast path takes while a fork goes on is undone, or the fork "
        "sees it",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "fork", _LOOK), stepping=True),
)
def fork_sees_pins_that_race_with_it(case: Case) -> Iterator[Finding]:
    """A page pinned while a fork goes on is the pinning process's alone afterwards."""
    for pin in private_pins(case):
        for child in _children(case, pin.name):
            is_raced = overlaps(pin.maker, (child.begin, child.end))
            if is_raced and _is_looked_at(case, pin.name, child):
                case.premise()
    yield from found(case, "ANON-FORK-SEQ")


def _children(case: Case, name: PageName) -> Iterator[Memory]:
    """Yield the copies that forks made of a memory."""
    for memory in case.oracle.layout.memories.values():
        if memory.parent is not None and memory.parent.number == name[0]:
            yield memory


def _is_looked_at(case: Case, name: PageName, child: Memory) -> bool:
    """Whether anybody looked at a page, or at its copy, after a fork."""
    names = name, (child.number, name[1])
    return any(True for each in names for _ in looks(case, each, child.end))


# --- pages of a file ----------------------------------------------------------------


@rule(
    "ANON-FORK-FILE",
    clause=Clause(
        KERNEL,
        "mm/memory.c, copy_present_page, around fb3d824d1a46",
        "fork copies pinned anonymous pages early, never a pinned page of a file",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "fork", "load", "write")),
)
def fork_copies_no_file_pages(case: Case) -> Iterator[Finding]:
    """A pinned page of a file that is mapped privately still shows the file."""
    for pin in private_pins(case):
        memory = case.oracle.layout.memories[pin.name[0]]
        if memory.file is None or pin.record.write or pin.record.longterm:
            continue
        for child in _children(case, pin.name):
            if pin.is_held(child.begin, child.end):
                yield from _outdated(case, child, (memory.file, pin.name[1]))


def _outdated(case: Case, child: Memory, page: PageName) -> Iterator[Finding]:
    """Yield the loads of a child that miss what was written to the file.

    That counts only if its parent does not miss it: a stack may as well copy a page
    when it is pinned.
    """
    assert child.parent is not None
    oracle, name = case.oracle, (child.number, page[1])
    parents = list(_fresh(case, (child.parent.number, page[1]), page, child.end))
    for call, word, is_fresh in _fresh(case, name, page, child.end):
        if not any(loaded == word and seen for _, loaded, seen in parents):
            continue
        case.premise()
        if not is_fresh:
            values = oracle.values(*page, word, call.asked, call.ended)
            yield case.found(
                call,
                f"word {word} of page {page[1]} is {call.result} in a private mapping "
                f"that nobody wrote to (should be {_listed(values)}, as in file "
                f"{page[0]}, and for the parent)",
            )


def _fresh(
    case: Case, name: PageName, page: PageName, since: Moment
) -> Iterator[tuple[Call, int, bool]]:
    """Yield the loads of a page after its file was written; do they show the file?"""
    for call in looks(case, name, since):
        operation = call.operation
        if not isinstance(operation, Load) or _is_touched(case, name, call):
            continue
        if _is_written(case, page, operation.word, since, call.asked):
            where = *page, operation.word, call.asked, call.ended
            yield call, operation.word, call.result in case.oracle.values(*where)


def _is_touched(case: Case, name: PageName, look: Call) -> bool:
    """Whether a page, in a process or in one it was copied from, may be its own."""
    memory: Memory | None = case.oracle.layout.memories[name[0]]
    while memory is not None:
        own = memory.number, name[1]
        is_cut = any(d.begin <= look.ended for d in case.oracle.detaches.of(own))
        if is_cut or _is_written_to(case, own) or _is_broken(case, own):
            return True
        memory = memory.parent
    return False


def _is_written_to(case: Case, name: PageName) -> bool:
    """Whether anything was written to a page of memory, not to the file behind it."""
    return any(
        write.values
        for word in range(case.oracle.words_per_page)
        for write in case.oracle._log.of(name, word)
    )


def _is_broken(case: Case, name: PageName) -> bool:
    """Whether a page may have been copied, for a pin for writing, or for long."""
    for call, operation in case.history.asked(GetUserPages):
        if operation.write or operation.longterm:
            where = operation.process, operation.mapping
            span = case.oracle.layout.find(*where, call.asked)
            if span is not None and span.memory.number == name[0]:
                return True
    return False


def _is_written(
    case: Case, page: PageName, word: int, begin: Moment, end: Moment
) -> bool:
    """Whether write(2) changed a word of a file in between."""
    return any(
        call.succeeded and begin < call.asked and call.ended < end
        for call, operation in case.history.asked(Write)
        if (operation.file, operation.page, operation.word) == (*page, word)
    )


# --- what the child gets -------------------------------------------------------------


@rule(
    "ANON-FORK-SNAPSHOT",
    clause=Clause(
        THREAD,
        "fork: coherent snapshots of eagerly copied pages, June 2025",
        "the child has what its parent had at one moment of the fork",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("mmap(shared)", "fork", "store", "load")),
)
def fork_takes_a_snapshot(case: Case) -> Iterator[Finding]:
    """A child that shows a store of its parent shows all those before it."""
    for child in case.oracle.layout.memories.values():
        if child.parent is None:
            continue
        copied = list(_stores_before_end(case, child))
        for store in copied:
            if any(True for _ in looks(case, store.copy, child.end)):
                case.premise()
        during = [store for store in copied if store.call.ended >= child.begin]
        for later in during:
            for look in _shows(case, later):
                yield from _missed(case, child, during, later, look)
    yield from found(case, "ANON-FORK-SNAPSHOT")


@attrs.frozen
class _Stored:
    """A store of a parent while a fork copied its memory."""

    call: Call
    name: PageName
    copy: PageName
    """The child's page."""
    word: int
    value: int


def _stores_before_end(case: Case, child: Memory) -> Iterator[_Stored]:
    """Yield what was stored to a parent's memory until a fork had ended."""
    assert child.parent is not None
    for call, operation in case.history.asked(Store):
        where = operation.process, operation.mapping, operation.page
        name = case.oracle.layout.name(*where, call.asked)
        is_early = call.succeeded and call.asked <= child.end
        if is_early and name is not None and name[0] == child.parent.number:
            copy = child.number, name[1]
            if not case.oracle.detaches.of(copy):
                yield _Stored(call, name, copy, operation.word, operation.value)


def _shows(case: Case, store: _Stored) -> Iterator[Call]:
    """Yield the loads by which a child shows what only this store has written."""
    log = case.oracle._log
    of_parent = (
        w for w in log.of(store.name, store.word) if w.begin != store.call.asked
    )
    others = set(case.oracle._resolved(of_parent))
    for write in log.of(store.copy, store.word):
        others |= write.values
    for look in looks(case, store.copy, -1):
        operation = look.operation
        is_word = isinstance(operation, Load) and operation.word == store.word
        if is_word and look.result == store.value and store.value not in others:
            yield look


def _missed(
    case: Case, child: Memory, during: list[_Stored], later: _Stored, shown: Call
) -> Iterator[Finding]:
    """Yield the loads of a child that miss a store that had ended before another."""
    oracle = case.oracle
    for earlier in during:
        if earlier.call.ended >= later.call.asked:
            continue
        since = later.call.asked
        values = oracle.memory_values(earlier.name, earlier.word, since, child.end)
        for look in looks(case, earlier.copy, -1):
            operation = look.operation
            is_word = isinstance(operation, Load) and operation.word == earlier.word
            own = oracle._log.of(earlier.copy, earlier.word)
            written = {value for write in own for value in write.values}
            if is_word and look.result not in values | written:
                yield case.found(
                    look,
                    f"word {earlier.word} of page {earlier.copy[1]} is {look.result} "
                    f"in a child that shows the later {later.call.operation} in call "
                    f"{shown.index} (should be {_listed(values)})",
                )


# --- what others write ---------------------------------------------------------------


@rule(
    "ANON-ISOLATION",
    clause=Clause(
        KERNEL,
        "CVE-2020-29374; mm/memory.c, wp_can_reuse_anon_folio",
        "a process does not see, by a reference to a page that it got before, what "
        "another process writes after a fork",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(shared)", "fork", "store", "device_read")),
)
def references_show_no_other_process(case: Case) -> Iterator[Finding]:
    """What a process writes after a fork is not seen by the other one, nor its pins."""
    if not case.history.program.misuse:
        for record in case.oracle.pins:
            for page in record.pages:
                if page.name is not None and _is_met(case, record, page.name):
                    case.premise()
    yield from found(case, "ANON-ISOLATION")


def _is_met(case: Case, record: PinRecord, name: PageName) -> bool:
    """Whether a relative stored to its page before a device read through a pin."""
    reads = [
        look.asked
        for look in looks(case, name, record.maker.ended)
        if case.oracle.pin_of(look) is record
    ]
    return any(
        store.ended < max(reads, default=-1)
        for number in case.oracle.layout.memories
        if number != name[0]
        for store in stores(case, (number, name[1]))
        for _, end in forks_between(case.oracle, name, (number, name[1])) or ()
        if store.asked > end
    )


def _listed(values: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(values)))


RULES: tuple[Rule, ...] = (
    fork_leaves_pinned_pages_alone,
    fork_sees_pins_that_race_with_it,
    fork_copies_no_file_pages,
    fork_takes_a_snapshot,
    references_show_no_other_process,
)
