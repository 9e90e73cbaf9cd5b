"""From a SPEC to something that boots, in each of the ways to register it."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from conformance.engines.plan import Plan
from conformance.engines.session import SEARCHES
from pytest_gup import connect
from pytest_gup.settings import SHRINK_SHARE, Settings
from tests.pytest_gup.conftest import Run

USAGE = pytest.ExitCode.USAGE_ERROR
HELD = {"passed": 2, "skipped": 1}
"""The user's test, our rule by scenarios; the search has no time."""


def test_a_module_with_boot(quick: Run) -> None:
    """The module is found in the folder where pytest was started."""
    quick("--gup-impl=good").assert_outcomes(**HELD)


@pytest.mark.parametrize("spec", ["good:boot", "things:Things.boot"])
def test_another_factory(quick: Run, pytester: pytest.Pytester, spec: str) -> None:
    """It is named after a colon, with dots where it is inside of something."""
    pytester.makepyfile(
        things="import good\nclass Things:\n    boot = staticmethod(good.boot)\n"
    )

    quick(f"--gup-impl={spec}").assert_outcomes(**HELD)


def test_the_hook(quick: Run, pytester: pytest.Pytester) -> None:
    """A conftest, or another plugin, names implementations."""
    pytester.makeconftest(
        "import good\n"
        "def pytest_gup_implementations():\n"
        "    return {'my stack': good.boot, 'other': None}\n"
    )

    quick("--gup-impl=my stack").assert_outcomes(**HELD)


