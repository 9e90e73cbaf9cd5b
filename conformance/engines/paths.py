"""Ways through the states of a race.

Interface:
  * `Steps` has the last step to each state, by which it was found.
  * `path(steps, node)` returns all steps to one.
  * `nearest(edges, start, wanted)` returns the steps to the next of some states.
"""

from collections import deque
from collections.abc import Container, Sequence

from conformance.engines.racing import Thread
from conformance.engines.states import Edge

Steps = dict[int, tuple[int, Thread]]
"""By state: the state before it, and the thread that took the step."""
BEGINNING = (-1, -1)
"""Stands for the step by which the beginning is found."""
NEAR_MAX = 100
"""States looked through for one that is near."""


def path(steps: Steps, node: int) -> list[Thread]:
    """Return the steps that lead to a state."""
    found = []
    while steps[node] != BEGINNING:
        node, thread = steps[node]
        found.append(thread)
    return found[::-1]


def nearest(
    edges: Sequence[Sequence[Edge]], start: int, wanted: Container[int]
) -> tuple[int, list[Thread]] | None:
    """Return the wanted state that comes first, and the steps to it.

    Returns:
        None: none of them is near.
    """
    steps: Steps = {start: BEGINNING}
    queue = deque(steps)
    while queue and len(steps) < NEAR_MAX:
        node = queue.popleft()
        if node in wanted:
            return node, path(steps, node)
        for edge in edges[node]:
            if edge.target not in steps:
                steps[edge.target] = node, edge.thread
                queue.append(edge.target)
    return None
