"""The plugin as a whole: switched off, switched on, and what verdicts become."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance.scenarios.races import RACED
from conformance.verdicts import Verdict
from pytest_gup import session
from tests.pytest_gup.conftest import ROOT, Run
from tests.pytest_gup.verdicts import engine

MUST, MAY = "REF-FREE", "REF-BIAS"
Made = Callable[..., pytest.RunResult]


@pytest.fixture
def made(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Made:
    """Run pytest with engines that find given verdicts."""

    def run(
        *args: str, search: dict[str, Verdict] | None = None, **verdicts: Verdict
    ) -> pytest.RunResult:
        found = {rule.replace("_", "-"): verdict for rule, verdict in verdicts.items()}
        engines = {"scenarios": engine(found), "explorer": engine(search or {})}
        engines["schedules"] = engine({})
        monkeypatch.setattr(session, "ENGINES", engines)
        return pytester.runpytest_inprocess("--gup-impl=good", *args)

    return run


def test_schedules_of_what_is_not_stepped_are_no_pass(
    project: Path, pytester: pytest.Pytester
) -> None:
    """The engine alone, on a stack whose calls block: skipped, and it says why."""
    result = pytester.runpytest_inprocess(
        "--gup-impl=good", "--gup-engines=schedules", "--gup-rules=WB-WALK", "-rs"
    )

    result.assert_outcomes(passed=1, skipped=1)  # the test that passes is the user's
    result.stdout.fnmatch_lines(["SKIPPED*not-observable: stepping*"])


# --- switched off -----------------------------------------------------------------

OFF = """
import sys
import pytest

class Look:
    def pytest_sessionfinish(self):
        names = {name.partition(".")[0] for name in sys.modules}
        heavy = names & {"attr", "attrs", "hypothesis", "conformance", "reference_impl"}
        print("loaded:", sorted(heavy))

sys.exit(pytest.main(["-q", "-p", "no:hypothesispytest"], plugins=[Look()]))
"""


@pytest.mark.slow
def test_switched_off_it_imports_nothing(project: Path) -> None:
    """A project that has the plugin installed pays nothing for it."""
    done = subprocess.run(
        [sys.executable, "-c", OFF],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "loaded: []" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_the_plugin_can_be_named(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works where plugins are not loaded by themselves."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    result = pytester.runpytest_subprocess(
        "-p",
        "pytest_gup.plugin",
        "--gup-impl=good",
        "--gup-rules=LT-REFUSE",
        "--gup-time=0",
    )

    result.assert_outcomes(passed=2, skipped=1)


@pytest.mark.slow
def test_the_plugin_can_be_left_out(pytester: pytest.Pytester, project: Path) -> None:
    """Nothing breaks without it."""
    pytester.runpytest_subprocess("-p", "no:gup").assert_outcomes(passed=1)


# --- verdicts and outcomes ----------------------------------------------------------


def test_the_header_says_how_to_do_it_again(quick: Run) -> None:
    """Implementation, promise, profile, seed."""
    quick("--gup-impl=good", "--gup-seed=5").stdout.fnmatch_lines(
        ["gup: good; promise document, 1 rules, profile quick (0 s), seed 5"]
    )


@pytest.mark.parametrize(
    ("rule", "verdict", "outcome", "code"),
    [
        (MUST, Verdict.HELD, "passed", 0),
        (MUST, Verdict.VIOLATED, "failed", 1),
        (MAY, Verdict.VIOLATED, "xfailed", 0),
        (MUST, Verdict.CRASHED, "failed", 1),
        (MAY, Verdict.CRASHED, "failed", 1),
        (MUST, Verdict.ERRORED, "failed", 3),
        (MUST, Verdict.NOT_OBSERVABLE, "skipped", 0),
        (MUST, Verdict.NOT_EXERCISED, "skipped", 0),
        (MUST, Verdict.INCONCLUSIVE, "skipped", 0),
        (MUST, Verdict.UNTESTED, "skipped", 0),
    ],
)
def test_what_becomes_of_a_verdict(
    made: Made, rule: str, verdict: Verdict, outcome: str, code: int
) -> None:
    """Only a violated MUST, a crash, and a failure of our own fail a run."""
    verdicts = {rule.replace("-", "_"): verdict}

    result = made(f"--gup-rules={rule}", "-rA", **verdicts)

    found = result.parseoutcomes()
    assert result.ret == code
    assert found.pop("passed") == 2 + (rule in RACED) + (outcome == "passed")
    assert found == ({} if outcome == "passed" else {outcome: 1})
    if outcome == "skipped":
        because = f"{verdict.value}: because it is {verdict.value}"
        result.stdout.fnmatch_lines([f"SKIPPED*{because}"])


def test_a_failure_shows_all_that_is_known(made: Made) -> None:
    """The sentence, the rule, the program as Python, the timeline."""
    result = made(f"--gup-rules={MUST}", REF_FREE=Verdict.VIOLATED)

    result.stdout.fnmatch_lines(
        [
            "REF-FREE: page 0 was lost",
            "  rule *",
            "  clause *",
            "  scenario  made-up",
            "  program   ????????, 3 operations",
            "  again     pytest --gup-impl=good --gup-replay=????????",
            "from conformance.interface import [*]",
            "program = Program(",
            "        GetUserPages(),",
            "cpu      writeback",
            "0: store(value=1) -> ok",
            "  it shows at call 2: page 0 was lost",
            "FAILED conformance/test_rules.py::test_rule[[]good-scenarios-REF-FREE]*",
        ]
    )
    assert "node.py" not in result.stdout.str()


def test_what_does_not_fail_is_shown_on_demand(made: Made) -> None:
    """A violated MAY has its sentence in the summary, with -v its program, too."""
    short = made(f"--gup-rules={MAY}", REF_BIAS=Verdict.VIOLATED).stdout
    long = made(f"--gup-rules={MAY}", "-v", REF_BIAS=Verdict.VIOLATED).stdout

    short.fnmatch_lines(["  ????????  REF-BIAS (MAY): page 0 was lost"])
    short.no_fnmatch_line("*program = Program*")
    long.fnmatch_lines(["  ????????  REF-BIAS*", "  program = Program("])


def test_a_crash_shows_its_trace(made: Made) -> None:
    """What was raised, and where."""
    result = made(f"--gup-rules={MUST}", REF_FREE=Verdict.CRASHED)

    result.stdout.fnmatch_lines(["REF-FREE: good crashed: it broke", "a trace"])


def test_other_reports_get_plain_properties(made: Made, project: Path) -> None:
    """JUnit's XML says rule and verdict, and is well-formed."""
    made(f"--gup-rules={MUST}", "--junitxml=out.xml", REF_FREE=Verdict.VIOLATED)

    tree = ET.parse(project / "out.xml")  # noqa: S314 - pytest has just written it
    properties = [p.attrib for p in tree.iter("property")]
    assert {"name": "gup_rule", "value": "REF-FREE"} in properties
    assert {"name": "gup_verdict", "value": "violated"} in properties
    assert {"name": "gup_verdict", "value": "held"} in properties
    assert len(properties) == 7 + 6 + 6


