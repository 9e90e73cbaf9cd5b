"""From what was given to `--gup-impl` to something that can be booted.

A SPEC is, in this order of trial:
  * `fixture`: the fixture `gup_boot` of a conftest;
  * `mutant:NAME`: a faulty variant of the reference;
  * `linux:FS`: the running kernel with a filesystem;
  * a name registered by the hook `pytest_gup_implementations`, or by an entry point
    in the group `pytest_gup.implementations`;
  * `module[:factory]`: a module to be imported; the factory is `boot` by default.

Every failure is a `pytest.UsageError`: one sentence that names the remedy.
"""

import difflib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest

from conformance.engines.plan import SHRINK_SECONDS, STALL_SECONDS
from conformance.interface import Boot

GROUP = "pytest_gup.implementations"
FIXTURE = "gup_boot"
FILESYSTEMS = ("ext4", "xfs", "btrfs", "tmpfs")
LINUX_STALL_SECONDS = 300.0
ENGINES = {
    "quick": ("scenarios", "explorer", "schedules"),
    "ci": ("scenarios", "explorer", "packed", "schedules"),
    "nightly": ("scenarios", "explorer", "packed", "stateful", "schedules"),
}
"""What is run on an implementation, by profile."""
SLOW_ENGINES = {
    "quick": ("scenarios",),
    "ci": ("scenarios",),
    "nightly": ("scenarios", "explorer", "packed"),
}
"""Likewise, where a program takes a second instead of a hundredth."""
LINUX_REPEATS = 3
"""The machine is not ours alone: others pin pages, take memory and processors."""
LINUX_SHRINK_SECONDS = 2.0
"""For each violated rule; most are found by scenarios, which are small already."""


@attrs.frozen
class Implementation:
    """An implementation under test."""

    id: str
    """The SPEC it was named by; its name in node ids and records."""
    boot: Boot | None
    """None: the fixture `gup_boot` gives it."""
    stall_seconds: float
    """How long one program may take before the run is given up."""
    engines: Mapping[str, tuple[str, ...]] = attrs.field(factory=lambda: ENGINES)
    """What is run on it, by profile."""
    shrink_seconds: float = SHRINK_SECONDS
    """How long a program is made smaller, for each violated rule."""
    repeats: int = 0
    """How often a violation must show again before it counts (see `Plan`)."""
    folder: Path | None = None
    """Where the conftest is that has the fixture; None: it is visible everywhere."""


def connect(spec: str, config: pytest.Config) -> Implementation:
    """Find an implementation.

    Raises:
        pytest.UsageError: there is none, and what to do about it.
    """
    kind, colon, name = spec.partition(":")
    if spec == "fixture":
        return _fixture(config)
    if colon and kind == "mutant":
        return Implementation(spec, _mutant(name), STALL_SECONDS)
    if colon and kind == "linux":
        return _linux(spec, name)
    boot = _registered(spec, config) or _imported(spec, config)
    if not callable(boot):
        raise pytest.UsageError(
            f"--gup-impl={spec}: the factory is {boot!r} (should be a function that "
            "takes a Setup and returns a stack)"
        )
    return Implementation(spec, boot, STALL_SECONDS)


# --- the kinds of SPEC ------------------------------------------------------------


def _fixture(config: pytest.Config) -> Implementation:
    plugins = dict(config.pluginmanager.list_name_plugin())
    having = {name: p for name, p in plugins.items() if hasattr(p, FIXTURE)}
    if not having:
        raise pytest.UsageError(
            f"--gup-impl=fixture: there is no fixture {FIXTURE!r}; define it in a "
            f"conftest.py in {config.rootpath} or in a folder that you name on the "
            "command line, and let it return a factory"
        )
    # Of several, that of the outermost folder; a plugin's is visible everywhere.
    where = min(having, key=lambda name: len(Path(name).parts))
    if inspect.isfunction(getattr(having[where], FIXTURE)):
        raise pytest.UsageError(
            f"--gup-impl=fixture: {FIXTURE!r} in {where} is a plain function; decorate "
            "it with @pytest.fixture, and let it return a factory"
        )
    folder = Path(where).parent if Path(where).name == "conftest.py" else None
    return Implementation("fixture", None, STALL_SECONDS, folder=folder)


