"""Records: what the JSON Lines report holds, and what nodes send to the controller.

A record is a plain dict. One of kind "run" comes first, then one of kind "rule" for
each rule and implementation, last one of kind "end" with the counts, so that a
truncated report shows.
"""

import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from conformance.engines.tally import RuleResult, violation_record
from conformance.rules.rule import Rule
from conformance.verdicts import Promise, Verdict

Record = dict[str, Any]

WEIGHT = {
    verdict.value: weight
    for weight, verdict in enumerate(
        (
            Verdict.UNTESTED,
            Verdict.NOT_OBSERVABLE,
            Verdict.NOT_EXERCISED,
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
        "suite": version("pytest-gup"),
        "implementations": list(implementations),
        **settings,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "kernel": platform.release(),
    }


def rule_record(
    implementation: str, engine: str, rule: Rule, promise: Promise, result: RuleResult
) -> Record:
    """Return the verdict of one engine on one rule."""
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
        record["violation"] = violation_record(result.violation)
    if result.crash is not None:
        record["crash"] = result.crash.message
    return record


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
    return {**heavier, **sums, "engine": "+".join(engines)}


def end_record(records: Iterable[Record]) -> Record:
    """Return the counts of a run, by verdict."""
    counts = Counter(record["verdict"] for record in records)
    return {
        "record": "end",
        "rules": counts.total(),
        **{verdict.value: counts[verdict.value] for verdict in Verdict},
    }


def write(path: Path, records: Iterable[Record]) -> None:
    """Write records, one on a line.

    Raises:
        pytest.UsageError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise pytest.UsageError(
            f"--gup-report={path}: {error.strerror}; name a file that can be written"
        ) from error
