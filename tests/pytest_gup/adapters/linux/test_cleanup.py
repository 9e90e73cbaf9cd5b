"""Whatever ends a run, nothing of it is left: no mount, device, process, folder."""

import signal
import tempfile
from pathlib import Path

import pytest

from conformance.interface import HoldPoint, Setup
from pytest_gup.adapters.linux import ksm
from pytest_gup.adapters.linux.boot import boot
from pytest_gup.adapters.linux.filesystems import EXT4, TMPFS
from pytest_gup.adapters.linux.lab import close_lab, the_lab
from pytest_gup.adapters.linux.stack import DiskStack
from tests.pytest_gup.adapters.linux.conftest import Start

pytestmark = [pytest.mark.linux, pytest.mark.slow]

TURNS = 100
"""Boots of a run that leaves the machine to nobody."""

BUSY = """
    import time
    from conformance.interface import HoldPoint, Setup
    from pytest_gup.adapters.linux import boot_for
    from pytest_gup.adapters.linux.lab import the_lab

    stack = boot_for("{filesystem}")(Setup())
    pin = stack.get_user_pages(0, 0, 1, 1, pin=0, write=True, longterm=False)
    while "Done" not in str(pin.state()):
        time.sleep(0.001)
    stored = stack.store(0, 0, 0, 0, 7)
    while "Done" not in str(stored.state()):
        time.sleep(0.001)
    stack.hold(HoldPoint.{point})
    sync = stack.fsync(0)
    while "Blocked" not in str(sync.state()):
        time.sleep(0.001)
    print(the_lab().folder, flush=True)
    {then}
"""
"""A page is pinned, the disk is held, and a sync waits for it."""


FAMILY = """
    import time
    from conformance.interface import HoldPoint, Setup
    from pytest_gup.adapters.linux import boot_for
    from pytest_gup.adapters.linux.lab import the_lab

    def wait(call, word="Done"):
        while word not in str(call.state()):
            time.sleep(0.001)

    stack = boot_for("{filesystem}")(Setup())
    wait(stack.store(0, 0, 0, 0, 7))
    wait(stack.get_user_pages(0, 0, 1, 1, pin=0, write=True, longterm=False))
    wait(stack.fork(0, 1))
    wait(stack.exit(0))
    wait(stack.fork(1, 2))
    wait(stack.get_user_pages(2, 0, 2, 1, pin=1, write=True, longterm=False))
    stack.hold(HoldPoint.AFTER_CAPTURE)
    wait(stack.fsync(0), "Blocked")
    ended = stack.exit(1)
    print(the_lab().folder, flush=True)
    time.sleep(600)
"""
"""A parent has ended with a page pinned, its grandchild has one pinned, too."""

CHANGED = """
    import time
    from pathlib import Path
    from pytest_gup.adapters.linux import ksm
    from pytest_gup.adapters.linux.lab import the_lab

    the_lab().note_settings()
    Path(ksm.FOLDER, "pages_to_scan").write_text("1234")
    Path(ksm.FOLDER, "run").write_text("1")
    print(the_lab().folder, flush=True)
    time.sleep(600)
"""
"""In the middle of merging, settings of the machine are not what they were."""

needs_merging = pytest.mark.skipif(
    not ksm.is_there(), reason="this kernel does not merge, or somebody has it merge"
)


def busy(then: str, filesystem: str = "ext4", point: str = "AFTER_CAPTURE") -> str:
    """Return a program that gets into the middle of things, and then does this."""
    return BUSY.format(then=then, filesystem=filesystem, point=point)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("point", ["BEFORE_CAPTURE", "AFTER_CAPTURE"])
def test_sigterm_in_mid_air(run: Start, filesystem: str, point: str) -> None:
    """SIGTERM while calls are blocked leaves nothing."""
    one = run(busy("time.sleep(600)", filesystem, point))

    one.process.send_signal(signal.SIGTERM)
    one.process.wait()

    assert one.wait_until_gone() == []


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("point", ["BEFORE_CAPTURE", "AFTER_CAPTURE"])
def test_kill_in_mid_air(run: Start, filesystem: str, point: str) -> None:
    """SIGKILL of the run leaves nothing: its keeper cleans up."""
    one = run(busy("time.sleep(600)", filesystem, point))

    one.process.kill()
    one.process.wait()

    assert one.wait_until_gone() == []


def test_exception_in_mid_air(run: Start) -> None:
    """A run that dies of an exception leaves nothing when it has ended."""
    one = run(busy("raise SystemExit(3)"))

    assert one.process.wait() == 3
    assert one.remains() == []