def _mutant(name: str) -> Boot:
    mutants: Any = importlib.import_module("reference_impl.mutants.catalogue")
    mutant = mutants.BY_NAME.get(name)
    if mutant is None:
        raise pytest.UsageError(
            f"--gup-impl=mutant:{name}: there is no such mutant; some are "
            f"{', '.join(_near(name, mutants.BY_NAME))}"
        )
    boot: Boot = mutant.boot
    return boot


def _near(name: str, known: Iterable[str]) -> list[str]:
    known = sorted(known)
    alike = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return alike or known[:5]


def _linux(spec: str, filesystem: str) -> Implementation:
    if filesystem not in FILESYSTEMS:
        raise pytest.UsageError(
            f"--gup-impl={spec}: the running kernel is checked with one of "
            f"{', '.join('linux:' + name for name in FILESYSTEMS)}"
        )
    adapter: Any = importlib.import_module("pytest_gup.adapters.linux")
    missing = adapter.missing(filesystem)
    if missing:
        raise pytest.UsageError(f"--gup-impl={spec}: {missing}")
    boot = adapter.boot_for(filesystem)
    return Implementation(
        spec,
        boot,
        LINUX_STALL_SECONDS,
        engines=SLOW_ENGINES,
        shrink_seconds=LINUX_SHRINK_SECONDS,
        repeats=LINUX_REPEATS,
    )


def _registered(name: str, config: pytest.Config) -> Any:  # noqa: ANN401 - a plugin's
    try:
        mappings = config.hook.pytest_gup_implementations()
    except Exception as error:
        raise pytest.UsageError(
            f"--gup-impl={name}: a hook pytest_gup_implementations raised "
            f"{_said(error)}; it should return factories by name"
        ) from error
    for mapping in mappings:
        if not isinstance(mapping, Mapping):
            raise pytest.UsageError(
                f"--gup-impl={name}: a hook pytest_gup_implementations returned "
                f"{mapping!r} (should be factories by name)"
            )
        if name in mapping:
            return mapping[name]
    for entry in entry_points(group=GROUP, name=name):
        return _guarded(entry.load, name, f"entry point {entry.value} does not load")
    return None


def _imported(spec: str, config: pytest.Config) -> Any:  # noqa: ANN401 - a user's
    name, _, factory = spec.partition(":")
    factory = factory or "boot"
    if not all(part.isidentifier() for part in name.split(".")):
        raise pytest.UsageError(
            f"--gup-impl={spec}: {name!r} is no name of a module; write "
            "module[:factory] with dots and without .py, mutant:NAME, linux:FS, "
            "a registered name, or fixture"
        )
    here = str(config.invocation_params.dir)
    if here not in sys.path:
        sys.path.insert(0, here)
    broken = f"the module does not import; `python -c 'import {name}'` shows where"
    load = functools.partial(importlib.import_module, name)
    module = _guarded(load, spec, broken, missing=name)
    try:
        return functools.reduce(getattr, factory.split("."), module)
    except AttributeError:
        raise pytest.UsageError(
            f"--gup-impl={spec}: module {name!r} has no {factory!r}; define "
            f"`def {factory}(setup)` in it, or name another factory with "
            f"--gup-impl={name}:FACTORY"
        ) from None


def _guarded(
    load: Callable[[], object], spec: str, broken: str, missing: str | None = None
) -> Any:  # noqa: ANN401 - whatever a user's module holds
    """Import something of the user's; whatever it raises becomes a sentence."""
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if missing is not None and _is_absent(missing, error):
            raise pytest.UsageError(
                f"--gup-impl={spec}: there is no module {missing!r}; run pytest in the "
                "folder that holds it, or install it"
            ) from error
        raise pytest.UsageError(
            f"--gup-impl={spec}: {broken} ({_said(error)})"
        ) from error


def _is_absent(name: str, error: BaseException) -> bool:
    """Tell whether it is the module itself that is missing, not one that it needs."""
    return (
        isinstance(error, ModuleNotFoundError)
        and error.name is not None
        and f"{name}.".startswith(f"{error.name}.")
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
