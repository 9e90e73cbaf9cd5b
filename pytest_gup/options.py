"""The options of the plugin, each with an ini twin.

What is given on the command line wins over the ini file. Nothing here imports the
suite: a run without `--gup-impl` pays for reading this file only.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

PROMISES = ("document", "mainline")
PROFILES = ("quick", "ci", "nightly")
GUIDES = ("lines", "off")

_HELP = {
    "rules": "judge only the rules whose id matches GLOB, such as 'MKW-*'",
    "promise": "what to hold the implementation to: document (default) or mainline",
    "profile": "how long to search: quick (default), ci or nightly",
    "time": "search for SECONDS instead of a number of programs",
    "engines": "run these engines, such as scenarios,explorer, not the profile's",
    "seed": "seed of the random search; printed by every run",
    "corpus": "keep counterexamples in DIR, which may be shared (default: .gup)",
    "replay": "run one counterexample again, and nothing else",
    "cov": "tell which lines of PACKAGE the rules exercise; needs pytest-gup[cov]",
    "guide": "what guides a nightly search: lines (new ones; default), or off",
    "report": "write the verdicts to FILE, one JSON record on a line",
}
_METAVARS = {
    "rules": "GLOB",
    "time": "SECONDS",
    "engines": "NAME,...",
    "seed": "N",
    "corpus": "DIR",
    "replay": "ID|FILE",
    "cov": "PACKAGE,...",
    "report": "FILE",
}


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and their ini twins."""
    group = parser.getgroup("gup", "checking a get_user_pages stack")
    group.addoption(
        "--gup-impl",
        action="append",
        default=None,
        metavar="SPEC",
        dest="gup_impl",
        help="check an implementation: module[:factory], mutant:NAME, linux:FS, "
        "a registered name, or fixture; repeatable",
    )
    choices = {"promise": PROMISES, "profile": PROFILES, "guide": GUIDES}
    for name, text in _HELP.items():
        listed = choices.get(name)
        group.addoption(
            f"--gup-{name}",
            default=None,
            metavar=_METAVARS.get(name, "|".join(listed or ())),
            dest=f"gup_{name}",
            help=text,
        )
        parser.addini(f"gup_{name}", f"see --gup-{name}", default=None)
    parser.addini("gup_impl", "see --gup-impl", type="args", default=None)


def is_on(config: pytest.Config) -> bool:
    """Tell whether there is an implementation to check."""
    return bool(specs(config) or text(config, "replay"))


def specs(config: pytest.Config) -> list[str]:
    """Return the implementations asked for, in order, each once."""
    given: Sequence[str] = (
        config.getoption("gup_impl") or config.getini("gup_impl") or ()
    )
    return list(dict.fromkeys(given))


def text(config: pytest.Config, name: str, default: str = "") -> str:
    """Return the value of an option that is any text."""
    value: str | None = config.getoption(f"gup_{name}")
    return (value if value is not None else config.getini(f"gup_{name}")) or default


def choice(config: pytest.Config, name: str, among: Sequence[str]) -> str:
    """Return the value of an option that is one of a few words.

    Raises:
        pytest.UsageError: it is none of them.
    """
    value = text(config, name, among[0])
    if value not in among:
        raise pytest.UsageError(
            f"--gup-{name} is {value!r} (should be one of {', '.join(among)})"
        )
    return value


def number(
    config: pytest.Config, name: str, kind: Callable[[str], Any], least: float
) -> Any:  # noqa: ANN401 - int or float, as `kind` says
    """Return the value of an option that is a number, or None if it was not given.

    Raises:
        pytest.UsageError: it is no number, or below `least`.
    """
    value = text(config, name)
    if not value:
        return None
    try:
        parsed = kind(value)
    except ValueError:
        parsed = math.nan
    if not least <= parsed < math.inf:
        word = "whole number" if kind is int else "number"
        raise pytest.UsageError(
            f"--gup-{name} is {value!r} (should be a {word} from {least:g} on)"
        )
    return parsed
