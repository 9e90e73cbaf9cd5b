"""A project of a user's, and ways to run pytest in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

# A run in this process forgets what it has imported: a class must not be there twice.
import pytest_gup.session  # noqa: F401
import reference_impl.mutants.catalogue  # noqa: F401
import tests
import tests.second_stack

ROOT = Path(tests.__file__).parent.parent
QUICK = ("--gup-rules=LT-REFUSE", "--gup-time=0")
"""One rule, a few scenarios, no search."""

GOOD = """
from tests.second_stack import boot
"""

BROKEN = """
from tests.second_stack import Stack, boot as boot_good

def but(**methods):
    def boot(setup):
        stack = boot_good(setup)
        stack.__class__ = type("Broken", (Stack,), {**methods, "__slots__": ()})
        return stack
    return boot

def refuse_nothing(self, process, mapping, page, pages, pin, write, longterm):
    return Stack.get_user_pages(self, process, mapping, page, pages, pin, write)

def raise_error(self, **given):
    raise RuntimeError("no such thing")

grants_longterm = but(get_user_pages=refuse_nothing)
crashes = but(get_user_pages=raise_error, get_user_pages_fast=raise_error)
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a test of the user's, and implementations good and bad."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(good=GOOD, broken=BROKEN, test_mine="def test_mine(): pass\n")
    return pytester.path


@pytest.fixture
def quick(project: Path, pytester: pytest.Pytester) -> Run:
    """Run pytest here, with little to do."""

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*QUICK, *args)

    return run


@pytest.fixture
def quick_elsewhere(project: Path, pytester: pytest.Pytester) -> Run:
    """Run pytest in a process of its own, with little to do."""

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*QUICK, *args)

    return run
