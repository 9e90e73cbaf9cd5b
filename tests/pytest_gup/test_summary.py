"""What is printed at the end, and while an engine runs."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from conformance.engines.tally import Lost
from conformance.program import from_json
from conformance.rules.references import RULES
from conformance.verdicts import Verdict
from pytest_gup import session
from pytest_gup.counterexample import id_of
from pytest_gup.progress import Progress
from tests.pytest_gup.conftest import Run
from tests.pytest_gup.verdicts import VIOLATION, engine

Made = Callable[..., pytest.RunResult]


@pytest.fixture
def made(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Made:
    """Run pytest with engines that find given verdicts."""

    def run(*args: str, **verdicts: Verdict) -> pytest.RunResult:
        found = {rule.replace("_", "-"): verdict for rule, verdict in verdicts.items()}
        counters = ("total gup requests  5", "every get has its put")
        engines = {"scenarios": engine(found, counters), "explorer": engine({})}
        engines["schedules"] = engine({})
        monkeypatch.setattr(session, "ENGINES", engines)
        return pytester.runpytest_inprocess("--gup-impl=good", *args)

    return run


def test_rules_stand_by_chapter_damage_first(made: Made) -> None:
    """Each with kind, level, verdict, and how often or why."""
    result = made("--gup-rules=[LC][TIN][TV-]*", REF_BIAS=Verdict.VIOLATED)

    result.stdout.fnmatch_lines(
        [
            "*= gup: good =*",
            "scenarios: 2 programs in 0.5 s",
            "explorer: 2 programs in 0.5 s",
            "counters",
            "  CNT-BAL * MUST    held            8 times",
            "long-term pins",
            "  LT-REFUSE * MAY     held            8 times",
            "promise document, * rules, profile quick, seed 0: * held",
            "counters of scenarios, interpreted:",
            "  every get has its put",
        ]
    )


def test_damage_stands_before_discipline(made: Made) -> None:
    """Within a chapter, and among the violations."""
    verdicts = {"REF_BALANCE": Verdict.VIOLATED, "REF_FREE": Verdict.VIOLATED}
    lines = made("--gup-rules=REF-*", **verdicts).outlines
    ids = {rule.id for rule in RULES}
    rows = [line.split() for line in lines if line.startswith("  REF-")]
    kinds = [row[1] for row in rows if row[0] in ids]
    start = lines.index("violated, damage first")
    listed = [line.split()[1] for line in lines[start + 1 : start + 5 : 2]]

    assert kinds == sorted(kinds)
    assert sorted(listed) == ["REF-BALANCE", "REF-FREE"]


def test_quiet_prints_what_counts(made: Made) -> None:
    """-q leaves violations and counts; -v adds how often each operation was drawn."""
    quiet = made("-q", "--gup-rules=REF-*", REF_FREE=Verdict.VIOLATED).stdout
    loud = made("-v", "--gup-rules=REF-*", REF_FREE=Verdict.VIOLATED).stdout

    quiet.fnmatch_lines(
        [
            "  ????????  REF-FREE (MUST): *",
            "            pytest --gup-impl=good --gup-replay=????????",
            "*: * held, 1 violated",
        ]
    )
    quiet.no_fnmatch_line("  REF-BALANCE *")
    loud.fnmatch_lines(["operations of scenarios:", "  operation *refused"])


def test_a_failure_of_ours_is_one_line_in_the_summary(made: Made) -> None:
    """The whole traceback stands with the node."""
    result = made("--gup-rules=REF-FREE", REF_FREE=Verdict.ERRORED)

    result.stdout.fnmatch_lines(["REF-FREE: the suite itself failed, which is a *"])
    result.stdout.fnmatch_lines(["  REF-FREE *errored *because it is errored"])


def test_capabilities_are_shown(quick: Run) -> None:
    """What the implementation offers, and what it lacks."""
    quick("--gup-impl=good").stdout.fnmatch_lines(
        [
            "offers * of * operations, not stepped",
            "lacks *umount*",
            "shows *page_view*",
            "features checksums, copy_on_write, stable_writes",
        ]
    )


def test_lost_programs_are_told_of(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the terminal below their engine, and with the first of them in the report."""
    lost = Lost(1, 60, attrs.evolve(VIOLATION, sentence="too long"))
    engines = {name: engine({}) for name in ("scenarios", "schedules")}
    monkeypatch.setattr(
        session, "ENGINES", {**engines, "explorer": engine({}, lost=lost)}
    )

    result = pytester.runpytest_inprocess(
        "--gup-impl=good", "--gup-rules=REF-FREE", "--gup-report=out.jsonl"
    )

    words = "1 of 60 drawn programs hit a bound and say nothing: too long"
    short = id_of("good", "endless", VIOLATION.program)
    result.stdout.fnmatch_lines(
        [
            "explorer: 2 programs *",
            f"explorer: {words}",
            "without end",
            f"  {short}  too long",
            f"            pytest --gup-impl=good --gup-replay={short}",
        ]
    )
    report = map(json.loads, (project / "out.jsonl").read_text().splitlines())
    (found,) = (record for record in report if record["record"] == "lost")
    assert (found["engine"], found["words"]) == ("explorer", words)
    assert from_json(found["program"]) == VIOLATION.program


def test_nothing_is_printed_where_none_of_ours_ran(quick: Run) -> None:
    """Not even a heading."""
    result = quick("--gup-impl=good", "-k", "test_mine")

    result.stdout.no_fnmatch_line("*= gup: *")


# --- progress -------------------------------------------------------------------------


class Terminal:
    """Keeps what is written to it."""

    def __init__(self, *, isatty: bool) -> None:
        self.isatty = isatty
        self.written = io.StringIO()

    def ensure_newline(self) -> None:
        self.written.write("\n")

    def rewrite(self, line: str, *, erase: bool) -> None:
        assert erase
        self.written.write(f"\r{line}")

    def write(self, text: str, *, flush: bool) -> None:
        assert flush
        self.written.write(text)


class Plugins:
    """Has a terminal, and may have a capture manager."""

    def __init__(self, **plugins: Any) -> None:
        self.plugins = plugins

    @property
    def pluginmanager(self) -> "Plugins":
        return self

    def getplugin(self, name: str) -> object:
        return self.plugins.get(name)


def test_progress_is_a_line_that_goes_away() -> None:
    """It is rewritten now and then, and removed at the end."""
    terminal = Terminal(isatty=True)
    shown = shown_on(terminal)

    for programs in range(1, 5):
        shown(f"{programs} programs")
    shown.end()

    assert terminal.written.getvalue() == ("\n\rgood: 2 programs\rgood: 4 programs\r\r")


def shown_on(terminal: Terminal | None) -> Progress:
    """Return a progress whose clock goes on whenever it is looked at."""
    config: Any = Plugins(terminalreporter=terminal)
    return Progress(config, "good", itertools.count(0.0, 0.15).__next__)


@pytest.mark.parametrize("terminal", [Terminal(isatty=False), None])
def test_progress_is_for_people(terminal: Terminal | None) -> None:
    """A file gets none of it, and neither does a worker of xdist."""
    shown = shown_on(terminal)

    for programs in range(1, 5):
        shown(f"{programs} programs")
    shown.end()

    assert terminal is None or not terminal.written.getvalue()


def test_progress_that_never_came_is_not_removed() -> None:
    """An engine that was over at once leaves no trace."""
    terminal = Terminal(isatty=True)

    shown_on(terminal).end()

    assert not terminal.written.getvalue()
