"""The folder of a run: it can be found again as long as anything is left of it."""

from pathlib import Path

import pytest

from pytest_gup.adapters.linux import kernel, runfolder
from pytest_gup.adapters.linux.runfolder import RECORD, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a folder with a record, and a place where something was mounted."""
    path = tmp_path / "run"
    (path / "stack").mkdir(parents=True)
    (path / RECORD).write_text("{}")
    return RunFolder(path, [], {}, {})


def test_a_folder_is_removed(folder: RunFolder) -> None:
    """With all that is in it."""
    folder.remove()

    assert not folder.path.exists()


def test_what_is_still_in_use_keeps_the_record(folder: RunFolder) -> None:
    """So that the next run finds it, and tries again."""
    busy = folder.path / "stack" / "busy"
    busy.touch()

    folder.remove()
    assert (folder.path / RECORD).exists()

    busy.unlink()
    folder.remove()
    assert not folder.path.exists()


@pytest.mark.parametrize("is_mounted", [True, False])
def test_the_controls_of_fuse_are_mounted_once(
    monkeypatch: pytest.MonkeyPatch, *, is_mounted: bool
) -> None:
    """On most machines they are there already, with or without any connection."""
    mounted: list[str] = []
    monkeypatch.setattr(Path, "is_mount", lambda _: is_mounted)
    monkeypatch.setattr(kernel, "mount", lambda *args: mounted.append(args[1]))

    runfolder.mount_connections()

    assert mounted == ([] if is_mounted else [str(runfolder.CONNECTIONS)])
