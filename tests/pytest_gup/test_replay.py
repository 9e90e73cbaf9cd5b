"""A violation that was found: stored, tried first, run again, forgotten when fixed."""

import json
from pathlib import Path

import pytest

from pytest_gup import settings
from pytest_gup.corpus import read
from tests.pytest_gup.conftest import Run

HEALING = """
import os
from broken import grants_longterm
from tests.second_stack import boot as boot_good

def boot(setup):
    return (boot_good if os.path.exists("healed") else grants_longterm)(setup)
"""

ONCE = """
import os
from broken import Stack, but

def get_user_pages(self, process, mapping, page, pages, pin, write, longterm):
    longterm = longterm and os.path.exists("seen")
    open("seen", "w").close()
    given = process, mapping, page, pages, pin, write
    return Stack.get_user_pages(self, *given, longterm=longterm)

boot = but(get_user_pages=get_user_pages)
"""

BAD = "--gup-impl=broken:grants_longterm"


@pytest.fixture
def stored(quick: Run, project: Path) -> Path:
    """Return the file of a violation that was found."""
    quick(BAD)
    (path,) = (project / ".gup").glob("*.json")
    return path


def heal(project: Path, pytester: pytest.Pytester, stored: Path) -> None:
    """Have the violation stored for an implementation that obeys by now."""
    pytester.makepyfile(healing=HEALING)
    record = json.loads(stored.read_text())
    stored.write_text(json.dumps({**record, "implementation": "healing"}))
    (project / "healed").touch()


# --- storing --------------------------------------------------------------------------


@pytest.mark.slow
def test_without_violations_there_is_no_folder(quick: Run, project: Path) -> None:
    """Nor where nothing was run."""
    quick("--gup-impl=good")
    quick(BAD, "--collect-only")
    quick(BAD, "-k", "test_mine")

    assert not (project / ".gup").exists()


def test_a_violation_is_stored_and_its_id_printed(quick: Run, project: Path) -> None:
    """With the command that runs it again; the report says the same."""
    result = quick(BAD, "--gup-report=out.jsonl", "-v")

    (path,) = (project / ".gup").glob("*.json")
    command = f"pytest {BAD} --gup-replay={path.stem}"
    result.stdout.fnmatch_lines(
        [
            f"  {path.stem}  LT-REFUSE (MAY): *",
            f"            {command}",
            f"    program   {path.stem}, *",
            f"    again     {command}",
        ]
    )
    records = map(json.loads, (project / "out.jsonl").read_text().splitlines())
    (violation,) = (r["violation"] for r in records if "violation" in r)
    assert (violation["id"], violation["replay"]) == (path.stem, command)


