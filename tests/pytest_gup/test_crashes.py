"""A crash that was found: printed, stored, run again, forgotten when fixed."""

import json
from pathlib import Path

import pytest

from pytest_gup.corpus import read
from tests.pytest_gup.conftest import Run

BREAKING = """
import os
from broken import Stack, but, boot_good

def how():
    raise RuntimeError("no such thing")

def get_user_pages(self, process, mapping, page, pages, pin, write, longterm):
    if os.path.exists("healed"):
        given = process, mapping, page, pages, pin, write
        return Stack.get_user_pages(self, *given, longterm=longterm)
    return how()

boot = but(get_user_pages=get_user_pages)
"""

RAISING = 'raise RuntimeError("no such thing")'
HOW = pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (RAISING, "GetUserPages* raised RuntimeError: no such thing"),
        ("os._exit(3)", "its process ended with exit status 3"),
    ],
)
CRASHES = "--gup-impl=breaking"
SEARCH = "--gup-engines=explorer", "--gup-rules=CNT-*"


@pytest.fixture
def breaking(pytester: pytest.Pytester, project: Path) -> Path:
    """Make an implementation that raises until it is healed."""
    pytester.makepyfile(breaking=BREAKING)
    return project


@pytest.fixture
def stored(quick: Run, breaking: Path) -> Path:
    """Return the file of a crash that was found."""
    quick(CRASHES)
    (path,) = (breaking / ".gup").glob("*.json")
    return path


@HOW
def test_a_crash_is_stored_and_its_program_printed(
    quick: Run, breaking: Path, how: str, sentence: str
) -> None:
    """Small, as Python, with the command that runs it again; so does the report."""
    file = breaking / "breaking.py"
    file.write_text(BREAKING.replace(RAISING, how))

    result = quick(CRASHES, "--gup-report=out.jsonl", "-k", "LT-REFUSE")

    (path,) = (breaking / ".gup").glob("*.json")
    again = f"pytest {CRASHES} --gup-replay={path.stem}"
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        [
            f"LT-REFUSE: breaking crashed: {sentence}",
            f"  program   {path.stem}, 1 operation",
            f"  again     {again}",
            "program = Program(",
            "        GetUserPages*,",
            "crashed",
            f"  {path.stem}  {sentence}",
            f"            {again}",
        ]
    )
    records = map(json.loads, (breaking / "out.jsonl").read_text().splitlines())
    (crash,) = (record["crash"] for record in records if "crash" in record)
    stored = json.loads(path.read_text())
    assert (crash["id"], crash["replay"]) == (path.stem, again)
    assert crash["program"] == stored["program"]
    assert crash["minimal"] is stored["minimal"] is True
    assert len(crash["program"]["operations"]) == 1


@pytest.mark.slow
@HOW
def test_one_that_concerns_many_rules_is_stored_once(
    quick: Run, breaking: Path, how: str, sentence: str
) -> None:
    """Each node shows it; the end of the run names it once."""
    (breaking / "breaking.py").write_text(BREAKING.replace(RAISING, how))

    result = quick(CRASHES, *SEARCH, "--gup-time=0.5")

    (path,) = (breaking / ".gup").glob("*.json")
    assert result.parseoutcomes()["failed"] > 3
    named = [line for line in result.outlines if line.startswith(f"  {path.stem}  ")]
    assert len(named) == 1
    assert json.loads(path.read_text())["crashed"] == []


@pytest.mark.slow
def test_workers_of_xdist_store_it_once(quick_elsewhere: Run, stored: Path) -> None:
    """The content has its name wherever it is found."""
    stored.unlink()

    quick_elsewhere(CRASHES, "-n", "2")

    (path,) = stored.parent.glob("*.json")
    assert path == stored


# --- again ----------------------------------------------------------------------------


def test_a_replay_that_crashes_again(quick: Run, stored: Path) -> None:
    """Is a failure, and says so."""
    result = quick(f"--gup-replay={stored.stem}", "-v")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"gup: breaking; *replay of {stored.stem} (crash)",
            f"crashed again: {stored.stem} (crash)",
        ]
    )


def test_a_replay_that_does_not(quick: Run, breaking: Path, stored: Path) -> None:
    """Nothing is forgotten: it may crash the next time."""
    (breaking / "healed").touch()

    result = quick(f"--gup-replay={stored.stem}")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"did not crash this time: {stored.stem} (crash)"])
    result.stdout.no_fnmatch_line("crashed again: *")
    assert stored.exists()


def test_what_crashed_is_tried_first(quick: Run, stored: Path) -> None:
    """And crashes for the same rules."""
    before = stored.read_text()

    first = quick(CRASHES, "-v")

    assert first.parseoutcomes()["failed"] == 1
    first.stdout.fnmatch_lines([f"  scenario  stored {stored.stem}"])
    assert stored.read_text() == before
    assert list(stored.parent.glob("*.json")) == [stored]


@pytest.mark.slow
@pytest.mark.parametrize("corpus", [(), ("--gup-corpus=.gup",)])
def test_what_is_fixed_is_dropped(
    quick: Run, breaking: Path, stored: Path, corpus: tuple[str, ...]
) -> None:
    """With a word about it; a folder that was named keeps it."""
    (breaking / "healed").touch()

    result = quick(CRASHES, *corpus)

    word = "no longer crashes" if corpus else "fixed"
    result.stdout.fnmatch_lines([f"{word}: {stored.stem} (crash)"])
    assert stored.exists() == bool(corpus)


@pytest.mark.slow
def test_shrinking_goes_on(quick: Run, stored: Path) -> None:
    """The earlier id still finds it."""
    record = json.loads(stored.read_text())
    record["program"]["operations"][:0] = [{"op": "load"}, {"op": "load", "page": 1}]
    longer = stored.with_name("longer.json")
    longer.write_text(json.dumps({**record, "minimal": False}))
    stored.unlink()
    before = read(longer).id

    first = quick("--gup-replay=longer")
    again = quick(f"--gup-replay={before}")

    word = f"{before} (crash) is {stored.stem} now (3 -> 1 operations)"
    first.stdout.fnmatch_lines([f"made smaller: {word}"])
    again.assert_outcomes(failed=1)
    assert list(stored.parent.glob("*.json")) == [stored]
