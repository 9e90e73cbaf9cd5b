"""A line on the terminal that shows that a long engine is alive."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest

BETWEEN_SECONDS = 0.2
"""The line changes at most five times in a second; what is over by then has none."""
WIDTH_MAX = 78
"""Of a line that can be rewritten on any terminal."""


@attrs.define(eq=False)
class Progress:
    """Shows what one engine is doing; nothing where nobody looks on."""

    config: pytest.Config
    name: str
    clock: Callable[[], float] = time.monotonic
    _is_shown: bool = False
    _last: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._last = self.clock()

    def __call__(self, words: str) -> None:
        """Show a few words."""
        now = self.clock()
        if now - self._last < BETWEEN_SECONDS:
            return
        self._last = now
        self._rewrite(f"{self.name}: {words}"[:WIDTH_MAX])
        self._is_shown = True

    def end(self) -> None:
        """Remove the line."""
        if self._is_shown:
            self._rewrite("")

    def _rewrite(self, line: str) -> None:
        plugins = self.config.pluginmanager
        terminal: Any = plugins.getplugin("terminalreporter")
        if terminal is None or not terminal.isatty:
            return
        capture: Any = plugins.getplugin("capturemanager")
        with (
            capture.global_and_fixture_disabled()
            if capture
            else contextlib.nullcontext()
        ):
            if not self._is_shown:
                terminal.ensure_newline()
            terminal.rewrite(line, erase=True)
            if not line:
                terminal.write("\r", flush=True)
