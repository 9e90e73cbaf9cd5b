"""Which of our nodes the command line asks for.

Our nodes are always there: they need not be named. But a node can be named, by the
id that pytest prints or by the path of its file, as an editor does: then only the
named ones run. And where only single tests of the user's are named, none of ours.

Interface:
  * `is_wanted(config)` tells whether any of our nodes may be asked for.
  * `take(config, known)` reads `config.args`, and leaves the user's own there.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import attrs
import pytest

from pytest_gup import options
from pytest_gup.suite import TEST_FILE

NODE_ID = "conformance/test_rules.py"
"""What our node ids begin with, wherever the suite is installed."""
FUNCTION = "test_rule"


@attrs.frozen
class Selection:
    """Which nodes are to be collected."""

    names: frozenset[str] | None
    """Names of nodes, such as `test_rule[mymodule-scenarios-MKW-EVERY]`; None: all."""

    def __contains__(self, name: str) -> bool:
        return self.names is None or name in self.names


def is_wanted(config: pytest.Config) -> bool:
    """Tell whether something else is asked for than single tests of the user's."""
    if options.text(config, "replay"):
        return True
    return not config.args or any(
        len(parts) == 1 or _may_be_ours(parts[0], config)
        for parts in map(_parts, config.args)
    )


def _may_be_ours(text: str, config: pytest.Config) -> bool:
    here = config.invocation_params.dir
    path = Path(os.path.normpath(here / text))
    named = {folder / NODE_ID for folder in (here, config.rootpath)}
    return path in named or path.resolve() == TEST_FILE


def take(config: pytest.Config, known: Collection[str]) -> Selection:
    """Take what is ours out of the arguments.

    Args:
        config: Its `args` are changed.
        known: Names of all our nodes.

    Raises:
        pytest.UsageError: a node is asked for that there is not.
    """
    split = {arg: _parts(arg) for arg in config.args}
    ours = [a for a, parts in split.items() if _is_ours(parts, config, known)]
    theirs = [arg for arg in split if arg not in ours]
    config.args[:] = theirs
    if ours:
        return Selection(_names([split[arg] for arg in ours], known))
    are_single_tests = theirs and all(len(split[arg]) > 1 for arg in theirs)
    is_theirs = are_single_tests and not options.text(config, "replay")
    return Selection(frozenset() if is_theirs else None)


def _parts(arg: str) -> list[str]:
    """Split an argument as pytest does: what is in brackets is not looked at."""
    base, bracket, rest = str(arg).partition("[")
    parts = base.split("::")
    parts[-1] += bracket + rest
    return parts


def _is_ours(parts: list[str], config: pytest.Config, known: Collection[str]) -> bool:
    if not _may_be_ours(parts[0], config):
        return False
    path = config.invocation_params.dir / parts[0]
    return not path.exists() or path.resolve() == TEST_FILE or parts[-1] in known


def _names(ours: Iterable[list[str]], known: Collection[str]) -> frozenset[str] | None:
    names: set[str] = set()
    for _, *function in ours:
        if not function or function == [FUNCTION]:
            return None
        name = "::".join(function)
        if name not in known:
            raise pytest.UsageError(
                f"not found: {NODE_ID}::{name} (no such rule, engine or implementation "
                "in this run: --gup-impl and --gup-rules say which there are)"
            )
        names.add(name)
    return frozenset(names)
