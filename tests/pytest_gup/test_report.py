"""The JSON Lines report: manifest, a record for each rule, the end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from conformance.program import from_json
from conformance.rules.catalogue import BY_ID
from conformance.verdicts import Promise, Verdict
from pytest_gup import report, session
from pytest_gup.counterexample import id_of
from tests.pytest_gup.conftest import ROOT, Run
from tests.pytest_gup.verdicts import VIOLATION, engine, result

Records = list[dict[str, Any]]
Made = Callable[..., Records]


def read(path: Path) -> Records:
    """Return the records of a report."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def made(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Made:
    """Run pytest with engines that find given verdicts; return the report."""

    def run(*args: str, **verdicts: Verdict) -> Records:
        found = {rule.replace("_", "-"): verdict for rule, verdict in verdicts.items()}
        engines = {"scenarios": engine(found), "explorer": engine({})}
        engines["schedules"] = engine({})
        monkeypatch.setattr(session, "ENGINES", engines)
        pytester.runpytest_inprocess(
            "--gup-impl=good", "--gup-rules=REF-*", "--gup-report=out.jsonl", *args
        )
        return read(project / "out.jsonl")

    return run


def test_the_manifest_says_what_was_run(made: Made) -> None:
    """Implementation, version, promise, profile, seed, platform."""
    first = made("--gup-seed=3", "--gup-promise=mainline")[0]

    assert first["record"] == "run"
    assert first["implementations"] == ["good"]
    assert (first["promise"], first["profile"], first["seed"]) == (
        "mainline",
        "quick",
        3,
    )
    assert {"suite", "platform", "python", "kernel", "time", "rules"} <= set(first)


def test_one_record_for_each_rule(made: Made) -> None:
    """Of all its engines: sums, and the verdict that weighs most."""
    records = made(REF_FREE=Verdict.VIOLATED, REF_BIAS=Verdict.NOT_OBSERVABLE)
    by_rule = {r["rule"]: r for r in records if r["record"] == "rule"}

    free = by_rule["REF-FREE"]
    assert {key: free[key] for key in ("kind", "level", "verdict")} == {
        "kind": "damage",
        "level": "MUST",
        "verdict": "violated",
    }
    assert (free["premises"], free["programs"], free["seconds"]) == (12, 6, 0.75)
    assert free["engine"] == "explorer+scenarios+schedules"
    short = id_of("good", "REF-FREE", VIOLATION.program)
    assert free["violation"]["id"] == short
    assert free["violation"]["replay"] == (
        f"pytest --gup-impl=good --gup-replay={short}"
    )
    assert from_json(free["violation"]["program"]) == VIOLATION.program
    assert by_rule["REF-BIAS"]["verdict"] == "held"
    assert list(by_rule) == [rule for rule in BY_ID if rule.startswith("REF-")]


def test_the_end_counts_the_verdicts(made: Made) -> None:
    """Every verdict has its count, never one number for all."""
    last = made(REF_FREE=Verdict.CRASHED)[-1]

    count = sum(rule.startswith("REF-") for rule in BY_ID)
    assert last["record"] == "end"
    assert (last["rules"], last["held"], last["crashed"]) == (count, count - 1, 1)
    assert {verdict.value for verdict in Verdict} <= set(last)


def test_a_run_that_was_cut_short_has_no_end(made: Made) -> None:
    """-x leaves rules without a verdict."""
    records = made("-x", REF_FREE=Verdict.VIOLATED)

    assert records[0]["record"] == "run"
    assert records[-1]["record"] == "rule"


def test_what_was_chosen_is_the_whole_run(made: Made) -> None:
    """With -k the other rules are not missing."""
    records = made("-k", "REF-FREE")

    assert [record["record"] for record in records] == ["run", "rule", "end"]


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_record(verdict: Verdict) -> None:
    """Its reason, its violation or its crash is there, and JSON can hold it."""
    rule = BY_ID["REF-FREE"]

    record = report.rule_record(
        "good", "explorer", rule, Promise.DOCUMENT, result(rule.id, verdict)
    )

    assert json.loads(json.dumps(record)) == record
    assert record["verdict"] == verdict.value
    assert ("violation" in record) == (verdict is Verdict.VIOLATED)
    assert ("crash" in record) == (verdict is Verdict.CRASHED)
    assert ("reason" in record) == (verdict not in {Verdict.HELD, Verdict.VIOLATED})


def test_every_verdict_has_a_weight() -> None:
    """Merging two engines' verdicts never fails."""
    assert set(report.WEIGHT) == {verdict.value for verdict in Verdict}


def test_a_source_tree_that_was_never_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has no version."""

    def version(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(report, "version", version)

    assert report.run_record([], {})["suite"] == "unknown"


ENDLESS = """
import os, tests.second_stack

def boot(setup):
    if os.path.exists("go"):
        open("begun", "w").close()
        while True:
            pass
    open("go", "w").close()
    return tests.second_stack.boot(setup)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_killed_has_a_manifest(
    project: Path, pytester: pytest.Pytester, number: signal.Signals
) -> None:
    """It is written before anything runs."""
    pytester.makepyfile(endless=ENDLESS)
    command = [sys.executable, "-m", "pytest", "-q", "--gup-impl=endless"]
    with subprocess.Popen(
        [*command, "--gup-report=out.jsonl"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    ) as running:
        while not (project / "begun").exists():
            time.sleep(0.01)
        running.send_signal(number)

    assert [record["record"] for record in read(project / "out.jsonl")] == ["run"]


@pytest.mark.slow
def test_the_report_is_the_same_with_workers(
    quick_elsewhere: Run, project: Path
) -> None:
    """Written once, by the controller, which prints what its workers know."""
    found = []
    for workers in ("0", "2"):
        args = ("--gup-rules=CNT-*", "--gup-report=out.jsonl", "-n", workers)
        result = quick_elsewhere("--gup-impl=good", "--gup-impl=broken:crashes", *args)
        result.stdout.fnmatch_lines(["offers *", "counters of scenarios, *"])
        records = read(project / "out.jsonl")
        for record in records:
            record.pop("seconds", None)
        found.append(records)
        shutil.rmtree(project / ".gup")  # what is stored is run first by the next

    assert found[0] == found[1]
    assert found[0][-1]["record"] == "end"
    assert found[0][-1]["rules"] == 2 * sum(rule.startswith("CNT-") for rule in BY_ID)