def test_keeper_is_killed_with_the_run(run: Start) -> None:
    """With the keeper killed as well, mounts and devices go; the folder does next."""
    one = run(busy("time.sleep(600)"))

    one.keeper.kill()
    one.process.kill()
    one.process.wait()
    one.wait_until_only_its_folder_is_left()
    the_lab()
    close_lab()

    assert one.remains() == []


def test_everything_is_killed(run: Start) -> None:
    """With every process of a run killed, the next run finds nothing but a folder."""
    one = run(busy("time.sleep(600)"))

    for process in one.processes:
        process.kill()
    one.process.kill()
    one.process.wait()
    the_lab()
    close_lab()

    assert one.wait_until_gone() == []


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_family_is_ended(run: Start, filesystem: str, number: signal.Signals) -> None:
    """Children, and what is left of a parent whose pages are held, end with the run."""
    one = run(FAMILY.format(filesystem=filesystem))
    assert len(one.processes) >= 3 + 2 + 2

    one.process.send_signal(number)
    one.process.wait()

    assert one.wait_until_gone() == []


def test_a_family_is_killed(run: Start) -> None:
    """With every process of a run killed, children as well, the next run cleans up."""
    one = run(FAMILY.format(filesystem="ext4"))

    for process in one.processes:
        process.kill()
    one.process.kill()
    one.process.wait()
    the_lab()
    close_lab()

    assert one.wait_until_gone() == []


@needs_merging
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_settings_are_put_back(run: Start, number: signal.Signals) -> None:
    """However the run ends, its keeper puts the settings of the machine back."""
    before = ksm.settings()
    one = run(CHANGED)
    assert ksm.settings() != before

    one.process.send_signal(number)
    one.process.wait()

    assert one.wait_until_gone() == []
    assert ksm.settings() == before


@needs_merging
def test_settings_are_put_back_by_the_next_run(run: Start) -> None:
    """With the keeper killed as well, the next run puts the settings back."""
    before = ksm.settings()
    one = run(CHANGED)

    one.keeper.kill()
    one.process.kill()
    one.process.wait()
    one.wait_until_only_its_folder_is_left()
    assert ksm.settings() != before
    the_lab()
    close_lab()

    assert ksm.settings() == before
    assert one.remains() == []


def test_server_is_killed(run: Start) -> None:
    """With the disk's server killed, blocked calls fail, and nothing is left."""
    one = run(busy("time.sleep(600)"))
    disk = one.processes[1]

    disk.kill()
    one.process.terminate()
    one.process.wait()

    assert one.wait_until_gone() == []


def test_a_living_run_is_left_alone(run: Start) -> None:
    """The next run touches nothing of one that still runs."""
    one = run(
        """
        import time
        from pytest_gup.adapters.linux.lab import the_lab
        print(the_lab().folder, flush=True)
        time.sleep(600)
        """
    )

    the_lab()
    close_lab()

    assert all(process.is_alive for process in one.processes)
    assert one.folder.exists()


def test_a_run_gets_its_turn(run: Start) -> None:
    """One that boots again and again does not keep the machine from another."""
    greedy = run(
        """
        from conformance.interface import Setup
        from pytest_gup.adapters.linux import boot_for
        from pytest_gup.adapters.linux.lab import the_lab

        boot = boot_for("tmpfs")
        stack = boot(Setup())
        print(the_lab().folder, flush=True)
        for number in range(1, TURNS + 1):
            stack.close()
            stack = boot(Setup())
            print(number, flush=True)
        """.replace("TURNS", str(TURNS))
    )

    for _ in range(3):
        boot(TMPFS, Setup()).close()

    assert greedy.process.poll() is None


def test_other_folders_are_left_alone() -> None:
    """A folder that no run of ours wrote is not touched, whatever its name."""
    foreign = Path(tempfile.gettempdir(), "pytest-gup-run-foreign")
    foreign.mkdir()
    (foreign / "run.json").write_text('{"processes": "none of yours"}')

    the_lab()
    close_lab()

    assert (foreign / "run.json").exists()


def test_a_stack_is_closed_in_mid_air() -> None:
    """Closing a stack with a pin outstanding and the disk held makes way for more."""
    for _ in range(2):
        stack = boot(EXT4, Setup())
        assert isinstance(stack, DiskStack)
        stack.get_user_pages(0, 0, 0, 1, pin=0, write=True, longterm=False)
        stack.hold(HoldPoint.AFTER_CAPTURE)
        stack.close()
    close_lab()

    assert the_lab().folder
    close_lab()
