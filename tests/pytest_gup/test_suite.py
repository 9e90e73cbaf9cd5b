"""Who has the name `conformance` while whose code runs."""

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_gup import plugin, suite

OURS = sys.modules["conformance"]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[suite._Names]:
    """Start as in a fresh process, and leave `sys.modules` as it was."""
    found = suite._Names()
    monkeypatch.setattr(suite, "_NAMES", found)
    before = dict(sys.modules)
    yield found
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def package(folder: Path, name: str = "conformance") -> Path:
    """Make a package of the user's."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    return folder / name


def theirs(folder: Path) -> ModuleType:
    """Return the module of a package of the user's."""
    module = ModuleType("conformance")
    module.__file__ = str(folder / "__init__.py")
    return module


def test_without_another_package_ours_stays(names: suite._Names) -> None:
    """Nothing is ever taken out."""
    suite.import_suite()

    assert not names.gives_way
    with suite.ours():
        assert sys.modules["conformance"] is OURS
    assert sys.modules["conformance"] is OURS


def test_a_package_that_was_there_first_keeps_its_name(
    names: suite._Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours has it only while our code runs."""
    other = theirs(package(tmp_path))
    monkeypatch.setitem(sys.modules, "conformance", other)

    suite.import_suite()

    assert names.gives_way
    assert sys.modules["conformance"] is other
    with suite.ours():
        file = sys.modules["conformance"].__file__
        assert file == str(suite.HOME / "conformance" / "__init__.py")
    assert sys.modules["conformance"] is other


def test_a_package_that_would_be_found_first(
    names: suite._Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not imported yet; it will be."""
    monkeypatch.delitem(sys.modules, "conformance")
    file = package(tmp_path) / "__init__.py"

    def find(name: str) -> ModuleSpec | None:
        return ModuleSpec(name, None, origin=str(file))

    monkeypatch.setattr(importlib.util, "find_spec", find)

    suite.import_suite()

    assert names.gives_way
    assert "conformance" not in sys.modules


@pytest.mark.parametrize("spec", [None, ModuleSpec("conformance", None, origin=None)])
def test_a_folder_that_is_no_package_takes_no_name(
    monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None
) -> None:
    """Python prefers our package to it."""
    monkeypatch.delitem(sys.modules, "conformance")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)

    assert not suite._is_taken("conformance")


def test_a_package_that_turns_up_while_collecting(
    names: suite._Names, tmp_path: Path
) -> None:
    """Ours makes room before theirs is imported; asking twice changes nothing."""
    folder = package(tmp_path)

    suite.give_way(folder)
    suite.give_way(folder)

    assert names.gives_way
    assert "conformance" not in sys.modules
    with suite.ours():
        assert sys.modules["conformance"] is OURS


def test_other_folders_are_no_reason(names: suite._Names, tmp_path: Path) -> None:
    """Another name, no package, a package inside of one, our own."""
    outer = package(tmp_path, "outer")
    (tmp_path / "conformance").mkdir()

    for folder in (
        outer,
        tmp_path / "conformance",
        package(outer),
        suite.HOME / "conformance",
    ):
        suite.give_way(folder)

    assert not names.gives_way


def test_asserts_of_the_suite_are_left_alone(pytester: pytest.Pytester) -> None:
    """Installed as a wheel it acts as it does in a source tree."""
    config = pytester.parseconfig()
    hook: Any = config.pluginmanager.rewrite_hook
    hook.mark_rewrite("conformance", "something_else")

    plugin._leave_asserts_alone(config)

    assert "conformance" not in hook._must_rewrite
    assert "something_else" in hook._must_rewrite
