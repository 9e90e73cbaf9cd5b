"""Drawing a history as text: a column for each actor, a row for each moment.

Interface:
  * `timeline(history)` returns the lines; a call that is answered later than it was
    asked has two rows, one that never answered says so.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import attrs

from conformance.interface import (
    TORN,
    UNREADABLE,
    FileImage,
    Operation,
    PowerCutImage,
)
from conformance.oracle.history import Call, History

_NAMES = {TORN: "torn", UNREADABLE: "EIO"}

LANES = ("cpu", "gup", "filesystem", "writeback", "device", "disk")
LANE_WIDTH_MAX = 60

_OPERATIONS_IN = {
    "cpu": """mmap munmap mprotect mremap dontneed load store fork clear_refs exit
        pageout migrate merge""",
    "gup": """get_user_pages get_user_pages_fast put_user_page put_user_pages
        put_user_pages_dirty put_user_pages_dirty_lock put_page set_page_dirty_lock""",
    "filesystem": """create read write truncate punch_hole clone dedupe unlink umount
        mount freeze thaw fill_disk free_disk""",
    "writeback": "fsync sync writeback evict reclaim steal split",
    "device": """device_write device_read device_complete device_abort direct_read
        direct_write device_transfer attach detach mirror_write mirror_read""",
    "disk": "hold release fail_next power_cut flush_disk",
}

LANE_OF: dict[str, str] = {
    name: lane for lane, names in _OPERATIONS_IN.items() for name in names.split()
}
"""The lane in which an operation is drawn, by the name of the operation."""


def timeline(history: History) -> list[str]:
    """Return the history as lines of text."""
    rows = list(_rows(history))
    used = [lane for lane in LANES if any(lane == row[0] for row in rows)]
    widths = {
        lane: min(LANE_WIDTH_MAX, max(len(text) for at, text in rows if at == lane)) + 2
        for lane in used
    }
    lines = ["".join(f"{lane:<{widths[lane]}}" for lane in used).rstrip()]
    for lane, text in rows:
        before = used[: used.index(lane)]
        indent = sum(widths[each] for each in before)
        lines.append(f"{'':<{indent}}{text}")
    return lines


def _rows(history: History) -> Iterator[tuple[str, str]]:
    """Yield lane and text; a call that nothing came between has one row."""
    entries: list[_Entry | _Stop] = [*_entries(history), *_stops(history)]
    entries.sort(key=lambda entry: entry[0])
    skip = False
    for entry, following in zip_longest(entries, entries[1:]):
        if skip:
            skip = False
            continue
        if isinstance(entry, _Stop):
            yield entry.lane, entry.text
            continue
        assert entry is not None
        _, call, is_answer = entry
        lane = LANE_OF[call.operation.name]
        if is_answer:
            yield lane, f"{call.index}: ... -> {outcome(call)}"
            continue
        skip = following is not None and following[1] is call
        end = f"-> {outcome(call)}" if skip else "..."
        yield lane, f"{call.index}: {shown(call.operation)} {end}"


def _entries(history: History) -> Iterator[tuple[int, Call, bool]]:
    """Yield when each call was asked and answered; a call without answer comes last."""
    for call in history.calls:
        if call.was_asked:
            yield call.asked, call, False
            answered = history.now + 1 if call.answered is None else call.answered
            yield answered, call, True


_Entry = tuple[int, Call, bool]
"""When a call was asked or answered, which, and whether it was answered."""


class _Stop(NamedTuple):
    """The end of a turn: a call, or an actor, stopped at a point."""

    moment: int
    lane: str
    text: str


def _stops(history: History) -> Iterator[_Stop]:
    for moment, index, point in history.stops:
        if index is None:
            yield _Stop(moment, "disk", f"stopped at {point}")
        elif index < len(history.calls):
            lane = LANE_OF[history.calls[index].operation.name]
            yield _Stop(moment, lane, f"{index}: stopped at {point}")


def shown(operation: Operation) -> str:
    """Return an operation as a short call."""
    arguments = [
        f"{field.name}={getattr(operation, field.name)}"
        for field in attrs.fields(type(operation))
        if getattr(operation, field.name) != field.default
    ]
    return f"{operation.name}({', '.join(arguments)})"


def outcome(call: Call) -> str:
    """Return what a call answered, short."""
    if call.answered is None:
        return f"never answered, waits for {call.blocked_on or 'nothing known'}"
    if call.error is not None:
        return str(call.error)
    if isinstance(call.result, PowerCutImage):
        return "; ".join(_file(*item) for item in sorted(call.result.files.items()))
    return "ok" if call.result is None else repr(call.result)


def _file(file: int, image: FileImage) -> str:
    words = " ".join(_NAMES.get(word, str(word)) for word in image.words)
    return f"file {file}: {words or 'empty'}"
