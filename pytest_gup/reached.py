"""`--gup-cov`: which lines of an implementation the rules exercise, which none does.

A rule exercises the lines that are run in a program in which its premise came up. Only
what stands in functions counts (see `statements.py`).

Interface:
  * `packages_of(config)` finds the packages that were named.
  * `Reached(packages, by_file)` knows the lines of one implementation; `print` shows
    them, `records` gives them to the report.
"""

import contextlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import attrs
import pytest

from conformance.engines.reach import ByFile, as_text, from_text
from pytest_gup import options
from pytest_gup.statements import statements_of


@attrs.frozen
class Package:
    """A package, or a module, whose lines are watched."""

    name: str
    above: Path
    """The folder that it is in."""
    files: tuple[Path, ...]
    sources: tuple[str, ...]
    """Its files and folders as a recorder takes them."""


def packages_of(config: pytest.Config) -> tuple[Package, ...]:
    """Find the packages that were named.

    Raises:
        pytest.UsageError: one cannot be found, or what measures them is missing.
    """
    names = [name.strip() for name in options.text(config, "cov").split(",")]
    found = tuple(_package(name, config) for name in dict.fromkeys(filter(None, names)))
    if found and importlib.util.find_spec("coverage") is None:
        raise pytest.UsageError(
            f"--gup-cov={found[0].name}: coverage is not installed; "
            "pip install 'pytest-gup[cov]'"
        )
    return found


def _package(name: str, config: pytest.Config) -> Package:
    spec = _spec(name, str(config.invocation_params.dir))
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in map(Path, folders):
        files = tuple(sorted(folder.rglob("*.py")))
        return Package(name, folder.parent, files, (f"{folder}/*",))
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise pytest.UsageError(
            f"--gup-cov={name}: there is no package or module of this name with Python "
            "source; name one that can be imported from here"
        )
    file = Path(spec.origin)
    return Package(name, file.parent, (file,), (str(file),))


def _spec(name: str, here: str) -> ModuleSpec | None:
    """Find a package as it is imported by an implementation in this folder."""
    is_missing = here not in sys.path
    if is_missing:
        sys.path.insert(0, here)
    try:
        with contextlib.suppress(ImportError, ValueError):
            return importlib.util.find_spec(name)
        return None
    finally:
        if is_missing:
            sys.path.remove(here)


@attrs.frozen
class FileLines:
    """One file: its statements, and which rule exercised which."""

    package: str
    name: str
    statements: frozenset[int]
    by_rule: dict[str, frozenset[int]]

    @property
    def reached(self) -> frozenset[int]:
        """The statements that some rule exercised."""
        return frozenset().union(*self.by_rule.values())

    @property
    def not_reached(self) -> str:
        """The lines of those that none did."""
        return as_text(self.statements - self.reached)

    def record(self, implementation: str) -> dict[str, Any]:
        """Return it for the report."""
        return {
            "record": "coverage",
            "implementation": implementation,
            "package": self.package,
            "file": self.name,
            "lines": len(self.statements),
            "reached": len(self.reached),
            "not_reached": self.not_reached,
            "rules": {rule: as_text(lines) for rule, lines in self.by_rule.items()},
        }


@attrs.define(eq=False)
class Reached:
    """The lines of one implementation that its rules exercised."""

    packages: Sequence[Package]
    by_file: ByFile

    def records(self, implementation: str) -> Iterator[dict[str, Any]]:
        """Return a record for each file that has functions."""
        for file in self._files():
            yield file.record(implementation)

    def _files(self) -> Iterator[FileLines]:
        for package in self.packages:
            for path in package.files:
                lines = self._lines(package, path)
                if lines.statements:
                    yield lines

    def _lines(self, package: Package, path: Path) -> FileLines:
        try:
            first = statements_of(path)
        except (OSError, SyntaxError):  # nobody has imported it, either
            first = {}
        by_rule = {
            rule: frozenset(first[line] for line in from_text(text) if line in first)
            for rule, text in self.by_file.get(str(path), {}).items()
        }
        return FileLines(
            package.name,
            str(path.relative_to(package.above)),
            frozenset(first.values()),
            {rule: lines for rule, lines in by_rule.items() if lines},
        )

    # --- printing -----------------------------------------------------------------

    def print(self, terminal: pytest.TerminalReporter, implementation: str) -> None:
        """Print a line for each file, and with -v one for each rule."""
        files = list(self._files())
        names = ", ".join(package.name for package in self.packages)
        terminal.section(f"gup: lines of {names} on {implementation}")
        for line in _table(files):
            terminal.line(line)
        if terminal.config.get_verbosity() > 0:
            for line in _rules(files):
                terminal.line(line)


def _table(files: Sequence[FileLines]) -> Iterator[str]:
    """Yield the lines of a table of files."""
    width = max((len(file.name) for file in files), default=0)
    yield f"{'file':<{width}}  lines  reached        rules  not reached by any rule"
    for file in files:
        count, reached = len(file.statements), len(file.reached)
        yield (
            f"{file.name:<{width}}  {_part(count, reached)}  {len(file.by_rule):>5}  "
            f"{file.not_reached if reached else 'all of it'}"
        ).rstrip()
    count = sum(len(file.statements) for file in files)
    reached = sum(len(file.reached) for file in files)
    rules = {rule for file in files for rule in file.by_rule}
    yield f"{'all':<{width}}  {_part(count, reached)}  {len(rules):>5}"


def _part(count: int, reached: int) -> str:
    percent = f"{100 * reached // max(count, 1)} %"
    return f"{count:>5}  {reached:>7} {percent:>5}"


def _rules(files: Sequence[FileLines]) -> Iterator[str]:
    """Yield for each rule how many lines it exercised, and how many no other did."""
    everywhere: dict[str, set[tuple[str, int]]] = {}
    for file in files:
        for rule, lines in file.by_rule.items():
            everywhere.setdefault(rule, set()).update((file.name, n) for n in lines)
    times = Counter(line for lines in everywhere.values() for line in lines)
    width = max(map(len, everywhere), default=0)
    yield ""
    yield f"{'rule':<{width}}  lines  alone"
    for rule, places in sorted(everywhere.items()):
        alone = sum(times[place] == 1 for place in places)
        yield f"{rule:<{width}}  {len(places):>5}  {alone:>5}"
