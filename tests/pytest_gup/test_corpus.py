"""The folder of counterexamples: what is kept, read, and forgotten."""

import json
from pathlib import Path

import attrs
import pytest

from conformance.engines.repetition import NO_REPETITION
from conformance.interface import Load, Store
from conformance.program import Program
from conformance.rules.catalogue import BY_ID
from conformance.verdicts import Promise, Verdict
from pytest_gup import counterexample, report
from pytest_gup.corpus import Corpus, read
from pytest_gup.counterexample import Counterexample, command, id_of
from tests.pytest_gup.verdicts import VIOLATION, result

FOUND = Counterexample(
    "good", "REF-FREE", VIOLATION.program, Promise.DOCUMENT, "page 0 was lost"
)
SHORTER = attrs.evolve(FOUND, program=Program((Load(),)))
HELD, VIOLATED = Verdict.HELD.value, Verdict.VIOLATED.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that is not there yet."""
    return tmp_path / "above" / ".gup"


@pytest.fixture
def kept(folder: Path) -> Corpus:
    """Return a folder of ours with two counterexamples."""
    corpus = Corpus.load(folder, is_ours=True)
    corpus.keep(FOUND)
    corpus.keep(SHORTER)
    return corpus


# --- a counterexample -----------------------------------------------------------------


def test_the_id_is_that_of_the_content() -> None:
    """Program, rule and implementation; eight digits, the same everywhere."""
    same = attrs.evolve(FOUND, sentence="page 1", promise=Promise.MAINLINE)
    others = [
        attrs.evolve(FOUND, implementation="bad"),
        attrs.evolve(FOUND, rule="REF-BIAS"),
        attrs.evolve(FOUND, program=Program((Store(value=2),))),
    ]

    assert same.id == FOUND.id == "b443418c"
    assert len({FOUND.id, *(other.id for other in others)}) == 4


def test_the_command_can_be_typed() -> None:
    """What a shell would take apart is quoted; a named folder is named again."""
    assert command("a:b", "1a") == "pytest --gup-impl=a:b --gup-replay=1a"
    assert command("a", "1a", "my dir") == (
        "pytest --gup-impl=a '--gup-corpus=my dir' --gup-replay=1a"
    )


def test_a_file_explains_itself() -> None:
    """It says what was run, what was seen, and by which suite."""
    rule = BY_ID["REF-FREE"]
    verdict = result(rule.id, Verdict.VIOLATED)
    record = report.rule_record("good", "explorer", rule, Promise.DOCUMENT, verdict)

    found = counterexample.from_record(record, Promise.DOCUMENT, "0.1.0")
    stored = json.loads(json.dumps(counterexample.to_json(found)))

    assert counterexample.from_json(stored) == attrs.evolve(found, more={})
    assert found.id == record["violation"]["id"]
    assert rule.clause.norm in stored["clause"]
    assert (stored["suite"], stored["scenario"]) == ("0.1.0", "made-up")
    assert stored["timeline"] == list(VIOLATION.timeline)


# --- keeping --------------------------------------------------------------------------


def test_nothing_is_made_before_there_is_something_to_keep(folder: Path) -> None:
    """A run without violations leaves no trace."""
    corpus = Corpus.load(folder, is_ours=True)
    corpus.settle()

    assert corpus.known("good", Promise.DOCUMENT) == ()
    assert not folder.parent.exists()


def test_what_is_kept_is_there_the_next_time(kept: Corpus, folder: Path) -> None:
    """One file for each, and no draft; git is told to leave our folder alone."""
    again = Corpus.load(folder, is_ours=True)

    assert {path.name for path in folder.iterdir()} == {
        ".gitignore",
        f"{FOUND.id}.json",
        f"{SHORTER.id}.json",
    }
    assert again.ids() == kept.ids() == sorted([FOUND.id, SHORTER.id])
    assert again.find(FOUND.id) == FOUND
    assert again.find("00000000") is None
    assert not again.remarks


def test_the_shortest_is_run_first(kept: Corpus) -> None:
    """Those of this implementation, judged by this promise."""
    known = kept.known("good", Promise.DOCUMENT)

    assert [each.id for each in known] == [SHORTER.id, FOUND.id]
    assert kept.known("bad", Promise.DOCUMENT) == ()
    assert kept.known("good", Promise.MAINLINE) == ()


def test_what_is_there_is_left_as_it_is(kept: Corpus, folder: Path) -> None:
    """A folder kept in git does not change when the same is seen again."""
    path = folder / f"{FOUND.id}.json"
    before = path.stat().st_ino, path.read_text()

    Corpus.load(folder, is_ours=False).keep(attrs.evolve(FOUND, sentence="again"))

    assert (path.stat().st_ino, path.read_text()) == before


def test_what_is_known_better_is_written_again(kept: Corpus, folder: Path) -> None:
    """More was tried, or nothing of it can go; never the other way."""
    path = folder / f"{FOUND.id}.json"
    more = attrs.evolve(FOUND, tried=("1a", "2b"))
    less = attrs.evolve(FOUND, tried=("1a",))
    minimal = attrs.evolve(FOUND, is_minimal=True)

    for each, seen in [(more, more), (less, more), (minimal, minimal), (more, minimal)]:
        kept.keep(each)
        assert read(path) == seen


def test_what_was_made_smaller_takes_the_place(kept: Corpus, folder: Path) -> None:
    """It is found by the ids that it had, and it is said once for each step."""
    second = made_from(FOUND, Program((Store(value=2),)))
    third = made_from(second, Program((Store(),)))

    kept.keep(second)
    kept.keep(third)

    again = Corpus.load(folder, is_ours=True)
    assert again.ids() == sorted([SHORTER.id, third.id])
    for short in (FOUND.id, second.id, third.id):
        assert again.find(short) == attrs.evolve(third, earlier=(FOUND.id, second.id))
    assert kept.remarks == [
        f"made smaller: {FOUND.id} (REF-FREE) is {second.id} now (3 -> 1 operations)",
        f"made smaller: {second.id} (REF-FREE) is {third.id} now (1 -> 1 operations)",
    ]


def test_what_was_made_smaller_stays_in_a_named_folder(
    kept: Corpus, folder: Path
) -> None:
    """Each has its own id, and the smallest is run first."""
    shared = Corpus.load(folder, is_ours=False)
    small = made_from(FOUND, Program((Store(value=2),)))

    shared.keep(small)

    again = Corpus.load(folder, is_ours=False)
    assert again.find(FOUND.id) == FOUND
    assert again.find(small.id) == small
    assert len(again.ids()) == 3


def made_from(longer: Counterexample, program: Program) -> Counterexample:
    """Return what became of a counterexample."""
    return attrs.evolve(longer, program=program, earlier=(longer.id,))


def test_a_folder_of_the_users_gets_the_files_only(tmp_path: Path) -> None:
    """It is made where it is missing."""
    shared = tmp_path / "a" / "b"

    Corpus.load(shared, is_ours=False).keep(FOUND)

    assert [path.name for path in shared.iterdir()] == [f"{FOUND.id}.json"]


def test_a_folder_that_cannot_be_made_is_a_remark(tmp_path: Path) -> None:
    """The run goes on."""
    (tmp_path / ".gup").write_text("a file")
    corpus = Corpus.load(tmp_path / ".gup", is_ours=True)

    corpus.keep(FOUND)

    assert corpus.remarks == [
        f"{FOUND.id} could not be stored in {tmp_path / '.gup'}: File exists"
    ]


def test_a_file_is_whole_or_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its name when it is written; a run that fails there leaves nothing."""
    corpus = Corpus.load(folder, is_ours=False)
    written: list[str] = []

    def replace(draft: Path, path: Path) -> None:
        assert not path.exists()
        written.append(draft.read_text())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    corpus.keep(FOUND)

    assert counterexample.from_json(json.loads(written[0])) == FOUND
    assert list(folder.iterdir()) == []
    assert corpus.remarks[0].endswith(": No space left on device")


