"""What the pages of each mapping are, at each moment.

A mapping is a *span* of pages of some *memory*. The memory of a shared mapping of a
file is the file; anonymous memory, and what a process sees through a private mapping,
are memories of their own, with negative numbers, so that a word is always named by
`(memory, page, word)`.

Interface:
  * `Layout(history).find(process, mapping, moment)` gives the span that the name
    stands for, `name(process, mapping, page, moment)` the page of the memory.
  * `Layout.memories` lists the memories that are not files.
"""

from collections.abc import Iterable, Iterator

import attrs

from conformance.interface import (
    Exit,
    Fork,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Operation,
    Umount,
)
from conformance.oracle.history import INFINITY, Call, History, Moment

PageName = tuple[int, int]
"""Memory (a file if it is not negative) and page."""


@attrs.frozen
class Memory:
    """What a span shows a part of."""

    number: int
    """The file's handle; negative: no file."""
    file: int | None = None
    """The file that is shown, or copied from; None: anonymous."""
    is_private: bool = False
    is_secret: bool = False
    """Nobody but the process can get at it (memfd_secret)."""
    parent: "Memory | None" = None
    """What a fork made it a copy of."""
    begin: Moment = -1
    """When the copying from parent or file may have begun."""
    end: Moment = -1
    """When the copying from the parent had ended."""

    @property
    def is_file(self) -> bool:
        """Whether its words are the file's own."""
        return self.number >= 0

    @property
    def shown_since(self) -> Moment:
        """When the first of its line was mapped; it may show the file since then."""
        return self.begin if self.parent is None else self.parent.shown_since


@attrs.define(eq=False)
class Span:
    """One mapping, from the call that makes it to the one that removes it."""

    process: int
    mapping: int
    memory: Memory
    first: int
    """Page of the memory that page 0 of the mapping shows."""
    pages: int
    writable: bool
    asked: Moment = -1
    answered: Moment = -1
    """INFINITY: it may never have been made."""
    remove_asked: Moment = INFINITY
    remove_answered: Moment = INFINITY
    is_certain: bool = True
    """False: a fork may have copied it, or not."""
    protections: list[tuple[Moment, Moment, bool]] = attrs.field(
        factory=list[tuple[Moment, Moment, bool]]
    )
    """When it was asked to be writable or not, when that was answered."""
    moves: list[tuple[Moment, Moment]] = attrs.field(
        factory=list[tuple[Moment, Moment]]
    )

    def name(self, page: int) -> PageName | None:
        """Name a page of the mapping; None: it has no such page."""
        if not 0 <= page < self.pages:
            return None
        return self.memory.number, self.first + page

    def may_be_there(self, begin: Moment, end: Moment) -> bool:
        """Whether it may exist at some time from `begin` to `end`."""
        return self.asked <= end and self.remove_answered >= begin

    def stays(self, begin: Moment, end: Moment) -> bool:
        """Whether it exists, at one place, all the time from `begin` to `end`."""
        return (
            self.is_certain
            and self.answered < begin
            and self.remove_asked > end
            and not any(moved <= end and there >= begin for moved, there in self.moves)
        )

    def writabilities(self, begin: Moment, end: Moment) -> set[bool]:
        """Tell whether it may be writable, and whether it may not be."""
        changes = [(-1, -1, self.writable), *self.protections]
        latest = max(asked for asked, answered, _ in changes if answered < begin)
        return {
            writable
            for asked, answered, writable in changes
            if answered >= latest and asked <= end
        }


