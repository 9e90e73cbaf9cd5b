"""Our nodes beside the user's own.

The nodes are not found by walking folders: whichever files and folders pytest is
told to collect, and whichever names it is told to look for, they are added when
everything else has been collected.

Interface:
  * `Case` is what a node is about; `case.name` is the node's name.
  * `collect(session, cases, directories)` makes the nodes.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from conformance.rules.rule import Rule
from conformance.scenarios.races import RACED
from pytest_gup.connect import Implementation
from pytest_gup.selection import FUNCTION, NODE_ID
from pytest_gup.suite import TEST_FILE


@attrs.frozen
class Case:
    """One rule, on one implementation, judged by one engine."""

    implementation: Implementation
    engine: str
    rule: Rule

    @property
    def id(self) -> str:
        """What stands in the brackets of the node's name."""
        return f"{self.implementation.id}-{self.engine}-{self.rule.id}"

    @property
    def name(self) -> str:
        """The node's name."""
        return f"{FUNCTION}[{self.id}]"


def cases_of(
    implementations: Iterable[Implementation],
    engines_of: Callable[[Implementation], Sequence[str]],
    rules: Sequence[Rule],
) -> list[Case]:
    """Return all cases, in the order in which they are run."""
    return [
        Case(implementation, engine, rule)
        for implementation in implementations
        for engine in engines_of(implementation)
        for rule in rules
        if engine != "schedules" or rule.id in RACED
    ]


class RulesModule(pytest.Module):
    """The file of our nodes."""

    cases: Sequence[Case] = ()

    def _getobj(self) -> ModuleType:
        """Load it by its path: by name it could be a file of the user's."""
        spec = importlib.util.spec_from_file_location("gup_test_rules", TEST_FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def collect(
    session: pytest.Session,
    cases: Sequence[Case],
    directories: Mapping[Path, pytest.Directory],
) -> Iterator[pytest.Item]:
    """Make the nodes of cases; an implementation's stand together."""
    for folder, group in groupby(cases, lambda case: case.implementation.folder):
        parent = _parent(session, folder, dict(directories))
        module: RulesModule = RulesModule.from_parent(
            parent, path=TEST_FILE, name=NODE_ID, nodeid=NODE_ID
        )
        module.cases = list(group)
        nodes = list(module.collect())
        for item in (node for node in nodes if isinstance(node, pytest.Item)):
            item.ihook.pytest_itemcollected(item=item)
            yield item
        report = pytest.CollectReport(module.nodeid, "passed", None, nodes)
        module.ihook.pytest_collectreport(report=report)


def _parent(
    session: pytest.Session,
    folder: Path | None,
    directories: dict[Path, pytest.Directory],
) -> pytest.Collector:
    """Return the node of a folder, so that the fixtures of its conftest are seen."""
    root = session.config.rootpath
    if folder is None or not folder.is_relative_to(root) or folder == root:
        return session
    if folder not in directories:
        above = _parent(session, folder.parent, directories)
        node: pytest.Dir = pytest.Dir.from_parent(above, path=folder)
        directories[folder] = node
        node.ihook.pytest_make_collect_report(collector=node)
    return directories[folder]
