"""What guides a nightly search."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import reference_impl
from conformance.engines.plan import STALL_SECONDS
from conformance.interface import Setup
from pytest_gup.connect import Implementation
from pytest_gup.guidance import guidance_for
from reference_impl.mutants.catalogue import BY_NAME
from tests import second_stack
from tests.pytest_gup.conftest import Run

NIGHTLY = ("--gup-profile=nightly", "--gup-time=0.2", "--gup-engines=explorer")
REFERENCE = (f"{Path(reference_impl.__file__).parent}/*",)


class Factory:
    """A factory may be any callable."""

    def __call__(self, setup: Setup) -> object:
        """Boot the second stack."""
        return second_stack.boot(setup)


def sources(boot: Callable[..., object] | None, wanted: str = "lines") -> object:
    """Return what guides a search on what a factory boots."""
    named = Implementation("it", boot, STALL_SECONDS)
    return guidance_for(named, wanted).sources


def test_the_package_of_the_factory_guides() -> None:
    """All of it, wherever in it the factory is, and however it is wrapped."""
    mutant = BY_NAME["bounce.writes_the_pinned_page_itself"].boot

    assert sources(reference_impl.boot) == REFERENCE
    assert sources(partial(partial(reference_impl.boot))) == REFERENCE
    assert sources(mutant) == REFERENCE
    assert sources(Factory()) == (f"{Path(second_stack.__file__).parent.parent}/*",)


@pytest.mark.parametrize("boot", [None, dict, partial(int), guidance_for])
def test_what_is_not_known_guides_nothing(boot: Callable[..., object] | None) -> None:
    """A fixture, a factory that is no Python function, or one of the plugin's own."""
    assert sources(boot) == ()


def test_a_module_is_a_package_of_one_file(quick: Run, project: Path) -> None:
    """The header says what guides, and how to turn it off; no table is printed."""
    result = quick("--gup-impl=good", *NIGHTLY)

    result.stdout.fnmatch_lines(
        [
            "gup: good; *profile nightly*",
            "gup: new lines of tests guide the explorer; --gup-guide=off turns it off",
        ]
    )
    result.stdout.no_fnmatch_line("*gup: lines of*")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ("--gup-guide=off",),
            "gup: good is searched without a guide (--gup-guide=off)",
        ),
        (("--gup-cov=good",), None),
        (("--gup-profile=ci",), None),
        (("--gup-engines=scenarios",), None),
    ],
)
def test_the_header_is_short(
    quick: Run, args: tuple[str, ...], line: str | None
) -> None:
    """Nothing is said where nothing would guide, or what does was asked for."""
    result = quick("--gup-impl=good", *NIGHTLY, *args)

    if line is None:
        result.stdout.no_fnmatch_line("gup: *guide*")
    else:
        result.stdout.fnmatch_lines([line])
    result.stdout.no_fnmatch_line("gup: new lines of*")


def test_without_coverage_it_is_said_and_goes_on(
    quick: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to install is named."""
    found = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> object:
        return None if name == "coverage" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    result = quick("--gup-impl=good", *NIGHTLY)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "gup: good is searched without a guide: coverage is not installed; *",
        ]
    )


def test_another_guide_is_one_sentence(quick: Run) -> None:
    """There are two."""
    result = quick("--gup-impl=good", "--gup-guide=branches")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gup-guide is 'branches' (should be one of*"])
