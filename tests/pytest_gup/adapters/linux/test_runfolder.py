"""The folder of a run: it can be found again as long as anything is left of it."""

from pathlib import Path

import pytest

from pytest_gup.adapters.linux import kernel, ksm, runfolder
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


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the settings of a machine that is not this one."""
    settings = {"run": "0"}
    monkeypatch.setattr(ksm, "settings", lambda: dict(settings))
    monkeypatch.setattr(ksm, "restore", settings.update)
    return settings


def test_what_is_changed_already_is_not_taken_for_what_was(
    folder: RunFolder, machine: dict[str, str]
) -> None:
    """Two operations overlap: nothing is put back before the last has ended."""
    folder.note_settings()
    machine["run"] = "1"
    folder.note_settings()

    folder.restore_settings()
    assert machine == {"run": "1"}
    folder.restore_settings()
    assert machine == {"run": "0"}


def test_a_stack_that_is_taken_down_leaves_no_setting_changed(
    folder: RunFolder, machine: dict[str, str]
) -> None:
    """However many operations were under way; the next is told apart from them."""
    for _ in range(2):
        folder.note_settings()
        folder.note_settings()
        machine["run"] = "1"

        folder.put_settings_back()
        assert machine == {"run": "0"}


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
