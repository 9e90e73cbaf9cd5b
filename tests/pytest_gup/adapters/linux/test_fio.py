"""The document's own measurement (S27 to S30): fio, and the counters beside it.

fio reads past the page cache into a shared mapping of a file of the filesystem under
test: get_user_pages on pages of that file, for a device to write to.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conformance.engines.interpretation import Readings
from conformance.interface import Setup
from pytest_gup.adapters.linux import missing
from pytest_gup.adapters.linux.boot import boot
from pytest_gup.adapters.linux.filesystems import FILESYSTEMS
from pytest_gup.adapters.linux.stack import MemoryStack

SHARES_LAB = True
FIO_SECONDS = 120.0
SIZE_BYTES = 4 << 20
BLOCK_BYTES = 64 << 10
PINS_MIN = SIZE_BYTES // 4096 // 2
"""Each page that is read into is pinned, once for each read into it; but btrfs may
serve a direct read into pages that are not there yet from the page cache."""
LOOKS_MAX = 50
LOOK_SECONDS = 0.1
"""The counters are the machine's: whatever else pins a page just then is waited for,
this often and this long."""

pytestmark = [
    pytest.mark.linux,
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("fio") is None, reason="fio is not installed (Debian: fio)"
    ),
]


def run_fio(folder: Path) -> str:
    """Have fio read a file directly into a shared mapping of another.

    It does not make that file as long as its buffer: it has to be there before.
    """
    buffer = folder / "buffer"
    buffer.write_bytes(bytes(2 * BLOCK_BYTES))
    command = [
        *("fio", "--name=gup", "--rw=read", "--direct=1", "--ioengine=psync"),
        *(
            f"--size={SIZE_BYTES}",
            f"--bs={BLOCK_BYTES}",
        ),
        *(f"--filename={folder}/data", f"--iomem=mmapshared:{buffer}"),
    ]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=FIO_SECONDS,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def modern(stack: MemoryStack) -> tuple[int, int]:
    """Read the counters of pins that today's kernel keeps."""
    seen = stack.vmstat()
    if seen.nr_foll_pin_acquired is None or seen.nr_foll_pin_released is None:
        pytest.skip("this kernel does not count pins (nr_foll_pin_*)")
    return seen.nr_foll_pin_acquired, seen.nr_foll_pin_released


def balanced(
    stack: MemoryStack, before: tuple[int, int]
) -> tuple[tuple[int, int], Readings]:
    """Read the counters until as many pins were released as acquired, or the bound."""
    for _ in range(LOOKS_MAX):
        after = modern(stack)
        delta = after[0] - before[0], after[1] - before[1]
        if delta[0] == delta[1]:
            break
        time.sleep(LOOK_SECONDS)
    return delta, Readings(modern=delta)


@pytest.mark.parametrize("name", ["ext4", "xfs", "btrfs"])
def test_as_many_pins_are_released_as_acquired(name: str) -> None:
    """When fio has ended, the difference of the two counters is nothing."""
    reason = missing(name)
    if reason:
        pytest.skip(reason)
    stack = boot(FILESYSTEMS[name], Setup())
    try:
        lab = stack.bench.lab
        folder = Path(f"/proc/{lab.process.pid}/root{lab.folder}/stack")
        before = modern(stack)
        run_fio(folder)
        (acquired, released), readings = balanced(stack, before)
    finally:
        stack.close()

    lines = "\n".join(readings.lines())
    assert acquired >= PINS_MIN, lines
    assert acquired == released, lines
