"""Which lines of an implementation a program runs.

The measuring is done by `coverage`, which is imported only when a recorder is made:
by `sys.monitoring` where Python has it, else by its tracer in C. Lines that run when a
module is imported are not seen; the implementation is there before the first program.

Interface:
  * `recorder(sources)` makes a recorder, or one that records nothing if there are none.
  * `start()` before a program, `stop()` after it: the lines that ran in between.
"""

import sys
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

Line = tuple[str, int]
"""A file, by its full path, and a line of it, from 1."""
Lines = frozenset[Line]

NO_LINES: Lines = frozenset()
HAS_MONITORING = sys.version_info >= (3, 12)
EXPECTED = ["no-data-collected", "no-sysmon", "module-not-measured"]
"""Warnings of `coverage` about what is as it should be here."""


class Recorder(Protocol):
    """Records the lines of one program after the other."""

    def start(self) -> None:
        """Record from now on."""
        ...

    def stop(self) -> Lines:
        """Record no more, and return the lines that ran since `start`."""
        ...


class Nobody:
    """Records nothing, and costs nothing."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> Lines:
        """Return nothing."""
        return NO_LINES


@attrs.define(eq=False)
class CoverageRecorder:
    """Records by `coverage`, kept apart from any other that is at work."""

    sources: Sequence[str]
    """Files, or folders with `/*` behind them."""
    _coverage: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        from coverage import Coverage  # noqa: PLC0415 - an extra, and seldom wanted

        self._coverage = Coverage(
            data_file=None, config_file=False, include=list(self.sources)
        )
        self._coverage.set_option("run:disable_warnings", EXPECTED)
        if HAS_MONITORING:
            self._coverage.set_option("run:core", "sysmon")

    def start(self) -> None:
        """Record from now on."""
        self._coverage.start()

    def stop(self) -> Lines:
        """Record no more, and return the lines that ran since `start`."""
        self._coverage.stop()
        data = self._coverage.get_data()
        files = data.measured_files()
        lines = frozenset((file, line) for file in files for line in data.lines(file))
        # To erase the data would have everything set up again: three times as slow.
        data.purge_files(files)
        return lines


def recorder(sources: Sequence[str]) -> Recorder:
    """Return what records the lines of these files and folders."""
    return CoverageRecorder(sources) if sources else Nobody()