def test_an_entry_point(
    quick: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution names implementations; one is loaded when it is asked for."""
    pytester.syspathinsert()
    entry = EntryPoint("installed", "good:boot", connect.GROUP)
    monkeypatch.setattr(connect, "entry_points", _of(entry))

    quick("--gup-impl=installed").assert_outcomes(**HELD)


def _of(*entries: EntryPoint) -> Callable[..., EntryPoints]:
    return EntryPoints(entries).select


FIXTURE = """
import pytest
from tests.second_stack import boot

@pytest.fixture
def gup_boot(request):
    return boot
"""


@pytest.mark.parametrize("folder", [".", "checks", "checks/deep"])
def test_the_fixture(quick: Run, project: Path, folder: str) -> None:
    """It may stand in the conftest of any folder that is collected from the start."""
    where = project / folder
    where.mkdir(parents=True, exist_ok=True)
    (where / "conftest.py").write_text(FIXTURE)
    (where / "test_more.py").write_text("def test_more(gup_boot): pass\n")

    result = quick("--gup-impl=fixture", "test_mine.py", f"{folder}/test_more.py")

    result.assert_outcomes(passed=3, skipped=1)


def test_the_fixture_without_other_tests(quick: Run, project: Path) -> None:
    """A node named by its id needs nothing else to be collected."""
    (project / "tests").mkdir()
    (project / "tests" / "conftest.py").write_text(FIXTURE)
    node = "conformance/test_rules.py::test_rule[fixture-scenarios-LT-REFUSE]"

    quick("--gup-impl=fixture", node).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("body", "outcome", "text"),
    [
        ("raise OSError('no disk')", {"failed": 2}, "*OSError: no disk*"),
        ("return 7", {"failed": 2}, "*gup_boot is 7 (should be a factory*"),
        ("return lambda setup: None", {"failed": 2}, "*boot fails: it returned a Non*"),
        ("pytest.skip('no disk')", {"skipped": 2}, "*: not-exercised *"),
    ],
)
def test_a_fixture_that_gives_no_stack(
    quick: Run,
    pytester: pytest.Pytester,
    body: str,
    outcome: dict[str, int],
    text: str,
) -> None:
    """Each node says why, and the summary has a verdict."""
    pytester.makeconftest(FIXTURE.replace("return boot", body))

    result = quick("--gup-impl=fixture", "-rs")

    result.assert_outcomes(passed=1, **outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines([text])
        result.stdout.fnmatch_lines(["*promise document*: 1 crashed"])
    else:
        result.stdout.fnmatch_lines(["*promise document*: 1 not-exercised"])


def test_a_mutant(quick: Run) -> None:
    """A faulty variant of the reference, to see what a violation looks like."""
    result = quick("--gup-impl=mutant:longterm.grants_all")

    result.assert_outcomes(passed=1, xfailed=1, skipped=1)


BAD_MODULES = {
    "raising": "raise OSError('no disk')",
    "needy": "import nowhere_at_all",
    "leaving": "import sys; sys.exit(3)",
    "rude": "raise BaseException",
    "empty": "",
    "odd": "boot = 7",
    "failing": "def boot(setup): raise OSError('no disk')",
    "quitting": "import sys\ndef boot(setup): sys.exit(3)",
    "ending": "import os\ndef boot(setup): os._exit(3)",
    "silent": "def boot(setup): pass",
    "closed": "def boot(): pass",
    "endless": "def boot(setup):\n    while True: pass",
}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nowhere", "there is no module 'nowhere'; run pytest in the folder that *"),
        ("good.inner", "there is no module 'good.inner'; run pytest in the folder *"),
        ("good.py", "there is no module 'good.py'; run pytest in the folder *"),
        ("./good.py", "'./good.py' is no name of a module; write module[[]:factory] *"),
        (
            "raising",
            "*not import; `python -c 'import raising'` shows where (OSError: no disk)",
        ),
        ("needy", "the module does not import; *(ModuleNotFoundError: No module *)"),
        ("leaving", "the module does not import; * (SystemExit: 3)"),
        ("rude", "the module does not import; * (BaseException)"),
        (
            "empty",
            "module 'empty' has no 'boot'; *another factory with --gup-impl=empty:FAC*",
        ),
        ("empty:start", "module 'empty' has no 'start'; define `def start(setup)` *"),
        ("odd", "the factory is 7 (should be a function that takes a Setup and *"),
        ("failing", "boot fails (OSError: no disk); it is called with a Setup and *"),
        ("quitting", "boot fails (SystemExit: 3); it is called with a Setup and *"),
        ("ending", "boot fails (its process ended with exit status 3); it is *"),
        ("silent", "boot fails (it returned a NoneType, which has no method of a *"),
        ("closed", "boot fails (TypeError: boot() takes 0 positional arguments *"),
        ("endless", "boot fails (it did not return within 0.3 s); it is called *"),
        ("mutant:nothing.such", "there is no such mutant; some are *"),
        ("mutant:", "there is no such mutant; some are *"),
        ("linux:fat", "the running kernel is checked with one of linux:ext4, *"),
        ("fixture", "there is no fixture 'gup_boot'; define it in a conftest.py in *"),
        ("taken", "entry point broken_one does not load (ModuleNotFoundError: *)"),
    ],
)
def test_what_cannot_be_connected_is_one_sentence(
    quick: Run,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    spec: str,
    sentence: str,
) -> None:
    """Exit code 4, the remedy, and no traceback."""
    monkeypatch.setattr(connect, "STALL_SECONDS", 0.3)
    entry = EntryPoint("taken", "broken_one", connect.GROUP)
    monkeypatch.setattr(connect, "entry_points", _of(entry))
    pytester.makepyfile(**BAD_MODULES)

    result = quick(f"--gup-impl={spec}")

    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: --gup-impl={spec}: {sentence}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return 7", "a hook pytest_gup_implementations returned 7 (should be *"),
        ("return 1 / 0", "a hook pytest_gup_implementations raised Zero*; it should *"),
    ],
)
def test_a_broken_hook_is_one_sentence(
    quick: Run, pytester: pytest.Pytester, body: str, sentence: str
) -> None:
    """It is not clear which conftest it is; that it is the hook is."""
    pytester.makeconftest(f"def pytest_gup_implementations():\n    {body}\n")

    result = quick("--gup-impl=good")

    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: --gup-impl=good: {sentence}"])


def test_a_fixture_that_is_none(quick: Run, pytester: pytest.Pytester) -> None:
    """A plain function of that name has lost its decorator."""
    pytester.makeconftest("def gup_boot(): pass\n")

    result = quick("--gup-impl=fixture")

    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["ERROR: *is a plain function; decorate it with *"])


def test_the_kernel_without_what_it_needs(
    quick: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said by the adapter."""
    adapter = pytest.importorskip("pytest_gup.adapters.linux")
    monkeypatch.setattr(adapter, "missing", lambda _: "run it as root")

    result = quick("--gup-impl=linux:ext4")

    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["ERROR: --gup-impl=linux:ext4: run it as root"])


