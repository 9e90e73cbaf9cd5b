"""A stack that does nothing and shows nothing: what is left is the engine's time."""

from typing import Any

from conformance.interface import OPERATIONS, FileImage, PowerCutImage, Setup

ANSWERS = {
    **dict.fromkeys(("load", "device_read", "mirror_read"), 0),
    "power_cut": PowerCutImage({0: FileImage((0,) * 8)}),
    "read": (0, 0),
}
COUNTS = frozenset(
    {
        *("get_user_pages", "get_user_pages_fast", "direct_read", "direct_write"),
        *("device_transfer", "dedupe"),
    }
)
"""Operations that answer with a number of pages."""


class NullStack:
    """Answers every operation at once, with the first thing that is allowed."""


def _method(name: str) -> Any:  # noqa: ANN401 - a function of any fields
    answer = ANSWERS.get(name)

    def method(_: NullStack, **fields: Any) -> object:  # noqa: ANN401
        return fields["pages"] if name in COUNTS else answer

    return method


for _name in OPERATIONS:
    setattr(NullStack, _name, _method(_name))


def boot(_: Setup) -> NullStack:
    """Return a stack; nothing is kept in it."""
    return NullStack()