class Layout:
    """All spans of a history."""

    def __init__(self, history: History) -> None:
        self.spans: dict[tuple[int, int], list[Span]] = {}
        self.memories: dict[int, Memory] = {}
        """The memories that are not files, by number."""
        self._forks: list[tuple[Call, int, int]] = []
        self._add(Span(0, 0, Memory(0, 0), 0, history.geometry.file_pages, True))
        kinds = (Mmap, Munmap, Mprotect, Mremap, Fork, Exit, Umount)
        for call, operation in history.asked(*kinds):
            if not call.refused:
                self._apply(call, operation)

    def find(self, process: int, mapping: int, moment: Moment) -> Span | None:
        """Return the span that the name stands for at a moment.

        A name is free for the next as soon as its removal was asked for, so the
        latest is meant. What was refused to be removed is there, without a name.
        """
        for span in reversed(self.spans.get((process, mapping), ())):
            if span.asked <= moment:
                return span
        return None

    def name(
        self, process: int, mapping: int, page: int, moment: Moment
    ) -> PageName | None:
        """Name the page that a page of a mapping is at a moment."""
        span = self.find(process, mapping, moment)
        return None if span is None else span.name(page)

    def _apply(self, call: Call, operation: Operation) -> None:
        match operation:
            case Mmap():
                self._mmap(call, operation)
            case Munmap(process, mapping):
                span = self.find(process, mapping, call.asked)
                self._remove(call, (span,) if span else ())
            case Fork(process, child):
                self._fork(call, process, child)
            case Exit(process):
                self._remove(call, self._spans_at(call.asked, process))
            case Umount():
                spans = self._spans_at(call.asked)
                self._remove(call, (s for s in spans if s.memory.file is not None))
            case Mprotect() | Mremap():
                self._change(call, operation)
            case _:
                pass

    def _mmap(self, call: Call, operation: Mmap) -> None:
        if operation.file is None or not operation.shared:
            memory = self._memory(
                file=operation.file,
                is_private=not operation.shared,
                is_secret=operation.secret and operation.file is None,
                begin=call.asked,
            )
        else:
            memory = Memory(operation.file, operation.file)
        span = Span(
            operation.process,
            operation.mapping,
            memory,
            0 if operation.file is None else operation.page,
            operation.pages,
            operation.writable,
            call.asked,
            call.ended,
        )
        self._add(span)
        for fork, process, child in self._forks:
            if process == operation.process and fork.ended > call.asked:
                self._inherit(span, fork, child, {}, is_certain=False)

    def _fork(self, call: Call, process: int, child: int) -> None:
        self._forks.append((call, process, child))
        copies: dict[int, Memory] = {}
        for span in list(self._spans_at(call.asked, process)):
            is_certain = span.answered < call.asked < span.remove_asked
            self._inherit(span, call, child, copies, is_certain=is_certain)

    def _inherit(
        self,
        span: Span,
        fork: Call,
        child: int,
        copies: dict[int, Memory],
        *,
        is_certain: bool,
    ) -> None:
        """Give a child what its parent has mapped."""
        memory = span.memory
        if memory.is_private:
            memory = copies.get(memory.number) or self._memory(
                file=memory.file,
                is_private=True,
                is_secret=memory.is_secret,
                parent=memory,
                begin=fork.asked,
                end=fork.ended,
            )
            copies[span.memory.number] = memory
        copy = attrs.evolve(
            span,
            process=child,
            memory=memory,
            asked=max(fork.asked, span.asked),
            answered=max(fork.ended, span.answered),
            remove_asked=INFINITY,
            remove_answered=INFINITY,
            is_certain=is_certain and span.is_certain,
            protections=list(span.protections),
            moves=[],
        )
        self._add(copy)

    def _change(self, call: Call, operation: Mprotect | Mremap) -> None:
        span = self.find(operation.process, operation.mapping, call.asked)
        if span is None:
            return
        if isinstance(operation, Mprotect):
            span.protections.append((call.asked, call.ended, operation.writable))
        else:
            span.moves.append((call.asked, call.ended))

    @staticmethod
    def _remove(call: Call, spans: Iterable[Span]) -> None:
        for span in spans:
            span.remove_asked = min(span.remove_asked, call.asked)
            span.remove_answered = min(span.remove_answered, call.ended)

    def _spans_at(self, moment: Moment, process: int | None = None) -> Iterator[Span]:
        for (owner, _), spans in self.spans.items():
            if process in {None, owner}:
                yield from (s for s in spans if s.may_be_there(moment, moment))

    def _memory(
        self,
        *,
        file: int | None,
        is_private: bool,
        is_secret: bool,
        parent: Memory | None = None,
        begin: Moment,
        end: Moment = -1,
    ) -> Memory:
        number = -1 - len(self.memories)
        memory = Memory(number, file, is_private, is_secret, parent, begin, end)
        self.memories[number] = memory
        return memory

    def _add(self, span: Span) -> None:
        self.spans.setdefault((span.process, span.mapping), []).append(span)