def test_it_stops_at_the_first_failure(made: Made) -> None:
    """-x works as with any test."""
    result = made("-x", "--gup-rules=REF-*", REF_FREE=Verdict.VIOLATED)

    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_a_stack_that_is_gone_when_it_is_needed(
    quick: Run, pytester: pytest.Pytester
) -> None:
    """A fixture that boots nothing is a crash of every rule."""
    pytester.makeconftest(
        "import pytest\n"
        "@pytest.fixture\n"
        "def gup_boot():\n"
        "    def boot(setup): raise OSError('gone')\n"
        "    return boot\n"
    )

    result = quick("--gup-impl=fixture")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*LT-REFUSE*crashed*boot fails: OSError: gone"])


def test_real_engines_find_a_violation(quick: Run) -> None:
    """A stack that grants what it should refuse; the rule is a MAY."""
    result = quick("--gup-impl=broken:grants_longterm", "-rx")

    result.assert_outcomes(passed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL * violated, but only a MAY: ????????: *"])


def test_real_engines_find_a_crash(quick: Run) -> None:
    """A stack that raises what the contract does not allow."""
    result = quick("--gup-impl=broken:crashes")

    result.assert_outcomes(passed=1, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["LT-REFUSE: broken:crashes crashed: *no such thing*"])


# --- being interrupted ----------------------------------------------------------------

ENDLESS = """
import os
import tests.second_stack

def boot(setup):
    if os.path.exists("go"):
        with open("child", "w") as file:
            file.write(str(os.getpid()))
        while True:
            pass
    open("go", "w").close()
    return tests.second_stack.boot(setup)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_pytest(
    project: Path, pytester: pytest.Pytester, number: signal.Signals
) -> None:
    """However pytest ends, the implementation ends with it."""
    pytester.makepyfile(endless=ENDLESS)
    command = [sys.executable, "-m", "pytest", "-q", "--gup-impl=endless"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        child = int(_read(project / "child"))
        running.send_signal(number)
        running.communicate()

    assert _is_gone(child)
    assert running.returncode in {pytest.ExitCode.INTERRUPTED, -number}


def _read(path: Path) -> str:
    """Return what is written to a file as soon as it is."""
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return path.read_text()


def _is_gone(pid: int) -> bool:
    """Tell whether a process ends; the signal that it was sent may be on its way."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and ") Z " in status.read_text():
            return True
        time.sleep(0.01)
    return False
