"""The hooks of the plugin, for conftest files and other plugins."""

from collections.abc import Callable, Mapping

import pytest


@pytest.hookspec
def pytest_gup_implementations() -> Mapping[str, Callable[..., object]]:
    """Return implementations by name, to be chosen with `--gup-impl=NAME`.

    Each is a factory: `boot(setup)` returns a stack (see
    `conformance.interface.stack`). None is run unless it is named.
    """
    raise NotImplementedError
