"""What docs/adding-an-implementation.md says is true."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "counting_stack.py"


def verdicts(folder: Path, rules: str) -> dict[str, Any]:
    """Run the plugin in a folder; return the record of each rule."""
    report = folder / "report.jsonl"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--gup-impl=counting_stack", f"--gup-rules={rules}"),
            f"--gup-report={report}",
        ],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    records = [json.loads(line) for line in report.read_text().splitlines()]
    return {record["rule"]: record for record in records if record["record"] == "rule"}


@pytest.mark.slow
def test_the_example_gets_its_first_verdict(tmp_path: Path) -> None:
    """A very partial stack is judged on what it offers."""
    (tmp_path / EXAMPLE.name).write_text(EXAMPLE.read_text())

    found = verdicts(tmp_path, "CNT-*")

    assert found["CNT-BAL"]["verdict"] == "held"
    assert found["CNT-BAL"]["premises"] > 0
    assert found["CNT-MODERN"]["verdict"] == "not-observable"


@pytest.mark.slow
def test_breaking_the_example_shows_a_short_program(tmp_path: Path) -> None:
    """Step five of the document: forget the counter, and see CNT-BAL fail."""
    broken = EXAMPLE.read_text().replace("        self.returned += 1\n", "")
    (tmp_path / EXAMPLE.name).write_text(broken)

    found = verdicts(tmp_path, "CNT-BAL")["CNT-BAL"]

    assert found["verdict"] == "violated"
    assert len(found["violation"]["program"]["operations"]) == 2
