"""What counts as a statement of a file."""

from pathlib import Path

import pytest

import reference_impl
from pytest_gup.statements import statements_of

SOURCE = '''\
"""A module."""

import os

TABLE = {name: len(name) for name in ("a", "b")}


class Thing:
    """A class."""

    size: int = 3

    def grow(
        self,
        by=1,
    ):
        """Grow."""
        if by > 1 and (
            self.size
        ):
            self.size = sum(
                [by, self.size]
            )
        elif by:
            self.size += 1
        else:
            pass
        return self.size

    @property
    def odd(self): return self.size % 2


def outer(kind):
    @staticmethod
    def inner(value):
        return value

    class Local:
        field = 1

    try:
        match kind:
            case "a":
                return inner
            case _:
                return Local
    except (
        ValueError
    ):
        raise
    finally:
        os.getpid()
'''

RUN = """\
if by > 1 and (
self.size = sum(
elif by:
self.size += 1
pass
return self.size
def odd(self): return self.size % 2
@staticmethod
return value
class Local:
field = 1
try:
match kind:
case "a":
return inner
case _:
return Local
except (
raise
os.getpid()
"""


@pytest.fixture
def first(tmp_path: Path) -> dict[int, int]:
    """Return what is made of the source."""
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    return statements_of(file)


def line_of(text: str) -> int:
    """Return the number of the line that begins so."""
    (number,) = (
        number
        for number, line in enumerate(SOURCE.splitlines(), 1)
        if line.strip().startswith(text)
    )
    return number


def test_what_runs_on_import_does_not_count(first: dict[int, int]) -> None:
    """Nor does a docstring, nor what has no code."""
    lines = SOURCE.splitlines()

    statements = [lines[number - 1].strip() for number in sorted(set(first.values()))]

    assert "\n".join(statements) + "\n" == RUN


def test_a_statement_is_its_first_line(first: dict[int, int]) -> None:
    """Whichever of its lines is run."""
    assert first[line_of("[by, self.size]")] == line_of("self.size = sum(")
    assert first[line_of("ValueError")] == line_of("except (")


def test_a_real_package_can_be_read() -> None:
    """Hundreds of statements, and no line that has none."""
    folder = Path(reference_impl.__file__).parent

    for path in sorted(folder.glob("*.py")):
        first = statements_of(path)
        text = path.read_text().splitlines()
        assert all(text[number - 1].strip() for number in first)
    assert len(set(statements_of(folder / "gup.py").values())) > 80


def test_what_is_no_python_is_said(tmp_path: Path) -> None:
    """Nobody can have imported it."""
    (tmp_path / "broken.py").write_text("def f(:")

    with pytest.raises(SyntaxError):
        statements_of(tmp_path / "broken.py")
