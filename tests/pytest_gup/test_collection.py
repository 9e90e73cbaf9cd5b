"""Our nodes beside the user's tests: in any folder, however pytest is called."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_gup import suite
from tests.pytest_gup.conftest import Run

SCENARIOS = "conformance/test_rules.py::test_rule[good-scenarios-LT-REFUSE]"
ALL = {"passed": 2, "skipped": 1}
"""The user's test, the rule by scenarios; the search has no time."""


def nodes(result: pytest.RunResult) -> list[str]:
    """Return the ids that were collected."""
    return [line for line in result.outlines if "::" in line]


def test_ids_name_implementation_engine_and_rule(quick: Run) -> None:
    """The user's tests come first."""
    result = quick("--gup-impl=good", "--collect-only", "-q")

    assert nodes(result) == [
        "test_mine.py::test_mine",
        "conformance/test_rules.py::test_rule[good-scenarios-LT-REFUSE]",
        "conformance/test_rules.py::test_rule[good-explorer-LT-REFUSE]",
    ]


def test_collecting_boots_nothing(quick: Run, pytester: pytest.Pytester) -> None:
    """An editor that only lists tests is quick, and writes no report."""
    pytester.makepyfile(bad="def boot(setup): raise OSError")

    result = quick("--gup-impl=bad", "--collect-only", "-q", "--gup-report=out.jsonl")

    assert result.ret == pytest.ExitCode.OK
    assert not (pytester.path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("args", "outcomes"),
    [
        (["test_mine.py"], ALL),
        (["."], ALL),
        (["-k", "LT-REFUSE"], {"passed": 1, "skipped": 1, "deselected": 1}),
        (["-k", "scenarios"], {"passed": 1, "deselected": 2}),
        (["-k", "test_mine"], {"passed": 1, "deselected": 2}),
        (["-p", "no:cacheprovider"], ALL),
        (["-W", "error"], ALL),
        (["--import-mode=importlib"], ALL),
        (["--doctest-modules"], ALL),
        (["--deselect", "conformance/test_rules.py"], {"passed": 1, "deselected": 2}),
        (["test_mine.py::test_mine"], {"passed": 1}),
        ([SCENARIOS], {"passed": 1}),
        (["test_mine.py::test_mine", SCENARIOS], {"passed": 2}),
        (["conformance/test_rules.py"], {"passed": 1, "skipped": 1}),
        (["conformance/test_rules.py::test_rule"], {"passed": 1, "skipped": 1}),
        ([str(suite.TEST_FILE)], {"passed": 1, "skipped": 1}),
        ([f"{suite.HOME}/{SCENARIOS}"], {"passed": 1}),
        (["test_mine.py", str(suite.TEST_FILE.parent / "rules")], ALL),
        (["test_mine.py", "--pyargs", "conformance"], ALL),
    ],
)
def test_ways_to_choose(quick: Run, args: list[str], outcomes: dict[str, int]) -> None:
    """Paths, ids as pytest and editors write them, keywords, import modes."""
    quick("--gup-impl=good", *args).assert_outcomes(**outcomes)


@pytest.mark.parametrize("node", ["test_rule[good-scenarios-NO-RULE]", "test_other"])
def test_a_node_that_is_not_there(quick: Run, node: str) -> None:
    """It is said so, and what decides which nodes there are."""
    result = quick("--gup-impl=good", f"conformance/test_rules.py::{node}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: not found: conformance/*--gup-rules say *"])


def test_a_single_test_of_the_users_connects_nothing(
    quick: Run, pytester: pytest.Pytester
) -> None:
    """With an implementation in the ini file, an editor still runs just that test."""
    pytester.makeini("[pytest]\ngup_impl = nowhere\n")

    quick("test_mine.py::test_mine").assert_outcomes(passed=1)


INI = """
[pytest]
python_files = check_*.py test_mine.py
python_functions = check_* test_mine
python_classes = Check
norecursedirs = nothing
gup_impl = good
"""


def test_the_users_names_do_not_matter(quick: Run, pytester: pytest.Pytester) -> None:
    """Ours are collected whatever theirs are called."""
    pytester.makeini(INI)

    quick().assert_outcomes(**ALL)


