"""Lines by rule: gathered, merged, written."""

import pytest
from hypothesis import given, strategies as st

from conformance.engines.reach import Reach, as_text, from_text, merge


def test_a_rule_has_the_lines_of_its_programs() -> None:
    """Of those in which it was exercised, and of no other."""
    reach = Reach()

    reach.add(frozenset({("a.py", 1), ("a.py", 2), ("b.py", 7)}), ["ONE", "TWO"])
    reach.add(frozenset({("a.py", 3)}), ["ONE"])
    reach.add(frozenset({("a.py", 9)}), [])

    assert reach.by_file() == {
        "a.py": {"ONE": "1-3", "TWO": "1-2"},
        "b.py": {"ONE": "7", "TWO": "7"},
    }


def test_two_workers_are_added_up() -> None:
    """What either has seen was seen."""
    one = {"a.py": {"ONE": "1-3"}, "b.py": {"ONE": "4"}}
    other = {"a.py": {"ONE": "3-4", "TWO": "8"}, "c.py": {"TWO": "1"}}

    assert merge(one, other) == {
        "a.py": {"ONE": "1-4", "TWO": "8"},
        "b.py": {"ONE": "4"},
        "c.py": {"TWO": "1"},
    }
    assert one == {"a.py": {"ONE": "1-3"}, "b.py": {"ONE": "4"}}


@pytest.mark.parametrize(
    ("lines", "text"),
    [([], ""), ([4], "4"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10"), ([3, 1, 2], "1-3")],
)
def test_lines_are_written_as_ranges(lines: list[int], text: str) -> None:
    """As a person writes them."""
    assert as_text(lines) == text


@given(st.sets(st.integers(1, 300)))
def test_what_is_written_can_be_read(lines: set[int]) -> None:
    """Nothing is lost."""
    assert from_text(as_text(lines)) == lines
