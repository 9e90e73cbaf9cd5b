"""A program without end: made small, printed, stored, and run again when asked for."""

import json
from pathlib import Path

import pytest

from tests.pytest_gup.conftest import Run

TURNING = """
import os, time
from conformance.interface import Step
from reference_impl import boot as boot_good

class Turning:
    def __init__(self, stack):
        self.stack = stack

    def __getattr__(self, name):
        return getattr(self.stack, name)

    def store(self, **given):
        yield from self.stack.store(**given)
        while not os.path.exists("healed"):
            yield Step("disk.request_taken")

def boot(setup):
    return Turning(boot_good(setup))
"""
TURNS = "--gup-impl=turning"
SEARCH = "--gup-engines=explorer", "--gup-time=0.3", "--gup-rules=CNT-*"


@pytest.fixture
def turning(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make an implementation whose store never comes to its end, until it is healed."""
    monkeypatch.setattr("conformance.engines.invocation.STEPS_MAX", 500)
    pytester.makepyfile(turning=TURNING)
    return project


@pytest.fixture
def stored(quick: Run, turning: Path) -> Path:
    """Return the file of a program without end."""
    quick(TURNS, *SEARCH)
    (path,) = (turning / ".gup").glob("*.json")
    return path


def test_it_is_made_small_and_stored(quick: Run, turning: Path) -> None:
    """With the command that runs it again; so does the report."""
    result = quick(TURNS, *SEARCH, "--gup-report=out.jsonl")

    (path,) = (turning / ".gup").glob("*.json")
    result.stdout.fnmatch_lines(
        [
            "explorer: * drawn programs hit a bound and say nothing: *",
            "without end",
            f"  {path.stem}  500 steps without waiting, * Store(*) (operation 0)",
            f"            pytest {TURNS} --gup-replay={path.stem}",
        ]
    )
    (record,) = (
        record
        for record in map(json.loads, (turning / "out.jsonl").read_text().splitlines())
        if record["record"] == "lost"
    )
    found = json.loads(path.read_text())
    assert record["program"] == found["program"]
    assert [each["op"] for each in found["program"]["operations"]] == ["store"]
    assert found["endless"]


def test_a_replay_shows_it(quick: Run, stored: Path) -> None:
    """As Python, with its timeline; it is no failure, for no rule was violated."""
    result = quick(f"--gup-replay={stored.stem}")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            f"gup: turning; *replay of {stored.stem} (endless)",
            "replay: the only program hit a bound and says nothing: *",
            "  program = Program(",
            "          Store(),",
            "  0: store() -> never answered*",
            f"did not come to its end again: {stored.stem} (endless)",
        ]
    )


def test_a_replay_that_comes_to_its_end(
    quick: Run, turning: Path, stored: Path
) -> None:
    """Nothing is forgotten: it may be another bound the next time."""
    (turning / "healed").touch()

    result = quick(f"--gup-replay={stored.stem}")

    word = "came to its end this time"
    result.stdout.fnmatch_lines([f"{word}: {stored.stem} (endless)"])
    assert stored.exists()


def test_it_is_not_run_by_itself(quick: Run, turning: Path, stored: Path) -> None:
    """It would take verdicts away from every run to come."""
    (turning / "healed").touch()

    result = quick(TURNS, "--gup-engines=scenarios")

    result.stdout.no_fnmatch_line(f"*{stored.stem}*")
    assert stored.exists()


def test_one_that_had_to_be_ended_is_stored_as_it_was(
    quick: Run, turning: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To try smaller ones would take as long for each."""
    monkeypatch.setattr("pytest_gup.connect.STALL_SECONDS", 0.5)
    file = turning / "turning.py"
    file.write_text(TURNING.replace('yield Step("disk.request_taken")', "pass"))

    result = quick(TURNS, *SEARCH)

    (path,) = (turning / ".gup").glob("*.json")
    result.stdout.fnmatch_lines(
        [f"  {path.stem}  a program ran for more than * s: a drawn program, asked *"]
    )
    found = json.loads(path.read_text())
    assert found["program"]["operations"][-1]["op"] == "store"
    assert not found["minimal"]

    again = quick(f"--gup-replay={path.stem}")

    word = "did not come to its end again"
    again.stdout.fnmatch_lines([f"{word}: {path.stem} (endless)"])