def test_the_rootdir_may_be_elsewhere(
    quick: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A node can be named as it is printed, which is from here."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    rootdir = f"--rootdir={elsewhere}"

    result = quick("--gup-impl=good", rootdir, "-v")
    printed = next(line for line in result.outlines if "scenarios-LT-REFUSE" in line)
    again = quick("--gup-impl=good", rootdir, printed.split()[0])

    result.assert_outcomes(**ALL)
    assert printed.startswith("../elsewhere0/conformance/test_rules.py::test_rule[")
    again.assert_outcomes(passed=1)


def test_a_folder_without_tests(quick: Run, pytester: pytest.Pytester) -> None:
    """The suite is there although the project has no test of its own."""
    (pytester.path / "test_mine.py").unlink()

    quick("--gup-impl=good").assert_outcomes(passed=1, skipped=1)


def test_last_failed(quick: Run, pytester: pytest.Pytester) -> None:
    """--lf runs what failed, of theirs and of ours."""
    pytester.makepyfile(
        test_theirs="def test_bad(): assert False\ndef test_good(): pass\n"
    )
    quick("--gup-impl=broken:crashes").assert_outcomes(passed=2, failed=2, skipped=1)

    again = quick("--gup-impl=broken:crashes", "--lf")

    again.assert_outcomes(failed=2)


MIXED = """
import conformance
from conformance import helper, inner

def test_theirs():
    assert helper() == 42
    assert inner.NAME == "inner"

def test_later():
    from conformance.inner import NAME
    assert NAME == "inner"
"""


@pytest.fixture
def own_package(project: Path) -> Callable[..., None]:
    """Make a folder `conformance` of the user's, a package or not."""

    def make(*, is_package: bool) -> None:
        folder = project / "conformance"
        folder.mkdir()
        (folder / "test_rules.py").write_text("def test_rule(): pass\n")
        (folder / "conftest.py").write_text("")
        if is_package:
            (folder / "__init__.py").write_text("def helper(): return 42\n")
            (folder / "inner.py").write_text("NAME = 'inner'\n")
            (folder / "test_mixed.py").write_text(MIXED)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "is_package", "passed"),
    [
        ([], True, 5),
        ([], False, 3),
        (["--import-mode=importlib"], True, 5),
        (["conformance"], True, 4),
        (["conformance/test_rules.py::test_rule"], True, 1),
        ([SCENARIOS], True, 1),
    ],
)
def test_a_folder_of_the_same_name(
    quick_elsewhere: Run,
    own_package: Callable[..., None],
    args: list[str],
    is_package: bool,
    passed: int,
) -> None:
    """Their tests run, with their modules; ours run, too."""
    own_package(is_package=is_package)

    result = quick_elsewhere("--gup-impl=good", *args)

    outcomes = result.parseoutcomes()
    outcomes.pop("skipped", None)
    assert outcomes == {"passed": passed}


@pytest.mark.slow
@pytest.mark.parametrize("is_package", [True, False])
def test_a_folder_of_the_same_name_first_on_the_path(
    project: Path,
    pytester: pytest.Pytester,
    own_package: Callable[..., None],
    is_package: bool,
) -> None:
    """`python -m pytest` puts the user's folder before ours."""
    own_package(is_package=is_package)

    result = pytester.run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("--gup-impl=good", "--gup-rules=LT-REFUSE", "--gup-time=0"),
    )

    outcomes = pytest.RunResult.parse_summary_nouns(result.outlines)
    assert outcomes == {"passed": 5 if is_package else 3, "skipped": 1}


@pytest.mark.slow
def test_installed_inside_of_the_project(
    project: Path, pytester: pytest.Pytester
) -> None:
    """As a wheel is, in a virtual environment that lies in the project's folder."""
    packages = project / ".venv" / "lib" / "site-packages"
    for name in ("conformance", "pytest_gup", "reference_impl", "tests"):
        shutil.copytree(
            suite.HOME / name, packages / name, ignore=shutil.ignore_patterns("test_*c")
        )
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    pytester.makeini(INI)

    result = pytester.run(
        *(
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(packages)!r})\n{MAIN}",
        ),
    )

    assert pytest.RunResult.parse_summary_nouns(result.outlines) == ALL
    result.stdout.fnmatch_lines([f"suite in {packages}/conformance/__init__.py"])


MAIN = """
import os, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ.pop("PYTHONPATH")
code = pytest.main([
    "-q", "-p", "pytest_gup.plugin", "--gup-rules=LT-REFUSE", "--gup-time=0", "."
])
import conformance
print("suite in", conformance.__file__)
sys.exit(code)
"""


def test_our_file_without_an_implementation(
    pytester: pytest.Pytester, project: Path
) -> None:
    """Somebody collects it by hand: it says what is missing."""
    result = pytester.runpytest_inprocess("-rs", str(suite.TEST_FILE))

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*name an implementation: pytest --gup-impl*"])


@pytest.mark.slow
def test_workers_of_xdist(quick_elsewhere: Run) -> None:
    """Each collects the same nodes; those of an engine are a group."""
    result = quick_elsewhere("--gup-impl=good", "-n", "2", "--dist=loadgroup")

    result.assert_outcomes(**ALL)


def test_nodes_of_an_engine_are_a_group(quick: Run, pytester: pytest.Pytester) -> None:
    """With `--dist loadgroup`, xdist can run them in one worker."""
    pytester.makeconftest(
        "def pytest_collection_finish(session):\n"
        "    for item in session.items:\n"
        "        for mark in item.iter_markers('xdist_group'):\n"
        "            print('group', mark.kwargs['name'])\n"
    )

    grouped = quick("--gup-impl=good", "--collect-only")
    plain = quick("--gup-impl=good", "--collect-only", "-p", "no:xdist")

    grouped.stdout.fnmatch_lines(["group good-scenarios", "group good-explorer"])
    plain.stdout.no_fnmatch_line("group *")
