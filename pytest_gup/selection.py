"""Which of our nodes the command line asks for.

Our nodes are always there: they need not be named. But a node can be named, by the
id that pytest prints or by the path of its file, as an editor does: then only the
named ones run. And where only single tests of the user's are named, none of ours.

Interface:
  * `is_wanted(config)` tells whether any of our nodes may be asked for.
  * `take(config, known)` reads `config.args`, and leaves the user's own there.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

import attrs
import pytest

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
    here = config.invocation_params.dir
    return not config.args or any(
        len(parts) == 1
        or parts[0] == NODE_ID
        or (here / parts[0]).resolve() == TEST_FILE
        for parts in map(_parts, config.args)
    )


def take(config: pytest.Config, known: Collection[str]) -> Selection:
    """Take what is ours out of the arguments.

    Args:
        config: Its `args` are changed.
        known: Names of all our nodes.

    Raises:
        pytest.UsageError: a node is asked for that there is not.
    """
    here = config.invocation_params.dir
    split = {arg: _parts(arg) for arg in config.args}
    ours = [parts for parts in split.values() if _is_ours(parts, here, known)]
    theirs = [a for a, parts in split.items() if not _is_ours(parts, here, known)]
    config.args[:] = theirs
    if ours:
        return Selection(_names(ours, known))
    are_single_tests = theirs and all(len(split[arg]) > 1 for arg in theirs)
    return Selection(frozenset() if are_single_tests else None)


def _parts(arg: str) -> list[str]:
    """Split an argument as pytest does: what is in brackets is not looked at."""
    base, bracket, rest = str(arg).partition("[")
    parts = base.split("::")
    parts[-1] += bracket + rest
    return parts


def _is_ours(parts: list[str], here: Path, known: Collection[str]) -> bool:
    path = here / parts[0]
    if path.resolve() == TEST_FILE:
        return True
    has_our_name = parts[0] == NODE_ID
    return has_our_name and (parts[-1] in known or not path.exists())


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
