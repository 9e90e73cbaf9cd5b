"""What docs/fuzzing-in-ci.md says works: the workflow, a shared Redis, HypoFuzz."""

import importlib.util
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import ConnectionError as NoRedisError

from pytest_gup import options

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WORKFLOW = DOCS / "examples" / "stateful-fuzzing.yml"
EXAMPLE = DOCS / "examples" / "fuzzing"
START_SECONDS = 20.0
HYPOFUZZ_SECONDS = 45.0

BROKEN_TEST = """
import os
from hypothesis import Phase, settings
from conformance.engines.packed import TOO_MUCH, packed_test
from conformance.rules.catalogue import BY_ID
from reference_impl.mutants.catalogue import BY_NAME

phases = [Phase[name] for name in os.environ["PHASES"].split()]
test_broken = packed_test(
    BY_NAME["mkwrite.maps_again_without_asking"].boot,
    rules=[BY_ID["MKW-EVERY"]],
    how=settings(
        max_examples=500, phases=phases, deadline=None, suppress_health_check=TOO_MUCH
    ),
)
"""


# --- the workflow ---------------------------------------------------------------------


@pytest.fixture
def workflow() -> dict[Any, Any]:
    """Return the workflow file; YAML reads its key `on` as true."""
    read: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    return read


@pytest.fixture
def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    """Return the steps of its job."""
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def command_of(steps: list[dict[str, Any]]) -> str:
    """Return the command that searches."""
    (command,) = (s["run"] for s in steps if "-m pytest" in s.get("run", ""))
    return str(command)


def options_of(steps: list[dict[str, Any]]) -> dict[str, str]:
    """Return our options on it."""
    words = shlex.split(command_of(steps))
    split = (word.partition("=") for word in words if word.startswith("--gup"))
    return {name: value for name, _, value in split}


def test_the_workflow_runs_at_night_and_by_hand(workflow: dict[Any, Any]) -> None:
    """And never in two runs at a time."""
    assert set(workflow[True]) == {"schedule", "workflow_dispatch"}
    assert workflow["concurrency"]["group"]


def test_the_workflow_gives_options_that_there_are(steps: list[dict[str, Any]]) -> None:
    """The nightly profile, a corpus, a report."""
    given = options_of(steps)

    known = {"--gup-impl", *(f"--gup-{name}" for name in options._HELP)}
    assert set(given) <= known
    assert given["--gup-profile"] == "nightly"


def test_the_workflow_keeps_what_it_finds(steps: list[dict[str, Any]]) -> None:
    """The corpus is taken, kept whatever happens, and handed out when it failed."""
    corpus = options_of(steps)["--gup-corpus"]
    about = {step["uses"]: step for step in steps if "uses" in step}
    uploads = [s for s in steps if s.get("uses", "").startswith("actions/upload")]

    assert about["actions/cache/restore@v4"]["with"]["path"] == corpus
    assert about["actions/cache/save@v4"]["with"]["path"] == corpus
    assert about["actions/cache/save@v4"]["if"] == "always()"
    assert [s["if"] for s in uploads] == ["always()", "failure()"]
    assert "gup-report.jsonl" in uploads[0]["with"]["path"]
    assert uploads[1]["with"]["path"] == corpus


@pytest.mark.slow
def test_the_command_of_the_workflow_runs(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    """With no time to search, and no race explored to its end, which takes a minute.

    What a scenario finds is in corpus and report.
    """
    mutant = "bounce.writes_the_pinned_page_itself"
    source = "from reference_impl.mutants.catalogue import BY_NAME\n"
    (tmp_path / "mymodule.py").write_text(f"{source}boot = BY_NAME[{mutant!r}].boot\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"PATH": path, "SECONDS_EACH": "0", "SEED": "7"}
    fewer = "--gup-rules=STB-PINNED -k 'not schedules'"

    ran = subprocess.run(
        ["bash", "-c", f"{command_of(steps)} {fewer}"],
        cwd=tmp_path,
        env={**os.environ, **given},
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert (tmp_path / "gup-report.jsonl").exists()
    assert len(list((tmp_path / "gup-corpus").glob("*.json"))) == 1


# --- a shared Redis -------------------------------------------------------------------


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Start a Redis on a free port of this machine."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed (Debian: redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    command = [server, *where, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with Redis(port=port) as client:
                client.ping()
                return
        except NoRedisError:
            if time.monotonic() > deadline:
                raise


def fuzz(folder: Path, redis_url: str, phases: str) -> subprocess.CompletedProcess[str]:
    """Run the test of a broken stack on a machine of its own, so to say."""
    folder.mkdir()
    shutil.copy(EXAMPLE / "conftest.py", folder)
    (folder / "test_broken.py").write_text(BROKEN_TEST)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "REDIS_URL": redis_url, "PHASES": phases},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_share_what_hypothesis_found(
    redis_url: str, tmp_path: Path
) -> None:
    """What one has found fails in the other, which searches for nothing itself."""
    before = fuzz(tmp_path / "before", redis_url, "reuse")
    finder = fuzz(tmp_path / "finder", redis_url, "generate")
    other = fuzz(tmp_path / "other", redis_url, "reuse")

    assert before.returncode == pytest.ExitCode.OK, before.stdout
    assert finder.returncode == pytest.ExitCode.TESTS_FAILED, finder.stdout
    assert other.returncode == pytest.ExitCode.TESTS_FAILED, other.stdout
    assert "MKW-EVERY: " in other.stdout


# --- HypoFuzz -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("hypofuzz") is None,
    reason="hypofuzz is not installed (its licence is non-commercial)",
)
def test_hypofuzz_collects_the_example(tmp_path: Path) -> None:
    """It fuzzes what it collects until it is stopped."""
    shutil.copy(EXAMPLE / "test_my_stack.py", tmp_path)
    hypothesis = str(Path(sys.executable).with_name("hypothesis"))
    words = [hypothesis, "fuzz", "-n", "1", "--no-dashboard", "--", "test_my_stack.py"]

    with subprocess.Popen(
        words,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as fuzzer:
        try:
            with pytest.raises(subprocess.TimeoutExpired) as running:
                fuzzer.communicate(timeout=HYPOFUZZ_SECONDS)
        finally:
            os.killpg(fuzzer.pid, signal.SIGKILL)  # it has workers

    assert running.value.stdout is not None
    assert b"using 1 process to fuzz 1 test" in running.value.stdout