# --- forgetting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "is_fixed"),
    [
        ([], False),
        ([HELD], True),
        ([Verdict.NOT_EXERCISED.value], True),
        ([HELD, HELD], True),
        ([VIOLATED], False),
        ([HELD, VIOLATED], False),
        ([Verdict.CRASHED.value], False),
        ([Verdict.INCONCLUSIVE.value], False),
        ([Verdict.NOT_OBSERVABLE.value], False),
    ],
)
def test_what_every_worker_found_obeyed_is_fixed(
    kept: Corpus, folder: Path, said: list[str], is_fixed: bool
) -> None:
    """One that says nothing of the rule keeps it."""
    for verdict in said:
        kept.note({FOUND.id: verdict})
    kept.settle()

    assert (folder / f"{FOUND.id}.json").exists() != is_fixed
    assert (folder / f"{SHORTER.id}.json").exists()
    assert kept.remarks == [f"fixed: {FOUND.id} (REF-FREE)"] * is_fixed


def test_nothing_is_removed_from_a_named_folder(kept: Corpus, folder: Path) -> None:
    """It may be in git, and other machines may see it still."""
    shared = Corpus.load(folder, is_ours=False)

    shared.note({FOUND.id: HELD})
    shared.settle()

    assert shared.remarks == [f"no longer violated: {FOUND.id} (REF-FREE)"]
    assert Corpus.load(folder, is_ours=True).find(FOUND.id) == FOUND


