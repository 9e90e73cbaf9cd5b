"""What pytest loads: the options, and the switch.

Without `--gup-impl` or `--gup-replay` nothing happens here: neither the suite nor
Hypothesis nor attrs is imported. With one of them, `session.py` is loaded and does the
rest.
"""

import pytest

from pytest_gup import hookspecs, options
from pytest_gup.suite import PACKAGES, import_suite, ours


def pytest_addoption(
    parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager
) -> None:
    """Declare the options and the plugin's own hooks."""
    options.add_options(parser)
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch the plugin on if an implementation is to be checked."""
    if not options.is_on(config) or config.option.help:
        return
    from pytest_gup import selection  # noqa: PLC0415 - it imports attrs

    if not selection.is_wanted(config):
        return
    _leave_asserts_alone(config)
    import_suite()
    with ours():
        from pytest_gup.session import GupSession  # noqa: PLC0415 - costs 0.2 s

        config.pluginmanager.register(GupSession.from_config(config), "gup-session")


def _leave_asserts_alone(config: pytest.Config) -> None:
    """Have the suite imported as it is.

    Pytest rewrites the asserts of every module that is distributed with a plugin. Ours
    say what is wrong by themselves, and rewriting takes seconds where the result cannot
    be stored. If pytest has no such set any more, that is all that is lost.
    """
    hook = config.pluginmanager.rewrite_hook
    marked: set[str] = getattr(hook, "_must_rewrite", set())
    marked.difference_update(PACKAGES)
