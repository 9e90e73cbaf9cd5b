"""Looking at a stack between two operations.

Interface:
  * `Observer.sample(after, parked, pending)` takes all that the stack shows.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs

from conformance.engines.capabilities import Capabilities, ContractError
from conformance.engines.handles import Handles
from conformance.interface import PageView, StatFs, VmStat
from conformance.oracle.history import History, Sample

Shown = TypeVar("Shown")


@attrs.define(eq=False)
class Observer:
    """Takes samples of one stack."""

    stack: object
    capabilities: Capabilities
    history: History
    handles: Handles
    _methods: dict[str, Callable[..., Any] | None] = attrs.field(factory=dict)

    def sample(
        self, after: int, parked: Iterable[int], pending: Iterable[int]
    ) -> Sample:
        """Take what the stack shows now.

        Raises:
            ContractError: it shows something of the wrong type.
        """
        files = [file for file, has_name in self.handles.files.items() if has_name]
        return Sample(
            moment=self.history.tick(),
            after=after,
            pages=self._pages(files),
            pins=self._pins(),
            mapped=self._mapped(),
            mkwrites=self._by_file("page_mkwrite_count", files),
            mtimes=self._by_file("mtime", files),
            vmstat=self._shown("vmstat", VmStat) or VmStat(),
            statfs=self._shown("statfs", StatFs),
            parked=frozenset(parked),
            pending=frozenset(pending),
        )

    def _pages(self, files: list[int]) -> dict[tuple[int, int], PageView]:
        view = self._method("page_view")
        if view is None or not self.handles.is_mounted:
            return {}
        return {
            (file, page): _checked(view(file=file, page=page), PageView)
            for file in files
            for page in range(self.capabilities.geometry.file_pages)
        }

    def _pins(self) -> dict[tuple[int, int], PageView]:
        view = self._method("pinned_page_view")
        if view is None:
            return {}
        return {
            (handle, page): _checked(view(pin=handle, page=page), PageView)
            for handle, pin in self.handles.pins.items()
            for page in sorted(pin.unput)
        }

    def _mapped(self) -> dict[tuple[int, int, int], PageView]:
        view = self._method("mapped_page_view")
        if view is None:
            return {}
        return {
            (process, mapping, page): _checked(
                view(process=process, mapping=mapping, page=page), PageView
            )
            for process, mapping in sorted(self.handles.private)
            for page in range(self.handles.mappings[process, mapping] or 0)
        }

    def _by_file(self, name: str, files: list[int]) -> dict[int, int]:
        method = self._method(name)
        if method is None or not self.handles.is_mounted:
            return {}
        return {file: _checked(method(file=file), int) for file in files}

    def _shown(self, name: str, kind: type[Shown]) -> Shown | None:
        method = self._method(name)
        if method is None or (name == "statfs" and not self.handles.is_mounted):
            return None
        return _checked(method(), kind)

    def _method(self, name: str) -> Callable[..., Any] | None:
        if name not in self._methods:
            is_offered = name in self.capabilities.observations
            self._methods[name] = getattr(self.stack, name) if is_offered else None
        return self._methods[name]


def _checked(value: object, kind: type[Shown]) -> Shown:
    if not isinstance(value, kind):
        raise ContractError(f"showed {value!r} (should be a {kind.__name__})")
    return value
