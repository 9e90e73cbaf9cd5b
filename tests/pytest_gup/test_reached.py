"""Which lines of an implementation the rules exercise, as a user sees it."""

import json
import sys
from pathlib import Path

import pytest

from tests.pytest_gup.conftest import Run

MINE = """
from tests.second_stack import Stack, boot as boot_good

class Mine(Stack):
    __slots__ = ()

    def get_user_pages(self, process, mapping, page, pages, pin, write, longterm=False):
        if page == 77:
            return never()
        given = process, mapping, page, pages, pin, write
        return Stack.get_user_pages(self, *given, longterm=longterm)

def never():
    return 0

def boot(setup):
    stack = boot_good(setup)
    stack.__class__ = Mine
    return stack
"""

TABLE = """\
file     lines  reached        rules  not reached by any rule
mine.py      8        6  75 %      1  8,13
all          8        6  75 %      1
"""
PER_RULE = """\
rule       lines  alone
LT-REFUSE      6      6
"""


@pytest.fixture(autouse=True)
def mine(project: Path, pytester: pytest.Pytester) -> None:
    """Write an implementation with a part that no rule comes to."""
    pytester.makepyfile(mine=MINE)


def records(project: Path) -> list[dict[str, object]]:
    """Return the report."""
    text = (project / "out.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_the_table_lists_what_no_rule_reached(quick: Run) -> None:
    """Only what stands in functions counts."""
    result = quick("--gup-impl=mine", "--gup-cov=mine")

    result.stdout.fnmatch_lines(["*= gup: lines of mine on mine =*"])
    result.stdout.fnmatch_lines(TABLE.splitlines(), consecutive=True)
    result.stdout.no_fnmatch_line("rule * alone")


def test_each_rule_has_its_line_when_asked_for(quick: Run) -> None:
    """How many lines it came to, and how many no other rule did."""
    result = quick("--gup-impl=mine", "--gup-cov=mine", "-v")

    result.stdout.fnmatch_lines(PER_RULE.splitlines(), consecutive=True)


def test_the_report_has_a_record_for_each_file(quick: Run, project: Path) -> None:
    """After the rules and before the end."""
    quick("--gup-impl=mine", "--gup-cov=mine", "--gup-report=out.jsonl")

    found = records(project)
    assert [r["record"] for r in found] == ["run", "rule", "coverage", "end"]
    assert found[0]["cov"] == ["mine"]
    assert found[2] == {
        "record": "coverage",
        "implementation": "mine",
        "package": "mine",
        "file": "mine.py",
        "lines": 8,
        "reached": 6,
        "not_reached": "8,13",
        "rules": {"LT-REFUSE": "7,9-10,16-18"},
    }


def test_a_rule_that_never_came_up_reached_nothing(quick: Run) -> None:
    """Whatever else was run."""
    result = quick("--gup-impl=mine", "--gup-cov=mine", "--gup-rules=ANON-EXCL")

    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["mine.py      8        0   0 %      0  all of it"])


LATE = """
BIAS = 1024

class Late:
    limit = 4

    def bias(self):
        return BIAS

    def never(self):
        return 0
"""


def test_what_runs_on_import_is_not_exercised(
    quick: Run, pytester: pytest.Pytester, project: Path
) -> None:
    """Not even where a module is imported in the middle of a program."""
    pytester.makepyfile(late=LATE)
    given = "given = process, mapping, page, pages, pin, write"
    text = MINE.replace(given, f"import late; late.Late().bias(); {given}")
    (project / "mine.py").write_text(text)

    result = quick("--gup-impl=mine", "--gup-cov=late", "--gup-report=out.jsonl")

    result.stdout.fnmatch_lines(["late.py      2        1  50 %      1  10"])
    (found,) = (r for r in records(project) if r["record"] == "coverage")
    assert found["rules"] == {"LT-REFUSE": "7"}


@pytest.mark.slow
def test_workers_add_up(quick_elsewhere: Run, project: Path) -> None:
    """The table is the same."""
    args = "--gup-impl=mine", "--gup-cov=mine", "--gup-report=out.jsonl"

    result = quick_elsewhere(*args, "-n", "2")

    result.stdout.fnmatch_lines(TABLE.splitlines(), consecutive=True)
    assert [r["record"] for r in records(project)].count("coverage") == 1


@pytest.mark.slow
def test_a_package_has_a_line_for_each_file(
    quick: Run, pytester: pytest.Pytester
) -> None:
    """Several may be named, in the ini file, too; a broken file has no statements."""
    pytester.makeini("[pytest]\ngup_cov = mine, tests.second_stack\n")

    result = quick("--gup-impl=mine")

    result.stdout.fnmatch_lines(
        [
            "*= gup: lines of mine, tests.second_stack on mine =*",
            "mine.py *",
            "second_stack/volume.py * *",
            "all *",
        ]
    )


@pytest.mark.slow
def test_a_replay_shows_its_lines(quick: Run, project: Path) -> None:
    """Those of one program."""
    quick("--gup-impl=broken:grants_longterm")
    (path,) = (project / ".gup").glob("*.json")

    result = quick(f"--gup-replay={path.stem}", "--gup-cov=broken")

    result.stdout.fnmatch_lines(["broken.py * 1  *"])


@pytest.mark.parametrize("name", ["nosuch", "nosuch.part", "sys", "good.part"])
def test_what_cannot_be_found_is_one_sentence(quick: Run, name: str) -> None:
    """Or has no source."""
    result = quick("--gup-impl=good", f"--gup-cov={name}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = "there is no package or module of this name with Python source; name one"
    result.stderr.fnmatch_lines([f"ERROR: --gup-cov={name}: {words} that can be *"])


def test_what_measures_may_be_missing(
    quick: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "coverage", None)

    result = quick("--gup-impl=good", "--gup-cov=good")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = "coverage is not installed; pip install 'pytest-gup[[]cov]'"
    result.stderr.fnmatch_lines([f"ERROR: --gup-cov=good: {words}"])


def test_nobody_asked(quick: Run) -> None:
    """No table, and nothing is measured."""
    result = quick("--gup-impl=mine")

    result.stdout.no_fnmatch_line("*lines of*")
