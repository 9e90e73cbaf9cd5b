"""Files that share content by Clone or Dedupe, and what goes wrong between them.

A word of such a file that shows what was never written to it, and was not in the
source when the clone was made, came through a block that is shared, or was lost in
making the clone. That is the sharing's fault. A word that shows something older of
its own is lost as it would be in any file, and other chapters see to it.

Interface:
  * `Shared`: a Clone or Dedupe that may have made files share, with its pages.
    `sharings(history)` yields them; `files_of` names its two files.
  * `is_foreign(oracle, look, name, word, seen)`: the value was never the word's own.
  * `owner_of_shared(...)`: the rule that a wrong word belongs to, if it is one on
    sharing.
"""

from collections.abc import Iterator

import attrs

from conformance.interface import Clone, Dedupe, DeviceRead, Operation
from conformance.oracle.admissible import Oracle
from conformance.oracle.history import Call, History
from conformance.oracle.layout import PageName

ISOLATE = "SNAP-ISOLATE"
DEDUPE = "SNAP-DEDUPE"
SHARING_OWNERS = frozenset({ISOLATE, DEDUPE})
"""The rules on sharing that own losses."""


@attrs.frozen
class Shared:
    """A call that may have made pages of files share blocks."""

    call: Call
    operation: Clone | Dedupe

    def concerns(self, name: PageName) -> bool:
        """Whether a page is among those that may share."""
        file, page = name
        match self.operation:
            case Clone(source, clone):
                return file in {source, clone}
            case Dedupe(source, first, other, other_first, pages):
                ends = (source, first), (other, other_first)
                return any(
                    file == of and begin <= page < begin + pages for of, begin in ends
                )


def files_of(operation: Operation) -> tuple[int, ...]:
    """Return the two files that a Clone or Dedupe is about."""
    match operation:
        case Clone(source, clone):
            return source, clone
        case Dedupe(file=source, other=other):
            return source, other
        case _:
            return ()


def sharings(history: History) -> Iterator[Shared]:
    """Yield each Clone, and each Dedupe that may have found its ranges equal."""
    for call, operation in history.asked(Clone, Dedupe):
        if not call.refused and (call.is_pending or call.result != 0):
            yield Shared(call, operation)


def clone_of(history: History, file: int) -> Shared | None:
    """Return the Clone that made a file; None: it is none's."""
    for shared in sharings(history):
        made = shared.operation
        if isinstance(made, Clone) and made.clone == file:
            return shared
    return None


def is_foreign(
    oracle: Oracle, look: Call, name: PageName, word: int, seen: int
) -> bool:
    """Tell whether a word shows a stamp that it cannot ever have held."""
    return seen >= 0 and seen not in oracle.values(*name, word, -1, look.ended)


def owner_of_shared(
    oracle: Oracle, look: Call, name: PageName, word: int, seen: int
) -> str | None:
    """Return the rule on sharing that a loss belongs to; None: another chapter's.

    Where writes to the disk were made to fail, what a page goes back to may be
    anything that the disk held.
    """
    if isinstance(look.operation, DeviceRead) or oracle._durability.has_failures:
        return None
    earlier = [
        shared
        for shared in sharings(oracle.history)
        if shared.call.asked < look.ended and shared.concerns(name)
    ]
    if not earlier or not is_foreign(oracle, look, name, word, seen):
        return None
    is_cloned = any(isinstance(shared.operation, Clone) for shared in earlier)
    return ISOLATE if is_cloned else DEDUPE