@pytest.mark.slow
def test_it_is_stored_in_the_root(
    quick: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever pytest is run; what is named is seen from where it is named."""
    (project / "pytest.ini").touch()
    (project / "below").mkdir()
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(project / "below")

    quick(BAD)
    quick(BAD, "--gup-corpus=known")

    assert len(list((project / ".gup").glob("*.json"))) == 1
    assert len(list((project / "below" / "known").glob("*.json"))) == 1


@pytest.mark.slow
def test_workers_of_xdist_store_it_once(quick_elsewhere: Run, project: Path) -> None:
    """The controller does; what they find fixed is said once."""
    result = quick_elsewhere(BAD, "-n", "2")

    result.assert_outcomes(passed=1, skipped=1, xfailed=1)
    assert len(list((project / ".gup").glob("*.json"))) == 1


# --- the next run ---------------------------------------------------------------------


def test_what_was_violated_is_tried_first(quick: Run, stored: Path) -> None:
    """And is that rule's violation again."""
    before = stored.read_text()

    result = quick(BAD, "-v")

    result.assert_outcomes(passed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [f"  {stored.stem}  LT-REFUSE *", f"*scenario  stored {stored.stem}"]
    )
    assert stored.read_text() == before
    assert len(list(stored.parent.glob("*.json"))) == 1


@pytest.mark.slow
def test_what_is_fixed_is_dropped(
    quick: Run, project: Path, pytester: pytest.Pytester, stored: Path
) -> None:
    """With a word about it, once."""
    heal(project, pytester, stored)

    first = quick("--gup-impl=healing")
    second = quick("--gup-impl=healing")

    first.assert_outcomes(passed=2, skipped=1)
    first.stdout.fnmatch_lines(["fixed: ???????? (LT-REFUSE)"])
    second.stdout.no_fnmatch_line("fixed: *")
    assert not list(stored.parent.glob("*.json"))


@pytest.mark.slow
def test_what_is_fixed_stays_in_a_named_folder(
    quick: Run, project: Path, pytester: pytest.Pytester, stored: Path
) -> None:
    """The folder may be named in the ini file."""
    heal(project, pytester, stored)
    pytester.makeini("[pytest]\ngup_corpus = .gup\n")

    result = quick("--gup-impl=healing")

    result.stdout.fnmatch_lines(["no longer violated: ???????? (LT-REFUSE)"])
    assert stored.exists()


@pytest.mark.slow
def test_what_workers_find_fixed_is_dropped(
    quick_elsewhere: Run, project: Path, pytester: pytest.Pytester, stored: Path
) -> None:
    """Each of them tries it."""
    heal(project, pytester, stored)

    result = quick_elsewhere("--gup-impl=healing", "-n", "2")

    fixed = [line for line in result.outlines if line.startswith("fixed: ")]
    assert len(fixed) == 1
    assert not list(stored.parent.glob("*.json"))


def test_what_cannot_be_read_is_one_sentence(quick: Run, stored: Path) -> None:
    """The run is a run like any other."""
    stored.write_text("{")

    result = quick("--gup-impl=good")

    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines([f"passed over {stored}: it is no JSON"])
    assert stored.exists()


@pytest.mark.slow
def test_what_does_not_repeat_is_said_to(
    quick: Run, project: Path, pytester: pytest.Pytester
) -> None:
    """When it is found, and when it is dropped."""
    pytester.makepyfile(once=ONCE)

    first = quick("--gup-impl=once")
    second = quick("--gup-impl=once")

    words = "did not repeat when the program was run again"
    first.stdout.fnmatch_lines([f"  ????????  LT-REFUSE (MAY): * ({words})"])
    second.stdout.fnmatch_lines([f"dropped: ???????? (LT-REFUSE), which {words}"])


# --- running one again ----------------------------------------------------------------


def test_a_replay_runs_one_program_and_no_test_of_the_users(
    quick: Run, stored: Path, pytester: pytest.Pytester
) -> None:
    """On the implementation that it was found on."""
    pytester.makeini("[pytest]\ngup_impl = good\ngup_rules = REF-*\n")
    pytester.makepyfile(test_broken="this does not import")

    result = quick(f"--gup-replay={stored.stem}", "-v")

    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(
        [
            f"gup: broken:grants_longterm; *replay of {stored.stem} (LT-REFUSE)",
            "*test_rule[[]broken:grants_longterm-replay-LT-REFUSE]*",
            "replay: 1 programs in *",
            f"  {stored.stem}  LT-REFUSE (MAY): *",
        ]
    )


@pytest.mark.parametrize(
    "args",
    [
        ["test_mine.py"],
        ["test_mine.py::test_mine"],
        ["-k", "replay"],
        ["conformance/test_rules.py"],
    ],
)
def test_a_replay_whatever_else_is_named(
    quick: Run, stored: Path, args: list[str]
) -> None:
    """It is what is asked for."""
    outcomes = quick(f"--gup-replay={stored.stem}", *args).parseoutcomes()

    outcomes.pop("deselected", None)
    assert outcomes == {"xfailed": 1}


def test_a_replay_of_a_file(quick: Run, stored: Path, project: Path) -> None:
    """Somebody has sent it; what it shows is kept."""
    stored.rename(project / "sent.txt")

    quick("--gup-replay=sent.txt").assert_outcomes(xfailed=1)

    assert stored.exists()


@pytest.mark.slow
def test_a_replay_from_a_named_folder(quick: Run, project: Path) -> None:
    """The command that is printed names it."""
    printed = quick(BAD, "--gup-corpus=known").stdout
    (path,) = (project / "known").glob("*.json")
    again = f"--gup-corpus=known --gup-replay={path.stem}"

    printed.fnmatch_lines([f"            pytest {BAD} {again}"])
    quick(*again.split()).assert_outcomes(xfailed=1)
    assert not (project / ".gup").exists()


@pytest.mark.slow
def test_a_replay_judges_by_the_promise_of_then(quick: Run, project: Path) -> None:
    """Unless another is given."""
    quick(BAD, "--gup-promise=mainline")
    (path,) = (project / ".gup").glob("*.json")

    then = quick(f"--gup-replay={path.stem}")
    other = quick(f"--gup-replay={path.stem}", "--gup-promise=document")

    then.stdout.fnmatch_lines(["gup: *; promise mainline, replay of *"])
    other.stdout.fnmatch_lines(["gup: *; promise document, replay of *"])


def test_a_replay_on_another_implementation(quick: Run, stored: Path) -> None:
    """It obeys: that is no failure, and nothing is forgotten."""
    result = quick(f"--gup-replay={stored.stem}", "--gup-impl=good")

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"not violated this time: {stored.stem} (LT-REFUSE)"])
    assert stored.exists()


