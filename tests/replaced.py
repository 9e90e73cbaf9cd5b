"""What of the reference a variant replaces, and where that matters.

A mutant is the reference with other classes for some layers. A run in which the
reference enters none of the functions that they override is the mutant's run, too.

Interface:
  * `replaced(boot)` returns the functions of the reference that a variant overrides, as
    code objects; `None` if it replaces more than functions.
  * `entered(run)` returns the code that a call of `run` enters, beside its result.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar

import attrs

from conformance.interface import Boot
from reference_impl.layers import Parts

T = TypeVar("T")

MADE_BY_ATTRS = "<attrs generated"


def replaced(boot: Boot) -> frozenset[CodeType] | None:
    """Return the code that a variant's classes override."""
    if not isinstance(boot, partial) or set(boot.keywords) != {"parts"}:
        return None
    parts = boot.keywords["parts"]
    found: set[CodeType | None] = set()
    for field in attrs.fields(Parts):
        usual, other = field.default, getattr(parts, field.name)
        if other is usual:
            continue
        if not (isinstance(usual, type) and isinstance(other, type)):
            return None
        found |= {_code(usual, name) for name in _overridden(usual, other)}
    known = {code for code in found if code is not None}
    return frozenset(known) if len(known) == len(found) else None


def _overridden(usual: type, other: type) -> Iterator[str]:
    """Yield what a subclass has of its own and its base has as well."""
    for cls in other.__mro__[: other.__mro__.index(usual)]:
        for name, value in vars(cls).items():
            if _is_dunder(name):
                code = getattr(value, "__code__", None)
                if code is None or code.co_filename.startswith(MADE_BY_ATTRS):
                    continue
            if hasattr(usual, name):
                yield name


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _code(cls: type, name: str) -> CodeType | None:
    """Return the code of a method or property; `None` if it is something else."""
    value = getattr(cls, name)
    if isinstance(value, property):
        value = value.fget
    return value.__code__ if isinstance(value, FunctionType) else None


def entered(run: Callable[[], T]) -> tuple[T, frozenset[CodeType]]:
    """Run something and return what it returned and all code that it entered."""
    codes: set[CodeType] = set()

    def on_event(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            codes.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        result = run()
    finally:
        sys.setprofile(before)
    return result, frozenset(codes)
