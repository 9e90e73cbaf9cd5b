"""What the implementation raised, as a crash.

Interface:
  * `crash_of(call, error)` is the crash; its *sort* is the same for the same defect in
    another program: what was raised, and which line of the implementation did.
  * `describe(error)` says what was raised.
"""

import traceback

from conformance.engines.capabilities import ContractError
from conformance.engines.invocation import BrokenError
from conformance.oracle.history import Call, Crash

SUITE = __name__.partition(".")[0]
"""The package that is ours; other code that raises is the implementation's."""


def describe(error: BaseException) -> str:
    """Return what was raised, in a line."""
    if isinstance(error, (BrokenError, ContractError)):
        return str(error)
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def crash_of(call: Call | None, error: BaseException) -> Crash:
    """Return the crash of a call, or of a background actor."""
    where = "the stack" if call is None else f"{call.operation}"
    named = "the stack" if call is None else call.operation.name
    trace = "".join(traceback.format_exception(error, limit=-4))
    index = None if call is None else call.index
    sort = f"{type(error).__name__} in {_place(error) or named}"
    return Crash(index, f"{where} raised {describe(error)}", trace, sort)


def _place(error: BaseException) -> str | None:
    """Return the innermost line of the implementation that was left by an error."""
    if isinstance(error, RecursionError):
        return None  # how deep it was when there was no more room is chance
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] != SUITE:
            return f"{name}.{frame.f_code.co_qualname}, line {line}"
    return None
