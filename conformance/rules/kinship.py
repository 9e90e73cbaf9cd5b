"""Memories that forks made copies of others, and the pages that were one.

Interface:
  * `line_of(oracle, memory)`: a memory and those that it was copied from.
    `copies_of(oracle, name)`: the forks that copied it.
  * `forks_between(oracle, one, other)`: the forks since which two pages are two.
  * `was_shared(oracle, record, name)`: a page may have been another process's, too,
    when it was pinned.
"""

from collections.abc import Iterator

from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import Memory, PageName
from conformance.oracle.pins import PinRecord

Fork = tuple[Moment, Moment]
"""From when to when a fork copied a memory."""


def forks_between(oracle: Oracle, one: PageName, other: PageName) -> list[Fork] | None:
    """Return the forks between two pages that were one; None: they never were."""
    if one[1] != other[1]:
        return None
    up, down = line_of(oracle, one[0]), line_of(oracle, other[0])
    numbers = [memory.number for memory in down]
    for i, memory in enumerate(up):
        if memory.number in numbers:
            children = (*up[:i], *down[: numbers.index(memory.number)])
            return [(child.begin, child.end) for child in children]
    return None


def line_of(oracle: Oracle, number: int) -> list[Memory]:
    """Return a memory and those that it was copied from."""
    memory = oracle.layout.memories.get(number)
    line: list[Memory] = []
    while memory is not None:
        line.append(memory)
        memory = memory.parent
    return line


def copies_of(oracle: Oracle, name: PageName) -> Iterator[Fork]:
    """Yield when the memory of a page was copied to children."""
    for memory in oracle.layout.memories.values():
        if memory.parent is not None and memory.parent.number == name[0]:
            yield memory.begin, memory.end


def was_shared(oracle: Oracle, record: PinRecord, name: PageName) -> bool:
    """Tell whether an anonymous page may have been shared when it was pinned."""
    pins, maker = oracle.private_pins, record.maker
    memory = oracle.layout.memories.get(name[0])
    forks = [(*fork, name) for fork in copies_of(oracle, name)]
    if memory is not None and memory.parent is not None:
        parent = memory.parent.number, name[1]
        forks.append((memory.begin, memory.end, parent))
    return any(
        begin < maker.ended
        and pins.is_anonymous(source, begin, end)
        and not any(
            end < c.asked and c.ended < maker.asked for c in pins.populated(name)
        )
        for begin, end, source in forks
    )


def overlaps(call: Call, fork: Fork) -> bool:
    """Tell whether a call was under way while a fork was."""
    return call.asked <= fork[1] and call.ended >= fork[0]


def is_pinned_over(record: PinRecord, fork: Fork) -> bool:
    """Tell whether a pin that was there before a fork may have been held over it."""
    is_earlier = record.maker.ended < fork[0]
    return is_earlier and any(page.put_ended > fork[0] for page in record.pages)