def test_the_kernel_gets_more_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is slow, and not alone: what it violates must repeat, three times."""
    adapter = pytest.importorskip("pytest_gup.adapters.linux")
    monkeypatch.setattr(adapter, "missing", lambda _: None)
    monkeypatch.setattr(adapter, "boot_for", lambda filesystem: filesystem)

    found = connect._linux("linux:xfs", "xfs")

    assert str(found.boot) == "xfs"
    assert found.engines["quick"] == ("scenarios",)
    assert "explorer" in found.engines["nightly"]
    assert found.stall_seconds == connect.LINUX_STALL_SECONDS
    assert found.repeats == 3


@pytest.mark.parametrize(
    ("options", "searches"),
    [
        ((), False),
        (("--gup-profile=ci",), False),
        (("--gup-profile=nightly",), True),
        (("--gup-time=5",), True),
        (("--gup-engines=packed",), True),
    ],
)
def test_what_is_slow_is_searched_only_when_there_is_time(
    pytester: pytest.Pytester, options: tuple[str, ...], *, searches: bool
) -> None:
    """The clock gives it; a number of programs says nothing of how long they take."""
    slow = connect.Implementation("slow", None, 300.0, engines=connect.SLOW_ENGINES)
    settings = Settings.from_config(pytester.parseconfig(*options))

    engines = settings.engines_of(slow)

    assert bool(set(SEARCHES).intersection(engines)) is searches


def test_the_time_is_shared_among_what_searches(pytester: pytest.Pytester) -> None:
    """Two engines have half of it each."""
    settings = Settings.from_config(
        pytester.parseconfig("--gup-time=10", "--gup-engines=scenarios,packed,explorer")
    )

    plan = settings.plan(connect.Implementation("any", None, 1.0))

    assert plan.seconds == 5.0


def test_a_plan_takes_what_the_implementation_needs(pytester: pytest.Pytester) -> None:
    """And gives its programs more time to get small where there is a lot."""
    slow = connect.Implementation("slow", None, 300.0, shrink_seconds=2.0, repeats=3)

    def plan(*options: str) -> Plan:
        return Settings.from_config(pytester.parseconfig(*options)).plan(slow)

    assert (plan().shrink_seconds, plan().repeats) == (2.0, 3)
    assert plan("--gup-time=600").shrink_seconds == 600 * SHRINK_SHARE


def test_in_ci_a_program_is_shrunk_to_the_end(pytester: pytest.Pytester) -> None:
    """The clock must not say what is found; the kernel says something else anyway."""
    fast = connect.Implementation("fast", None, 20.0)
    slow = connect.Implementation("slow", None, 300.0, shrink_seconds=2.0, repeats=3)
    settings = Settings.from_config(pytester.parseconfig("--gup-profile=ci"))

    plans = settings.plan(fast), settings.plan(slow)

    assert [plan.shrink_seconds for plan in plans] == [60.0, 2.0]
    assert plans[0].shrink_seconds_all >= 10 * 60.0


@pytest.mark.slow
def test_errors_look_the_same_under_xdist(quick_elsewhere: Run) -> None:
    """The controller finds them, before a worker is started."""
    result = quick_elsewhere("--gup-impl=nowhere", "-n", "2")

    assert result.ret == USAGE
    result.stderr.fnmatch_lines(["ERROR: --gup-impl=nowhere: there is no module *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
