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

import importlib
import sys
from importlib.metadata import entry_points
from typing import Any

import attrs
import pytest

from conformance.engines.session import STALL_SECONDS
from conformance.interface import Boot

GROUP = "pytest_gup.implementations"
FILESYSTEMS = ("ext4", "xfs", "btrfs", "tmpfs")
LINUX_STALL_SECONDS = 300.0


@attrs.frozen
class Implementation:
    """An implementation under test."""

    id: str
    """The SPEC it was named by; its name in node ids and records."""
    boot: Boot | None
    """None: the fixture `gup_boot` gives it."""
    engines: tuple[str, ...] = ("scenarios", "stateful")
    stall_seconds: float = STALL_SECONDS
    """How long one program may take before the run is given up."""


def connect(spec: str, config: pytest.Config) -> Implementation:
    """Find an implementation.

    Raises:
        pytest.UsageError: there is none, and what to do about it.
    """
    if spec == "fixture":
        return Implementation(spec, None)
    kind, colon, name = spec.partition(":")
    if colon and kind == "mutant":
        return Implementation(spec, _mutant(name))
    if colon and kind == "linux":
        return _linux(spec, name)
    registered = _registered(spec, config)
    boot = registered or _imported(spec, config)
    if not callable(boot):
        raise pytest.UsageError(
            f"--gup-impl={spec}: the factory is {boot!r} (should be a function that "
            "takes a Setup and returns a stack)"
        )
    return Implementation(spec, boot)


def _mutant(name: str) -> Boot:
    mutants: Any = importlib.import_module("reference_impl.mutants.catalogue")
    mutant = mutants.BY_NAME.get(name)
    if mutant is None:
        near = [
            known
            for known in mutants.BY_NAME
            if name.split(".", maxsplit=1)[0] in known
        ]
        listed = ", ".join(sorted(near or mutants.BY_NAME)[:8])
        raise pytest.UsageError(
            f"--gup-impl=mutant:{name}: there is no such mutant; some are {listed}"
        )
    boot: Boot = mutant.boot
    return boot


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
    return Implementation(spec, boot, ("scenarios",), LINUX_STALL_SECONDS)


def _registered(name: str, config: pytest.Config) -> Any:  # noqa: ANN401 - a plugin's
    for mapping in config.hook.pytest_gup_implementations():
        if name in mapping:
            return mapping[name]
    for entry in entry_points(group=GROUP, name=name):
        try:
            return entry.load()
        except Exception as error:
            raise pytest.UsageError(
                f"--gup-impl={name}: entry point {entry.value} does not load "
                f"({_said(error)})"
            ) from error
    return None


def _imported(spec: str, config: pytest.Config) -> Any:  # noqa: ANN401 - a user's
    name, _, factory = spec.partition(":")
    here = str(config.invocation_params.dir)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0] and error.name != name:
            raise pytest.UsageError(_broken(spec, error)) from error
        raise pytest.UsageError(
            f"--gup-impl={spec}: there is no module {name!r}; run pytest in the folder "
            "that holds it, or install it"
        ) from error
    except (Exception, SystemExit) as error:
        raise pytest.UsageError(_broken(spec, error)) from error
    boot = getattr(module, factory or "boot", None)
    if boot is None:
        raise pytest.UsageError(
            f"--gup-impl={spec}: module {name!r} has no {factory or 'boot'!r}; define "
            f"`def {factory or 'boot'}(setup)`, or name another factory with "
            f"--gup-impl={name}:FACTORY"
        )
    return boot


def _broken(spec: str, error: BaseException) -> str:
    return (
        f"--gup-impl={spec}: the module does not import ({_said(error)}); "
        f"`python -c 'import {spec.partition(':')[0]}'` shows where"
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
