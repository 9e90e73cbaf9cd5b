"""Records: what the JSON Lines report holds, and what nodes send to the controller.

A record is a plain dict. One of kind "run" comes first, and is there from the start;
then one of kind "rule" for each rule and implementation; last, if every node has run
to its end, one of kind "end" with the counts. So a report without one is truncated.
"""

import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from conformance.engines.tally import RuleResult, violation_record
from conformance.rules.rule import Rule
from conformance.verdicts import Promise, Verdict
from pytest_gup import counterexample

Record = dict[str, Any]

WEIGHT = {
    verdict.value: weight
    for weight, verdict in enumerate(
        (
            Verdict.UNTESTED,
            Verdict.NOT_EXERCISED,
            Verdict.NOT_OBSERVABLE,
            Verdict.HELD,
            Verdict.INCONCLUSIVE,
            Verdict.CRASHED,
            Verdict.VIOLATED,
            Verdict.ERRORED,
        )
    )
}
"""Which of two engines' verdicts on one rule counts: the heavier."""


def run_record(
    implementations: Iterable[str], settings: Mapping[str, object]
) -> Record:
    """Return the manifest of a run."""
    return {
        "record": "run",
        "suite": suite_version(),
        "implementations": list(implementations),
        **settings,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "kernel": platform.release(),
    }


def suite_version() -> str:
    """Return the version of the suite that is installed."""
    try:
        return version("pytest-gup")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def rule_record(
    implementation: str,
    engine: str,
    rule: Rule,
    promise: Promise,
    result: RuleResult,
    corpus: str | None = None,
) -> Record:
    """Return the verdict of one engine on one rule.

    Args:
        implementation: Its SPEC.
        engine: Its name.
        rule: What was judged.
        promise: By which promise.
        result: What was found.
        corpus: Where counterexamples are kept, if that was said.
    """
    record: Record = {
        "record": "rule",
        "implementation": implementation,
        "engine": engine,
        "rule": rule.id,
        "kind": rule.kind.value,
        "level": rule.level(promise).value,
        "verdict": result.verdict.value,
        "premises": result.premises,
        "programs": result.programs,
        "seconds": round(result.seconds, 4),
    }
    if result.reason is not None:
        record["reason"] = result.reason
    if result.violation is not None:
        program = result.violation.program
        record["violation"] = {
            **counterexample.names(implementation, rule.id, program, corpus),
            **violation_record(result.violation),
        }
    if result.crash is not None:
        record["crash"] = _crash_record(implementation, result, corpus)
    return record


def _crash_record(
    implementation: str, result: RuleResult, corpus: str | None
) -> Record:
    """Return a crash; where its program is known, that and how to run it again."""
    assert result.crash is not None
    record = {"sentence": result.crash.message, "sort": result.crash.sort}
    found = result.crashing
    if found is None:
        return record
    what, program = counterexample.CRASH, found.shown.program
    return {
        **record,
        **counterexample.names(implementation, what, program, corpus),
        "rule": found.rule,
        "rules": list(found.rules),
        **violation_record(found.shown),
    }


def properties(record: Record) -> list[tuple[str, object]]:
    """Return what other reports, such as JUnit's, may say about a node."""
    names = ("implementation", "engine", "rule", "kind", "level", "verdict")
    found: list[tuple[str, object]] = [(f"gup_{name}", record[name]) for name in names]
    if counterexample.is_in(record):
        shown = record.get("violation") or record["crash"]
        found.append(("gup_program", shown["id"]))
    return found


def merged(records: Iterable[Record]) -> list[Record]:
    """Return one record for each implementation and rule, of all its engines."""
    found: dict[tuple[str, str], Record] = {}
    for record in records:
        key = record["implementation"], record["rule"]
        old = found.get(key)
        found[key] = record if old is None else _merge(old, record)
    return list(found.values())


def _merge(one: Record, other: Record) -> Record:
    heavier, lighter = one, other
    if WEIGHT[other["verdict"]] > WEIGHT[one["verdict"]]:
        heavier, lighter = other, one
    sums = {
        name: heavier[name] + lighter[name]
        for name in ("premises", "programs", "seconds")
    }
    engines = sorted({*heavier["engine"].split("+"), *lighter["engine"].split("+")})
    sums["seconds"] = round(sums["seconds"], 4)
    return {**heavier, **sums, "engine": "+".join(engines)}


def end_record(records: Iterable[Record]) -> Record:
    """Return the counts of a run, by verdict."""
    counts = Counter(record["verdict"] for record in records)
    return {
        "record": "end",
        "rules": counts.total(),
        **{verdict.value: counts[verdict.value] for verdict in Verdict},
    }


def start(path: Path, run: Record) -> None:
    """Begin a report.

    Raises:
        pytest.UsageError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(run) + "\n", encoding="utf-8")
    except OSError as error:
        raise pytest.UsageError(
            f"--gup-report={path}: {error.strerror}; name a file that can be written"
        ) from error


def finish(path: Path, records: Sequence[Record]) -> None:
    """Add the other records."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
