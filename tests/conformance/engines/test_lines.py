"""The recorder: which lines ran between start and stop."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from coverage import Coverage

from conformance.engines.lines import NO_LINES, Recorder, recorder

SOURCE = """\
def one(flag):
    if flag:
        return "a"
    return "b"

def two():
    return [n for n in range(3)]
"""


def module_in(path: Path) -> types.ModuleType:
    """Import the source from a file."""
    path.write_text(SOURCE)
    module = types.ModuleType(path.stem)
    exec(compile(SOURCE, str(path), "exec"), vars(module))  # noqa: S102 - our own
    return module


@pytest.fixture
def watched(tmp_path: Path) -> types.ModuleType:
    """Return the module whose lines are recorded."""
    (tmp_path / "pkg").mkdir()
    return module_in(tmp_path / "pkg" / "watched.py")


@pytest.fixture
def recording(tmp_path: Path) -> Recorder:
    """Return a recorder of a folder."""
    return recorder([f"{tmp_path}/pkg/*"])


def test_each_program_has_its_own_lines(
    watched: types.ModuleType, recording: Recorder, tmp_path: Path
) -> None:
    """What ran before, or in another program, is not among them."""
    file = str(tmp_path / "pkg" / "watched.py")
    watched.two()

    seen = []
    for flag in (True, False, True):
        recording.start()
        watched.one(flag)
        seen.append(recording.stop())

    assert seen[0] == {(file, 2), (file, 3)}
    assert seen[1] == {(file, 2), (file, 4)}
    assert seen[2] == seen[0]


def test_other_files_are_not_seen(
    watched: types.ModuleType, recording: Recorder, tmp_path: Path
) -> None:
    """A program may run nothing of what is watched: that is no warning."""
    other = module_in(tmp_path / "other.py")

    recording.start()
    other.one(True)

    assert recording.stop() == NO_LINES


def test_a_recorder_beside_another(
    watched: types.ModuleType, recording: Recorder, tmp_path: Path
) -> None:
    """The implementation may be run under `coverage` as it is; that goes on after."""
    file = tmp_path / "pkg" / "watched.py"
    outer = Coverage(data_file=None, config_file=False, include=[str(file)])

    outer.start()
    recording.start()
    watched.one(True)
    seen = recording.stop()
    watched.two()
    outer.stop()

    assert seen == {(str(file), 2), (str(file), 3)}
    assert set(outer.get_data().lines(str(file)) or ()) == {7}


def test_nothing_to_watch_costs_nothing() -> None:
    """Not even the import of `coverage`.

    These tests may be measured themselves, and their children with them.
    """
    code = (
        "import sys; from conformance.engines import lines, session;"
        "idle = lines.recorder([]); idle.start();"
        "assert idle.stop() == frozenset();"
        "assert 'coverage' not in sys.modules"
    )

    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