def test_a_replay_of_what_is_not_there(quick: Run, stored: Path) -> None:
    """It is said which there are."""
    result = quick("--gup-replay=00000000")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --gup-replay=00000000: there is no * (there: {stored.stem}); *"]
    )


@pytest.mark.slow
def test_a_replay_with_workers(quick_elsewhere: Run, stored: Path) -> None:
    """One of them runs it."""
    result = quick_elsewhere(f"--gup-replay={stored.stem}", "-n", "2")

    result.assert_outcomes(xfailed=1)


# --- what was not made small in its time ----------------------------------------------


@pytest.fixture
def longer(stored: Path) -> Path:
    """Return the file of a violation that is longer than it need be."""
    record = json.loads(stored.read_text())
    record["program"]["operations"][:0] = [{"op": "load"}, {"op": "load", "page": 1}]
    path = stored.with_name("longer.json")
    path.write_text(json.dumps({**record, "minimal": False}))
    stored.unlink()
    return path


def id_in(path: Path) -> str:
    """Return the id of what is in a file."""
    return read(path).id


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--gup-replay=longer", "--gup-impl"])
def test_shrinking_goes_on(quick: Run, longer: Path, how: str) -> None:
    """In a replay as in the next run; the earlier id still finds it."""
    before = id_in(longer)

    first = quick(BAD if how == "--gup-impl" else how)
    again = quick(f"--gup-replay={before}", "-v")

    (path,) = longer.parent.glob("*.json")
    assert json.loads(path.read_text())["minimal"] is True
    word = f"{before} (LT-REFUSE) is {path.stem} now (3 -> 1 operations)"
    first.stdout.fnmatch_lines(
        [f"  {path.stem}  LT-REFUSE (MAY): *", f"made smaller: {word}"]
    )
    again.assert_outcomes(xfailed=1)
    again.stdout.fnmatch_lines([f"gup: *; * replay of {path.stem} (LT-REFUSE)"])
    again.stdout.no_fnmatch_line("made smaller: *")


@pytest.mark.slow
def test_shrinking_goes_on_from_what_was_tried(
    quick: Run, longer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One program in each run is slow, but it comes to an end."""
    monkeypatch.setattr(settings, "RUNS_MAX", 1)
    runs = 0

    while not longer.exists() or not read(longer).is_minimal:
        result = quick(BAD, "-v")
        (longer,) = longer.parent.glob("*.json")
        runs += 1
        assert runs < 20
        if not read(longer).is_minimal:
            line = "    program   *operation*; not minimal yet, the next run goes on"
            result.stdout.fnmatch_lines([line])

    assert runs > 2
    assert len(read(longer).program.operations) == 1


@pytest.mark.slow
def test_on_another_implementation_a_replay_is_exact(
    quick: Run, longer: Path, pytester: pytest.Pytester
) -> None:
    """What is found there is another violation; the first stays as it is."""
    pytester.makepyfile(other="from broken import grants_longterm as boot")
    before = longer.read_text()

    quick("--gup-replay=longer", "--gup-impl=other").assert_outcomes(xfailed=1)

    (path,) = set(longer.parent.glob("*.json")) - {longer}
    assert read(path).program == read(longer).program
    assert longer.read_text() == before


@pytest.mark.slow
def test_a_file_of_somebodys_is_made_smaller_beside_it(
    quick: Run, longer: Path, project: Path
) -> None:
    """The file stays as it was sent."""
    sent = longer.rename(project / "sent.json")
    before = id_in(sent)

    quick("--gup-replay=sent.json").assert_outcomes(xfailed=1)

    (path,) = longer.parent.glob("*.json")
    assert read(path).earlier == (before,)
    assert id_in(sent) == before
