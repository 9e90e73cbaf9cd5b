"""What guides a nightly search: new lines of the implementation's own package.

The explorer goes on from programs that have reached something new. In the nightly
profile that may be a line of the implementation, where it is written in Python and
`coverage` is installed. Nothing is told of these lines; `--gup-cov` does that.

Interface:
  * `guidance_for(implementation, wanted)` says what guides, and what the header says.
"""

import functools
import importlib.util
import sys
from collections.abc import Callable

import attrs

from pytest_gup.connect import Implementation

OURS = frozenset({"conformance", "pytest_gup", "builtins"})
"""Where a factory may come from that says nothing about the implementation."""


@attrs.frozen
class Guidance:
    """What guides the search on one implementation."""

    sources: tuple[str, ...]
    """Files, and folders with `/*` behind them; none: nothing guides it."""
    text: str
    """What there is to say about it, in a line; empty: nothing."""


NO_GUIDANCE = Guidance((), "")


def guidance_for(implementation: Implementation, wanted: str) -> Guidance:
    """Return what guides the search, if it is wanted (`lines`, not `off`)."""
    name = implementation.id
    if wanted == "off":
        return Guidance((), f"{name} is searched without a guide (--gup-guide=off)")
    package = implementation.boot and _package_of(implementation.boot)
    sources = _sources_of(package) if package else ()
    if not sources:
        reason = "there is no Python package that is known to be its"
        return Guidance((), f"{name} is searched without a guide: {reason}")
    if importlib.util.find_spec("coverage") is None:
        reason = "coverage is not installed; pip install 'pytest-gup[cov]'"
        return Guidance((), f"{name} is searched without a guide: {reason}")
    off = "--gup-guide=off turns it off"
    return Guidance(sources, f"new lines of {package} guide the explorer; {off}")


def _package_of(boot: Callable[..., object]) -> str | None:
    """Return the outermost package, or module, that a factory is from."""
    while isinstance(boot, functools.partial):
        boot = boot.func
    module = getattr(boot, "__module__", None) or ""
    name = module.partition(".")[0]
    return None if not name or name in OURS else name


def _sources_of(package: str) -> tuple[str, ...]:
    module = sys.modules.get(package)
    folders = tuple(getattr(module, "__path__", ()))
    if folders:
        return tuple(f"{folder}/*" for folder in folders)
    file = getattr(module, "__file__", None) or ""
    return (file,) if file.endswith(".py") else ()
