"""Drawing a history as text: a column for each actor, a row for each moment.

Interface:
  * `timeline(history)` returns the lines; a call that is answered later than it was
    asked has two rows, one that never answered says so.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import Operation
from conformance.oracle.history import Call, History

LANES = ("cpu", "gup", "filesystem", "writeback", "device", "disk")
_LANE_WIDTH = 34

_OPERATIONS_IN = {
    "cpu": "mmap munmap mprotect mremap load store fork exit",
    "gup": """get_user_pages get_user_pages_fast put_user_page put_user_pages
        put_user_pages_dirty put_user_pages_dirty_lock put_page set_page_dirty_lock""",
    "filesystem": """create read write truncate punch_hole unlink umount mount freeze
        thaw fill_disk free_disk""",
    "writeback": "fsync sync writeback evict reclaim",
    "device": """device_write device_read device_complete device_abort direct_read
        direct_write device_transfer""",
    "disk": "hold release fail_next power_cut flush_disk",
}

LANE_OF: dict[str, str] = {
    name: lane for lane, names in _OPERATIONS_IN.items() for name in names.split()
}
"""The lane in which an operation is drawn, by the name of the operation."""


def timeline(history: History) -> list[str]:
    """Return the history as lines of text."""
    rows = sorted(_rows(history))
    used = [lane for lane in LANES if any(lane == row[1] for row in rows)]
    header = "      " + "".join(f"{lane:<{_LANE_WIDTH}}" for lane in used)
    lines = [header.rstrip()]
    for moment, lane, text in rows:
        indent = used.index(lane) * _LANE_WIDTH
        lines.append(f"{moment:>4}  {'':<{indent}}{text}")
    return lines


def _rows(history: History) -> Iterator[tuple[int, str, str]]:
    for call in history.calls:
        if not call.was_asked:
            continue
        lane = LANE_OF[call.operation.name]
        text = f"{call.index}: {shown(call.operation)}"
        if call.answered == call.asked + 1:
            yield call.asked, lane, f"{text} -> {outcome(call)}"
            continue
        yield call.asked, lane, f"{text} ..."
        if call.answered is None:
            waits = f", waits for {call.blocked_on}" if call.blocked_on else ""
            yield history.now + 1, lane, f"{call.index}: never answered{waits}"
        else:
            yield call.answered, lane, f"{call.index}: ... -> {outcome(call)}"


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
    if call.error is not None:
        return str(call.error)
    return "ok" if call.result is None else repr(call.result)
