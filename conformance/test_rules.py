"""The nodes that pytest collects: one for each implementation, rule and engine.

They hold no logic. The plugin parametrises `gup_node`, runs an engine once for all
its rules, and each node reads the verdict on its own.
"""

from typing import Protocol


class Node(Protocol):
    """What the plugin's fixture gives."""

    def tell(self) -> None:
        """Pass, fail or skip, as the verdict says."""
        ...


def test_rule(gup_node: Node) -> None:
    """The implementation obeys the rule."""
    gup_node.tell()


test_rule.__test__ = True  # type: ignore[attr-defined]  # whatever python_functions says
