"""When a load or store may end in a signal, and when it must."""

from collections.abc import Iterable

from conformance.interface import (
    FailNext,
    FillDisk,
    Fork,
    GetUserPages,
    Load,
    Store,
    Write,
)
from conformance.oracle.history import INFINITY, Call, History, Moment
from conformance.oracle.layout import Layout, Span
from conformance.oracle.sizes import Sizes

_SPARE = 3
"""Blocks and pages that a stack may need for each page in use."""


class Signals:
    """The signals of a history."""

    def __init__(self, history: History, layout: Layout, sizes: Sizes) -> None:
        self._layout = layout
        self._sizes = sizes
        self._words_per_page = history.geometry.words_per_page
        self._fails_from = _first(call for call, _ in history.asked(FailNext))
        self._full_from = _first(call for call, _ in history.asked(FillDisk))
        self._is_tight = _is_tight(history)

    def may(self, call: Call) -> bool:
        """Whether a Load or Store may end in a signal."""
        operation = _access(call)
        begin, end = call.asked, call.ended
        span = self._layout.find(operation.process, operation.mapping, begin)
        return (
            self._is_tight
            or self._fails_from <= end
            or (_is_write(call) and self._full_from <= end)
            or span is None
            or span.name(operation.page) is None
            or not span.stays(begin, end)
            or self._ends(span, operation, begin, end) != {False}
            or (_is_write(call) and False in span.writabilities(begin, end))
        )

    def must(self, call: Call) -> bool:
        """Whether a Load or Store cannot end otherwise than in a signal."""
        operation = _access(call)
        begin, end = call.asked, call.ended
        span = self._layout.find(operation.process, operation.mapping, begin)
        if span is None or span.name(operation.page) is None:
            return False
        is_barred = _is_write(call) and span.writabilities(begin, end) == {False}
        is_beyond = self._ends(span, operation, begin, end) == {True}
        return is_barred or (is_beyond and not span.memory.is_private)

    def _ends(
        self, span: Span, operation: Load | Store, begin: Moment, end: Moment
    ) -> set[bool]:
        """Tell whether the page may lie beyond the end of file, and whether not."""
        if span.memory.file is None:
            return {False}
        first = (span.first + operation.page) * self._words_per_page
        sizes = self._sizes.during(span.memory.file, begin, end)
        return {size <= first for size in sizes}


def _first(calls: Iterable[Call]) -> Moment:
    return min((call.asked for call in calls), default=INFINITY)


def _access(call: Call) -> Load | Store:
    assert isinstance(call.operation, Load | Store)
    return call.operation


def _is_write(call: Call) -> bool:
    return isinstance(call.operation, Store)


def _is_tight(history: History) -> bool:
    """Whether memory or disk may have run out."""
    touched = {
        (o.file, o.page) if isinstance(o, Write) else (o.process, o.mapping, o.page)
        for _, o in history.asked(Write, Store, Load)
    }
    forks = sum(1 for _ in history.asked(Fork))
    pinned = sum(o.pages for _, o in history.asked(GetUserPages)) * (1 + forks)
    geometry = history.geometry
    in_use = len(touched) + pinned
    return _SPARE * in_use > min(geometry.memory_pages, geometry.disk_blocks)
