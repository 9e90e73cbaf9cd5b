"""The options, their ini twins, and what is said about wrong ones."""

import pytest

from pytest_gup import options
from pytest_gup.settings import NIGHTLY_SECONDS, Settings
from tests.pytest_gup.conftest import Run

USAGE = pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            "--gup-promise=series",
            "--gup-promise is 'series' (should be one of document, mainline)",
        ),
        (
            "--gup-profile=long",
            "--gup-profile is 'long' (should be one of quick, ci, nightly)",
        ),
        ("--gup-time=soon", "--gup-time is 'soon' (should be a number from 0 on)"),
        ("--gup-time=nan", "--gup-time is 'nan' (should be a number from 0 on)"),
        ("--gup-time=inf", "--gup-time is 'inf' (should be a number from 0 on)"),
        ("--gup-time=-1", "--gup-time is '-1' (should be a number from 0 on)"),
        ("--gup-seed=1.5", "--gup-seed is '1.5' (should be a whole number from 0 on)"),
        ("--gup-seed=-1", "--gup-seed is '-1' (should be a whole number from 0 on)"),
        (
            "--gup-rules=MKW-EVRY",
            "--gup-rules=MKW-EVRY matches no rule; some ids are MKW-EVERY, *",
        ),
        (
            "--gup-rules=%%%",
            "--gup-rules=%%% matches no rule; some ids are MKW-EVERY, *",
        ),
        (
            "--gup-corpus=test_mine.py",
            "--gup-corpus=*test_mine.py: it is no folder; name one, or one to be made",
        ),
        (
            "--gup-replay=1a2b3c4d",
            "--gup-replay=1a2b3c4d: there is no such file, nor a counterexample * id *",
        ),
        (
            "--gup-replay=test_mine.py",
            "--gup-replay=test_mine.py: it is no JSON; name a file that pytest-gup *",
        ),
        (
            "--gup-report=missing/report.jsonl",
            "--gup-report=*missing/report.jsonl: No such file or directory; name *",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(quick: Run, given: str, sentence: str) -> None:
    """Exit code 4, the option and what it should be, and no traceback."""
    result = quick("--gup-impl=good", given)

    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: {_escaped(sentence)}"], consecutive=True)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def _escaped(sentence: str) -> str:
    return sentence.replace("[", "[[]")


@pytest.fixture
def settings(pytester: pytest.Pytester) -> "Reader":
    """Read settings from an ini file and arguments."""
    return Reader(pytester)


class Reader:
    """Reads settings as the plugin does."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def config(self, ini: str, *args: str) -> pytest.Config:
        self.pytester.makeini(f"[pytest]\n{ini}")
        return self.pytester.parseconfig(*args)

    def __call__(self, ini: str, *args: str) -> Settings:
        return Settings.from_config(self.config(ini, *args))


INI = """
gup_rules = MKW-*
gup_promise = mainline
gup_profile = ci
gup_time = 2.5
gup_seed = 7
gup_corpus = known
gup_report = out.jsonl
"""


def test_each_option_has_an_ini_twin(
    settings: Reader, pytester: pytest.Pytester
) -> None:
    """What the ini file says is what holds."""
    found = settings(INI)

    assert {rule.id[:4] for rule in found.rules} == {"MKW-"}
    assert found.promise.value == "mainline"
    assert (found.profile, found.seconds, found.seed) == ("ci", 2.5, 7)
    assert found.report == pytester.path / "out.jsonl"
    assert found.corpus.folder == pytester.path / "known"
    assert not found.corpus.is_ours


def test_the_command_line_wins(settings: Reader) -> None:
    """The ini file says what holds where nothing else is said."""
    found = settings(
        INI,
        "--gup-rules=lt-refuse",
        "--gup-promise=document",
        "--gup-profile=quick",
        "--gup-time=0",
        "--gup-seed=0",
        "--gup-report=",
    )

    assert [rule.id for rule in found.rules] == ["LT-REFUSE"]
    assert found.promise.value == "document"
    assert (found.profile, found.seconds, found.seed) == ("quick", 0.0, 0)


def test_nothing_given_is_the_default(settings: Reader) -> None:
    """Every rule, by the document, quickly, seed 0, no report."""
    found = settings("")

    assert found.as_text() == (
        f"promise document, {len(found.rules)} rules, profile quick, seed 0"
    )
    assert found.seconds is None
    assert found.report is None
    assert found.isolated
    assert found.corpus.is_ours
    assert found.replay is None


def test_nightly_goes_by_the_clock(settings: Reader) -> None:
    """A time that is given is the time; without one it has its own."""
    assert settings("", "--gup-profile=nightly").seconds == NIGHTLY_SECONDS
    assert settings("", "--gup-profile=nightly", "--gup-time=3").seconds == 3
    assert settings("", "--gup-profile=ci").seconds is None


def test_a_debugger_gets_the_implementation_in_its_own_process(
    settings: Reader,
) -> None:
    """A breakpoint in a child process would be no use."""
    assert not settings("", "--pdb").isolated


def test_implementations_are_listed_once(settings: Reader) -> None:
    """The ini file may name several; so may the command line, which wins."""
    both = settings.config("gup_impl = one two:boot one")
    given = settings.config("gup_impl = one", "--gup-impl=b", "--gup-impl=a")

    assert options.specs(both) == ["one", "two:boot"]
    assert options.specs(given) == ["b", "a"]


def test_help_lists_every_option(quick: Run) -> None:
    """Even where an implementation is named that there is not."""
    result = quick("--gup-impl=nowhere", "--help")

    assert result.ret == pytest.ExitCode.OK
    for name in (
        "impl",
        "rules",
        "promise",
        "profile",
        "time",
        "seed",
        "corpus",
        "replay",
        "report",
    ):
        result.stdout.fnmatch_lines([f"*--gup-{name}=*", f"*gup_{name} *"])
