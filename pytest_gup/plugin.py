"""What pytest loads: the options, and the switch.

Without `--gup-impl` nothing happens here: neither the suite nor Hypothesis nor attrs
is imported. With it, `session.py` is loaded and does the rest.
"""

import pytest

from pytest_gup import hookspecs, options
from pytest_gup.suite import import_suite, ours


def pytest_addoption(
    parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager
) -> None:
    """Declare the options and the plugin's own hooks."""
    options.add_options(parser)
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch the plugin on if an implementation is to be checked."""
    if not options.specs(config) or config.option.help:
        return
    from pytest_gup import selection  # noqa: PLC0415 - it imports attrs

    if not selection.is_wanted(config):
        return
    import_suite()
    with ours():
        from pytest_gup.session import GupSession  # noqa: PLC0415 - costs 0.2 s

        config.pluginmanager.register(GupSession.from_config(config), "gup-session")
