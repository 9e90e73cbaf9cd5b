"""The nodes that pytest collects: one for each implementation, rule and engine.

They hold no logic. The plugin parametrises `gup_node`, runs an engine once for all
its rules, and each node reads the verdict on its own.
"""

from collections.abc import Callable

import pytest


@pytest.fixture
def gup_node(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Give a node what it does: it passes, fails or skips, as the verdict says."""
    if not hasattr(request, "param"):
        pytest.skip("name an implementation: pytest --gup-impl=mymodule")
    node: Callable[[], None] = request.param(request)
    return node


def test_rule(gup_node: Callable[[], None]) -> None:
    """The implementation obeys the rule."""
    gup_node()


test_rule.__test__ = True  # type: ignore[attr-defined]  # whatever python_functions says