def test_a_replay_forgets_nothing(kept: Corpus) -> None:
    """It says what it saw."""
    kept.settle_replay(FOUND)
    assert kept.remarks == []

    kept.note({FOUND.id: HELD})
    kept.settle_replay(FOUND)
    assert kept.remarks == [f"not violated this time: {FOUND.id} (REF-FREE)"]
    assert kept.find(FOUND.id) == FOUND


def test_what_was_seen_once_is_not_called_fixed(folder: Path) -> None:
    """Nobody may have mended anything."""
    corpus = Corpus.load(folder, is_ours=True)
    corpus.keep(attrs.evolve(FOUND, sentence=f"page 0 was lost ({NO_REPETITION})"))

    corpus.note({FOUND.id: HELD})
    corpus.settle()

    assert corpus.remarks == [f"dropped: {FOUND.id} (REF-FREE), which {NO_REPETITION}"]


def test_what_another_run_has_removed_is_gone(kept: Corpus, folder: Path) -> None:
    """Two runs at a time find the same fixed."""
    (folder / f"{FOUND.id}.json").unlink()

    kept.note({FOUND.id: HELD})
    kept.settle()

    assert kept.remarks == [f"fixed: {FOUND.id} (REF-FREE)"]


def test_what_cannot_be_removed_is_a_remark(kept: Corpus, folder: Path) -> None:
    """Somebody has put a folder in its place."""
    path = folder / f"{FOUND.id}.json"
    path.unlink()
    path.mkdir()

    kept.note({FOUND.id: HELD})
    kept.settle()

    assert kept.remarks[1] == f"{path} could not be removed: Is a directory"


# --- reading what is odd --------------------------------------------------------------


def changed(**fields: object) -> str:
    """Return a file's text with other fields."""
    return json.dumps({**counterexample.to_json(FOUND), **fields})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[1]", "not a counterexample of pytest-gup"),
        ('{"name": "a package"}', "not a counterexample of pytest-gup"),
        (changed(counterexample=2), "it has format 2 (should be 1)"),
        (changed(rule=3), "implementation, rule or sentence is missing"),
        (changed(rule="REF-FLY"), "this suite has no rule 'REF-FLY'"),
        (changed(program=None), "it has no program"),
        (changed(program={"format": 9}), "stored program has format 9 (should be 1)"),
        (changed(promise="series"), "'series' is not a valid Promise"),
    ],
)
def test_what_is_odd_is_passed_over(
    kept: Corpus, folder: Path, text: str, complaint: str
) -> None:
    """One sentence, and the rest is there."""
    odd = folder / "odd.json"
    odd.write_text(text)

    corpus = Corpus.load(folder, is_ours=True)

    assert corpus.remarks == [f"passed over {odd}: {complaint}"]
    assert corpus.ids() == kept.ids()


def test_what_is_no_text_is_passed_over(folder: Path) -> None:
    """Neither is a folder."""
    (folder / "folder.json").mkdir(parents=True)
    (folder / "picture.json").write_bytes(b"\xff\xd8")

    corpus = Corpus.load(folder, is_ours=True)

    assert corpus.remarks == [
        f"passed over {folder / 'folder.json'}: it cannot be read (Is a directory)",
        f"passed over {folder / 'picture.json'}: it is no JSON",
    ]


def test_a_file_that_vanishes_is_not_odd(folder: Path) -> None:
    """Another run has found it fixed in this moment."""
    folder.mkdir(parents=True)
    (folder / "gone.json").symlink_to(folder / "nowhere")

    assert Corpus.load(folder, is_ours=True).remarks == []
    with pytest.raises(FileNotFoundError):
        read(folder / "gone.json")


def test_a_file_may_have_any_name(folder: Path) -> None:
    """It is found by its name, and by its id."""
    folder.mkdir(parents=True)
    (folder / "lost-page.json").write_text(changed())

    corpus = Corpus.load(folder, is_ours=False)

    assert corpus.find("lost-page") == corpus.find(FOUND.id) == FOUND
    assert corpus.ids() == [id_of("good", "REF-FREE", VIOLATION.program)]
