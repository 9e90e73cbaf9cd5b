"""The zero page: what a process reads where it has not written yet.

It is everybody's and nobody's. A pin of it need not be counted, as it cannot go away;
but what is not counted when it is pinned must not be when it is put, or the other way
round, or the counts drift away until they overflow.
"""

from collections.abc import Iterator

from conformance.interface import GetUserPages, Operation, Store
from conformance.oracle.history import Call
from conformance.oracle.layout import PageName, Span
from conformance.oracle.pins import PinRecord
from conformance.rules.accounts import DRIVERS, Spell, changes_held, spells
from conformance.rules.rule import KERNEL, Case, Clause, Finding, Needs, Rule, rule
from conformance.verdicts import Kind, Level, Promise

_GUP = "get_user_pages|get_user_pages_fast"


@rule(
    "REF-ZERO",
    clause=Clause(
        KERNEL,
        "mm/gup.c, is_zero_page, c8070b787519; S29, S30 of the document",
        "pinning the zero page counts nothing, and neither does putting it",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(
        operations=(_GUP, "mmap(shared)"),
        counters=("nr_gup_pages_returned|nr_foll_pin_released",),
    ),
)
def zero_pages_are_balanced(case: Case) -> Iterator[Finding]:
    """A read pin of a page that nobody wrote counts as much as its put does: nothing.

    In the document's promise it may count, as long as the put does, too.
    """
    by_call = {
        call.index: spell for spell in spells(case.history) for call in spell.calls
    }
    for record in case.oracle.pins:
        calls = {record.maker.index: record.maker}
        calls |= {put.index: put for page in record.pages for put in page.puts}
        own = [by_call.get(index) for index in calls]
        if not _is_of_zero_page(case, record) or not _are_alone(own):
            continue
        case.premise()
        got, *put = (changes_held(spell) for spell in own if spell is not None)
        down = [sum(each) for each in zip(*put, strict=True)]
        yield from _unbalanced(case, record, got, down)


def _are_alone(own: list[Spell | None]) -> bool:
    """Whether nothing else was under way beside the get and the puts."""
    return len(own) > 1 and all(
        spell is not None and len(spell.calls) == 1 for spell in own
    )


def _unbalanced(
    case: Case, record: PinRecord, got: list[int], put: list[int]
) -> Iterator[Finding]:
    is_put = all(page.puts for page in record.pages)
    for up, down in zip(got, put, strict=False):
        if is_put and up + down:
            yield case.found(
                record.maker,
                f"{record.maker.operation} of pages that nobody wrote changed the pins "
                f"counted by {up}, and putting them by {down} (should cancel out)",
            )
        elif up and case.promise is Promise.MAINLINE:
            yield case.found(
                record.maker,
                f"{record.maker.operation} of pages that nobody wrote changed the pins "
                f"counted by {up} (should be 0, as they are the zero page)",
            )


def _is_of_zero_page(case: Case, record: PinRecord) -> bool:
    """Whether a pin surely is one of the zero page alone: short, and for reading."""
    if record.write or record.longterm or not record.tracked or not record.pages:
        return False
    return not case.history.program.misuse and all(
        page.name is not None and _is_empty(case, page.name, record.maker)
        for page in record.pages
    )


def _is_empty(case: Case, name: PageName, maker: Call) -> bool:
    """Whether nobody can have made an anonymous page of this one."""
    memory = case.oracle.layout.memories.get(name[0])
    if memory is None or not memory.is_private or memory.file is not None:
        return False
    kinds: tuple[type[Operation], ...] = (Store, GetUserPages, *DRIVERS)
    spans = (
        _span_of(case, call, operation)
        for call, operation in case.history.asked(*kinds)
        if call.asked < maker.ended and _may_write(operation)
    )
    numbers = {span.memory.number for span in spans if span is not None}
    mirrors = {mirror.span.memory.number for mirror in case.oracle.mirrors.all}
    while memory is not None:
        if memory.number in numbers | mirrors:
            return False
        memory = memory.parent
    return True


def _may_write(operation: Operation) -> bool:
    if isinstance(operation, GetUserPages):
        return operation.write or operation.longterm
    return True


def _span_of(case: Case, call: Call, operation: Operation) -> Span | None:
    process: int = getattr(operation, "process", 0)
    mapping: int = getattr(operation, "mapping", 0)
    return case.oracle.layout.find(process, mapping, call.asked)


RULES: tuple[Rule, ...] = (zero_pages_are_balanced,)
